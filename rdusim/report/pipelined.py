"""One report of a pipeline's stages: what they take together, and what of it is their own work.

Without interleaving the way of a forward pass through a pipeline is known: the first micro-batch through every stage,
then the others behind it through the slowest. Otherwise the busiest rank explains the time, and what it waits is the
bubble.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rdusim.report.spill import together
from rdusim.report.summarize import throughput
from rdusim.report.types import (
    Intensity,
    Latency,
    LinkUse,
    MemoryUse,
    Report,
    SectionUse,
    Setting,
    Simulator,
    UnitUse,
)
from rdusim.report.weighted import memory_of, repeated
from rdusim.sim.microbatch.types import ChunkTimes, Pipeline, PipelineRun
from rdusim.units import show

BUBBLE = "pipeline_bubble"
TRANSFER = "pipeline_transfer"


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineSetting:
    """How the stages run. `repeating`: the same again and again (decode), each time for the same sequences.

    `layers`: of every chunk. `kept`: bytes of the caches of its other micro-batches, on each socket.
    """

    pipeline: Pipeline
    times: ChunkTimes
    run: PipelineRun
    repeating: bool
    layers: tuple[int, ...]
    kept: tuple[int, ...] = ()


def pipelined(
    parts: Sequence[Report], how: PipelineSetting, setting: Setting, *, tokens: int, peak_flops: float | None
) -> Report:
    """`parts`: one micro-batch through each chunk of layers, in order; `tokens` of the whole batch."""
    total, breakdown = _time(parts, how)
    count = how.pipeline.micro_batches
    flops = count * sum(part.operational_intensity.flops for part in parts)
    latency = parts[0].latency
    return Report(
        setting=setting,
        latency=Latency(
            total_seconds=total,
            time_to_first_token_seconds=total if latency.time_to_first_token_seconds is not None else None,
            time_per_output_token_seconds=total if latency.time_per_output_token_seconds is not None else None,
        ),
        throughput=throughput(tokens, total, setting.batch, flops, peak_flops),
        memory=tuple(_memory(parts, how, setting.sockets_used)),
        units=tuple(_unit(parts, unit, how, total) for unit in range(len(parts[0].units))),
        links=_links(parts, how, total),
        sections=_sections(parts, how),
        kernel_launches=count * sum(part.kernel_launches for part in parts),
        breakdown_seconds=breakdown,
        operational_intensity=Intensity(
            flops=flops, bytes=count * sum(part.operational_intensity.bytes for part in parts)
        ),
        notes=(_said(how), *dict.fromkeys(note for part in parts for note in part.notes if "idle" not in note)),
        simulator=Simulator(version=parts[0].simulator.version),
        spill=together(parts, count),
    )


def _time(parts: Sequence[Report], how: PipelineSetting) -> tuple[float, dict[str, float]]:
    """Seconds, and causes that sum to them."""
    pipeline, times, run = how.pipeline, how.times, how.run
    once = sum(times.forward) + sum(times.transfer)
    ranks = [range(rank, len(parts), pipeline.ranks) for rank in range(pipeline.ranks)]
    slowest = max(ranks, key=lambda rank: sum(times.forward[part] for part in rank))
    turn = pipeline.micro_batches * sum(times.forward[part] for part in slowest)
    if how.repeating and turn >= once:  # a micro-batch has come round before it is its turn again
        return turn, descending(_added([(pipeline.micro_batches, parts[part]) for part in slowest]))
    if how.repeating or pipeline.chunks == 1:
        later = 0 if how.repeating else pipeline.micro_batches - 1
        causes = _added([*((1, part) for part in parts), *((later, parts[part]) for part in slowest)])
        causes[TRANSFER] = sum(times.transfer)
        return once + later * times.forward[slowest[0]], descending(causes)
    busiest = max(range(pipeline.ranks), key=lambda at: run.busy[at])
    causes = _added([(pipeline.micro_batches, parts[part]) for part in ranks[busiest]])
    causes[BUBBLE] = run.seconds - run.busy[busiest]
    return run.seconds, descending(causes)


def _added(parts: Sequence[tuple[int, Report]]) -> dict[str, float]:
    causes: dict[str, float] = {}
    for times, part in parts:
        for cause, seconds in part.breakdown_seconds.items():
            causes[cause] = causes.get(cause, 0.0) + times * seconds
    return causes


def descending(causes: dict[str, float]) -> dict[str, float]:
    return {cause: causes[cause] for cause in sorted(causes, key=lambda cause: (-causes[cause], cause))}


def _memory(parts: Sequence[Report], how: PipelineSetting, sockets: int) -> Iterator[MemoryUse]:
    """Stages have sockets of their own: capacities and bytes add up; a rank's chunks share its capacity.

    Caches of the micro-batches that wait lie in the nearest tier that has room, next to those of the one that runs.
    """
    ranks, count = how.pipeline.ranks, how.pipeline.micro_batches
    total = _time(parts, how)[0]
    waiting = [float(sockets // ranks * kept) for kept in how.kept]
    for index in range(len(parts[0].memory)):
        use = memory_of([(float(count), part) for part in parts], index, total * ranks)
        uses = [part.memory[index] for part in parts]
        capacity = ranks * use.capacity_bytes
        if use.read_bytes is None:
            peaks = [max(each.peak_bytes for each in uses[rank::ranks]) for rank in range(ranks)]
            yield replace(use, capacity_bytes=capacity, peak_bytes=sum(peaks))
            continue
        peak = 0
        for at, each in enumerate(uses):
            here = min(waiting[at], max(0, use.capacity_bytes - each.peak_bytes))
            waiting[at] -= here
            peak += each.peak_bytes + round(here)
        yield replace(
            use,
            capacity_bytes=capacity,
            peak_bytes=min(capacity, peak),
            achieved_bytes_per_second=((use.read_bytes or 0.0) + (use.written_bytes or 0.0)) / total,
            peak_bytes_per_second=None if use.peak_bytes_per_second is None else ranks * use.peak_bytes_per_second,
        )


def _unit(parts: Sequence[Report], unit: int, how: PipelineSetting, total: float) -> UnitUse:
    uses = [part.units[unit] for part in parts]
    shares = [how.pipeline.micro_batches * part.latency.total_seconds / total / how.pipeline.ranks for part in parts]
    return replace(
        uses[0],
        peak=max(use.peak for use in uses),
        configured=sum(share * use.configured for share, use in zip(shares, uses, strict=True)),
        busy=sum(share * use.busy for share, use in zip(shares, uses, strict=True)),
    )


def _links(parts: Sequence[Report], how: PipelineSetting, total: float) -> LinkUse | None:
    uses = [(part.latency.total_seconds, part.links) for part in parts if part.links is not None]
    count = how.pipeline.micro_batches
    busy = sum(seconds * links.busy for seconds, links in uses) / how.pipeline.ranks
    return LinkUse(
        payload_bytes=count * sum(links.payload_bytes for _, links in uses), busy=min(1.0, count * busy / total)
    )


def _sections(parts: Sequence[Report], how: PipelineSetting) -> tuple[SectionUse, ...]:
    """Stages that are alike stand once; seconds are those of one of them."""
    count = how.pipeline.micro_batches
    found: list[SectionUse] = []
    seen: list[tuple[tuple[SectionUse, ...], list[int]]] = []
    for index, part in enumerate(parts):
        same = next((numbers for sections, numbers in seen if sections == part.sections), None)
        if same is None:
            seen.append((part.sections, [index]))
        else:
            same.append(index)
    for sections, numbers in seen:
        name = ranges(numbers)
        found += [repeated(section, count, f"{name}/{section.name}") for section in sections]
    return tuple(found)


def ranges(numbers: Sequence[int]) -> str:
    """Stage numbers as text: 0, 1-6, 7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return "stage " + ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def _said(how: PipelineSetting) -> str:
    layers = how.layers
    said = f"{layers[0]}" if len(set(layers)) == 1 else ", ".join(str(count) for count in layers)
    waits = show(how.run.bubble, "share")
    batches = how.pipeline.micro_batches
    return (
        f"pipeline of {how.pipeline.ranks} stages, blocks and layers in each chunk: {said}; {batches} "
        f"micro-batch{'es' if batches > 1 else ''}; stages wait {waits} of the time while one batch passes"
    )
