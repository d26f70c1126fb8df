"""A training step of several micro-batches or stages: each different pass is simulated once, then scheduled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from rdusim.arch.types import Arch
from rdusim.graph.types import RunShape
from rdusim.pipeline.pipelined import transfer, transfer_time
from rdusim.pipeline.stage_memory import Chunk as Kept
from rdusim.pipeline.stage_memory import RankMemory, pinned
from rdusim.program.partition import Part
from rdusim.program.partition_training import Chunk
from rdusim.program.types import Program
from rdusim.report.pipelined_training import StepSetting, Work, trained
from rdusim.report.summarize import peak_flops
from rdusim.sim.microbatch import SCHEDULES
from rdusim.sim.microbatch.run import most_held, run
from rdusim.sim.microbatch.types import ChunkTimes, Pipeline

if TYPE_CHECKING:
    from rdusim.pipeline.stages import Stages
    from rdusim.report.types import Report


def training_report(stages: Stages, shape: RunShape) -> Report:
    """The report of one step: all micro-batches through the pipeline, then the slowest rank's update."""
    plan, chunks = stages.plan, stages.chunks(shape)
    ways = plan.ways
    pipeline = _pipeline(stages)
    memory = rank_memories(stages, shape)
    for rank, each in enumerate(memory):
        each.check(stages.arch, rank)
    works = tuple(_works(stages, shape, chunks, pipeline))
    times = _times(stages, shape, chunks)
    done = run(pipeline, SCHEDULES[plan.schedule](pipeline), times)
    sent = tuple(
        sum(_exchanged(stages, shape, chunk) for chunk in chunks[rank :: pipeline.ranks])
        for rank in range(pipeline.ranks)
    )
    setting = replace(
        works[0].report.setting,
        sockets_used=ways.sockets if plan.parallelism else works[0].report.setting.sockets_used,
        batch=plan.batch,
        micro_batches=plan.micro_batches,
        pipeline_schedule=plan.schedule if ways.pp > 1 else None,
        pipeline_chunks=plan.chunks if ways.pp > 1 else None,
    )
    return trained(
        works,
        StepSetting(
            pipeline=pipeline,
            run=done,
            exchanged=sent,
            peaks=tuple(each.peaks(stages.arch) for each in memory),
            open=tuple(each.open for each in memory),
            saved=tuple(each.saved for each in memory),
            layers=tuple(sum(block.repeats for block in chunk.forward.graph.blocks) for chunk in chunks),
        ),
        setting,
        tokens=stages.whole(shape).tokens * plan.micro_batches,
        peak_flops=peak_flops(stages.arch, setting.dtype, setting.sockets_used),
    )


def rank_memories(stages: Stages, shape: RunShape) -> tuple[RankMemory, ...]:
    """What every rank's programs keep."""
    pipeline = _pipeline(stages)
    kept = [_kept(stages, shape, chunk) for chunk in stages.chunks(shape)]
    opened = most_held(SCHEDULES[stages.plan.schedule](pipeline))
    return tuple(
        RankMemory(chunks=tuple(kept[rank :: pipeline.ranks]), open=opened[rank]) for rank in range(pipeline.ranks)
    )


def machine(stages: Stages, shape: RunShape, part: Part) -> tuple[Arch, dict[str, str]]:
    """What of the machine is left to a part, and tiers where its symbols lie already.

    Equal parts of several ranks are one program: that of the rank whose memory is fullest.
    """
    index = stages.parts(shape).index(part)
    program = stages.program(shape, index)
    found: list[tuple[int, Arch, dict[str, str]]] = []
    chunks, ranks = stages.chunks(shape), stages.plan.ways.pp
    for rank, memory in enumerate(rank_memories(stages, shape)):
        for chunk, kept in zip(chunks[rank::ranks], memory.chunks, strict=True):
            if part in chunk.parts:
                memory.check(stages.compiled, rank)
                left = memory.left(stages.compiled, kept, program)
                there = pinned(kept, left) if program is kept.update else {}
                found.append((memory.working + memory.state, left, there))
    _, left, there = max(found, key=lambda each: each[0])
    return left, there


def _pipeline(stages: Stages) -> Pipeline:
    plan = stages.plan
    return Pipeline(ranks=plan.ways.pp, chunks=plan.chunks, micro_batches=plan.micro_batches, backward=True)


def _kept(stages: Stages, shape: RunShape, chunk: Chunk) -> Kept:
    passes = (chunk.forward, chunk.last_forward, chunk.backward, chunk.last_backward)
    held = frozenset(name for part in passes if part is not None for name in part.held)
    programs = tuple(_program(stages, shape, part) for part in passes if part is not None)
    update = None if chunk.update is None else _program(stages, shape, chunk.update)
    return Kept(passes=programs, update=update, held=held)


def _program(stages: Stages, shape: RunShape, part: Part) -> Program:
    return stages.program(shape, stages.parts(shape).index(part))


def _report(stages: Stages, shape: RunShape, part: Part) -> Report:
    return stages.report_of_part(shape, stages.parts(shape).index(part))


def _works(stages: Stages, shape: RunShape, chunks: tuple[Chunk, ...], pipeline: Pipeline) -> Iterator[Work]:
    """Every pass of every chunk, and how often it happens."""
    count = pipeline.micro_batches
    for number, chunk in enumerate(chunks):
        for name, usual, last in (
            ("forward", chunk.forward, chunk.last_forward),
            ("backward", chunk.backward, chunk.last_backward),
        ):
            if usual is None or last is None:
                continue
            if usual == last:
                yield Work(chunk=number, name=name, times=count, report=_report(stages, shape, usual))
                continue
            yield Work(chunk=number, name=name, times=count - 1, report=_report(stages, shape, usual))
            yield Work(chunk=number, name=f"last {name}", times=1, report=_report(stages, shape, last))
        if chunk.update is not None:
            yield Work(chunk=number, name="update", times=1, report=_report(stages, shape, chunk.update))


def _times(stages: Stages, shape: RunShape, chunks: tuple[Chunk, ...]) -> ChunkTimes:
    def seconds(part: Part | None) -> float:
        return 0.0 if part is None else _report(stages, shape, part).latency.total_seconds

    def way(part: Part | None) -> float:
        return 0.0 if part is None else transfer(stages, shape, stages.parts(shape).index(part))

    return ChunkTimes(
        forward=tuple(seconds(chunk.forward) for chunk in chunks),
        backward=tuple(seconds(chunk.backward) for chunk in chunks),
        last_forward=tuple(seconds(chunk.last_forward) for chunk in chunks),
        last_backward=tuple(seconds(chunk.last_backward) for chunk in chunks),
        transfer=tuple(way(chunk.forward) for chunk in chunks[1:]),
        transfer_back=tuple(way(chunk.backward) for chunk in chunks[:-1]),
    )


def _exchanged(stages: Stages, shape: RunShape, chunk: Chunk) -> float:
    """Seconds in which parts of a shared weight's gradient come to its update, and the weight goes back."""
    if chunk.update is None or not (chunk.update.received or chunk.returned):
        return 0.0
    part = stages.parts(shape).index(chunk.update)
    found = transfer(stages, shape, part) if chunk.update.received else 0.0
    return found + (transfer_time(stages, shape, part, chunk.returned) if chunk.returned else 0.0)
