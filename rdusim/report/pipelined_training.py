"""One report of a training step in passes: every micro-batch forth and back through the stages, then an update.

The busiest rank explains the time; what it waits for others is the bubble. The update begins when all ranks have done
their last way back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rdusim.report.pipelined import BUBBLE, TRANSFER, descending, ranges
from rdusim.report.spill import together_symbols
from rdusim.report.summarize import SRAM, throughput
from rdusim.report.types import Intensity, Latency, MemoryUse, Report, SectionUse, Setting, Simulator, Spill
from rdusim.report.weighted import breakdown_of, links_of, memory_of, repeated, total_of, unit_of
from rdusim.sim.microbatch.types import Pipeline, PipelineRun
from rdusim.units import show


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A pass of a chunk, and how often a step has it."""

    chunk: int
    name: str  # forward | backward | update, or `last` one of them
    times: int
    report: Report


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSetting:
    """How the passes run. `exchanged`: by rank, seconds in which weights of several stages and their gradients travel.

    `peaks`: by rank, bytes of a socket by tier; `open` micro-batches (times chunks) of `saved` bytes are among them.
    `layers`: of every chunk.
    """

    pipeline: Pipeline
    run: PipelineRun
    exchanged: tuple[float, ...]
    peaks: tuple[Mapping[str, int], ...]
    open: tuple[int, ...]
    saved: tuple[int, ...]
    layers: tuple[int, ...]


def trained(
    works: Sequence[Work], how: StepSetting, setting: Setting, *, tokens: int, peak_flops: float | None
) -> Report:
    """The report of a step; `tokens` of all micro-batches."""
    ranks = how.pipeline.ranks
    updates = [how.exchanged[rank] + _seconds(_of(works, how, rank), "update") for rank in range(ranks)]
    total = how.run.seconds + max(updates)
    parts = [(float(work.times), work.report) for work in works]
    flops = total_of(parts, lambda report: report.operational_intensity.flops)
    moved = total_of(parts, lambda report: report.operational_intensity.bytes)
    first = works[0].report
    return Report(
        setting=setting,
        latency=Latency(total_seconds=total),
        throughput=throughput(tokens, total, setting.batch, flops, peak_flops),
        memory=tuple(_memory(works, how, index, total, setting.sockets_used) for index in range(len(first.memory))),
        units=tuple(unit_of(parts, index, total * ranks) for index in range(len(first.units))),
        links=links_of(parts, total * ranks),
        sections=tuple(_sections(works)),
        kernel_launches=round(total_of(parts, lambda report: report.kernel_launches)),
        breakdown_seconds=_breakdown(works, how, updates, total),
        operational_intensity=Intensity(flops=flops, bytes=moved),
        notes=(*_said(how), *dict.fromkeys(note for _, part in parts for note in part.notes if "idle" not in note)),
        simulator=Simulator(version=first.simulator.version),
        spill=_spill(works),
    )


def _of(works: Sequence[Work], how: StepSetting, rank: int) -> list[Work]:
    return [work for work in works if work.chunk % how.pipeline.ranks == rank]


def _seconds(works: Sequence[Work], name: str) -> float:
    return sum(work.times * work.report.latency.total_seconds for work in works if work.name == name)


def _breakdown(works: Sequence[Work], how: StepSetting, updates: Sequence[float], total: float) -> dict[str, float]:
    """Causes of the busiest rank, which sum to the total with what it waits."""
    rank = max(range(how.pipeline.ranks), key=lambda at: how.run.busy[at] + updates[at])
    causes = breakdown_of([(float(work.times), work.report) for work in _of(works, how, rank)])
    if how.exchanged[rank]:
        causes[TRANSFER] = how.exchanged[rank]
    if how.pipeline.ranks > 1:
        causes[BUBBLE] = max(0.0, total - how.run.busy[rank] - updates[rank])
    return descending(causes)


def _memory(works: Sequence[Work], how: StepSetting, index: int, total: float, sockets: int) -> MemoryUse:
    """Bytes of all ranks add up; peaks are what the programs of a rank keep together, on all its sockets."""
    ranks = how.pipeline.ranks
    parts = [(float(work.times), work.report) for work in works]
    use = memory_of(parts, index, total * ranks)
    capacity = ranks * use.capacity_bytes
    if use.tier == SRAM:
        most = [max(work.report.memory[index].peak_bytes for work in _of(works, how, rank)) for rank in range(ranks)]
        return replace(use, capacity_bytes=capacity, peak_bytes=sum(most))
    return replace(
        use,
        capacity_bytes=capacity,
        peak_bytes=sockets // ranks * sum(peak[use.tier] for peak in how.peaks),
        achieved_bytes_per_second=((use.read_bytes or 0.0) + (use.written_bytes or 0.0)) / total,
        peak_bytes_per_second=None if use.peak_bytes_per_second is None else ranks * use.peak_bytes_per_second,
    )


def _sections(works: Sequence[Work]) -> Iterator[SectionUse]:
    """Passes that are alike stand once; seconds are those of one of them, all micro-batches together."""
    seen: list[tuple[Work, list[int]]] = []
    for work in works:
        alike = next((chunks for other, chunks in seen if replace(other, chunk=work.chunk) == work), None)
        if alike is None:
            seen.append((work, [work.chunk]))
        else:
            alike.append(work.chunk)
    for work, chunks in seen:
        for section in work.report.sections:
            yield repeated(section, work.times, f"{ranges(chunks)}/{work.name}/{section.name}")


def _spill(works: Sequence[Work]) -> Spill | None:
    """What any pass finds beyond the nearest tier, once for each chunk; traffic of all passes."""
    found = [(f"stage {work.chunk}", work.times, work.report.spill) for work in works if work.report.spill is not None]
    return together_symbols(found) if found else None


def _said(how: StepSetting) -> Iterator[str]:
    batches, ranks = how.pipeline.micro_batches, how.pipeline.ranks
    several = f"{batches} micro-batch{'es' if batches > 1 else ''}"
    if ranks == 1:
        yield f"{several} one after the other, whose gradients add up; one update"
    else:
        layers = how.layers
        said = f"{layers[0]}" if len(set(layers)) == 1 else ", ".join(str(count) for count in layers)
        waits = show(how.run.bubble, "share")
        yield (
            f"pipeline of {ranks} stages, blocks and layers in each chunk: {said}; {several}; stages wait {waits} of "
            "the time before the update"
        )
    held = [f"{count} x {show(saved, 'size')}" for count, saved in zip(how.open, how.saved, strict=True)]
    named = held[0] if len(set(held)) == 1 else ", ".join(held)
    yield f"saved for ways back, on a socket{' of each stage' if ranks > 1 else ''} at most: {named}"
