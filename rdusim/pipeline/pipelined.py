"""Pipeline parallelism of one request: every different stage is simulated once, then a schedule puts them together."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from rdusim.arch.types import Arch
from rdusim.graph.types import Phase, RunShape
from rdusim.pipeline.stage_memory import besides, cached, smaller
from rdusim.program.types import Parallelism
from rdusim.report.pipelined import PipelineSetting, pipelined
from rdusim.report.summarize import peak_flops
from rdusim.sim.microbatch import SCHEDULES
from rdusim.sim.microbatch.run import run
from rdusim.sim.microbatch.types import ChunkTimes, Pipeline
from rdusim.timing import p2p
from rdusim.units import Bytes

if TYPE_CHECKING:
    from rdusim.pipeline.stages import Stages
    from rdusim.report.types import Report


def pipeline_report(stages: Stages, shape: RunShape) -> Report:
    """The report of all stages. A decode step takes as long as passes until its sequences' next one can begin."""
    plan = stages.plan
    ways = plan.parallelism or Parallelism()
    parts = stages.parts(shape)
    reports = [stages.report_of_part(shape, part) for part in range(len(parts))]
    pipeline = Pipeline(ranks=ways.pp, chunks=plan.chunks, micro_batches=plan.micro_batches, backward=False)
    times = ChunkTimes(
        forward=tuple(report.latency.total_seconds for report in reports),
        backward=(0.0,) * len(parts),
        transfer=tuple(transfer(stages, shape, part) for part in range(1, len(parts))),
    )
    done = run(pipeline, SCHEDULES[plan.schedule](pipeline), times)
    setting = replace(
        reports[0].setting,
        sockets_used=ways.sockets,
        batch=plan.batch,
        micro_batches=plan.micro_batches,
        pipeline_schedule=plan.schedule,
        pipeline_chunks=plan.chunks,
    )
    return pipelined(
        reports,
        PipelineSetting(
            pipeline=pipeline,
            times=times,
            run=done,
            repeating=shape.phase is Phase.DECODE,
            layers=tuple(sum(block.repeats for block in part.graph.blocks) for part in parts),
            kept=tuple((plan.micro_batches - 1) * cached(stages.program(shape, part)) for part in range(len(parts))),
        ),
        setting,
        tokens=stages.program(shape).tokens * plan.micro_batches,
        peak_flops=peak_flops(stages.arch, setting.dtype, ways.sockets),
    )


def left_of_rank(stages: Stages, shape: RunShape, part: int) -> Arch:
    """The machine without what else lies in its rank's memory: of equal parts, that of the fullest rank."""
    parts, ranks = stages.parts(shape), stages.plan.ways.pp
    own = stages.program(shape, part)
    taken = 0
    for same in (number for number, each in enumerate(parts) if each == parts[part]):
        others = [stages.program(shape, other) for other in range(same % ranks, len(parts), ranks) if other != same]
        taken = max(taken, besides(own, others, stages.plan.micro_batches))
    return smaller(stages.compiled, taken, 0)


def transfer(stages: Stages, shape: RunShape, part: int) -> float:
    """Seconds until what a part reads of other chunks has come."""
    return transfer_time(stages, shape, part, stages.parts(shape)[part].received)


def transfer_time(stages: Stages, shape: RunShape, part: int, names: Collection[str]) -> float:
    """Seconds until tensors of a part, by name, have gone from each socket to its counterpart of the next stage."""
    ways = stages.plan.parallelism or Parallelism()
    size = sum(buffer.size for buffer in stages.program(shape, part).buffers if buffer.name in names)
    time = p2p.collective("send_receive", 2, Bytes(size), stages.arch, ways.stride("pp"))
    return time.occupied + time.latency
