"""Where the buffers of a stage lie in its PMUs: a static layout, the same in each of them.

A stage's PMUs hold, interleaved over all of them, the copies of its outgoing streams (`depth` tiles), the space in
front of its loads and behind its stores. While one copy is written the one before it is read, so copies that follow
each other must not share a bank: even copies are stacked from the bottom, odd ones end at the top. In the middle lies
what has one copy, and the last one of an odd number, which copy 0 follows. docs/model.md, "PMU banks".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rdusim.arch.types import Pmu
from rdusim.mapping.types import Flow, MappedSection, SramRange, flows_of
from rdusim.program.types import Section, Stage, Stream

_BOTTOM, _MIDDLE, _TOP = range(3)


@dataclass(frozen=True, slots=True)
class Buffering:
    """Copies of a flow's buffer, and bytes of one of them over all PMUs together."""

    copies: int
    bytes: int


def assign(section: Section, pmu: Pmu) -> dict[str, tuple[SramRange, ...]]:
    """Ranges by flow, by copy. Stages without PMUs hold nothing. What does not fit runs over: `check` says so."""
    held: dict[str, list[Flow]] = {stage.name: [] for stage in section.stages}
    for flow in flows_of(section):
        if holder(flow) in held:
            held[holder(flow)].append(flow)
    found: dict[str, tuple[SramRange, ...]] = {}
    for stage in section.stages:
        if stage.pmus:
            found |= _layout(stage, held[stage.name], pmu)
    return found


def holder(flow: Flow) -> str:
    """The stage whose PMUs hold the buffer of a flow."""
    return flow.source if isinstance(flow, Stream) else flow.stage


def buffering(flow: Flow) -> Buffering:
    """A stream that keeps what has come, and a load of everything, have one copy: nothing takes its place."""
    if isinstance(flow, Stream):
        if flow.resident or not flow.depth:
            return Buffering(1, flow.tile_bytes * flow.depth)
        return Buffering(flow.depth, flow.tile_bytes)
    copies = max(1, min(flow.tiles, flow.prefetch // max(1, flow.tile_bytes)))
    return Buffering(copies, flow.prefetch // copies)


def conflicts(mapped: MappedSection, flow: str, pmu: Pmu) -> bool:
    """Whether two copies that follow each other share a bank: then reading one and writing the other take turns."""
    ranges = sorted(mapped.sram.get(flow, ()), key=lambda found: found.copy)
    banks = [_banks(found, pmu) for found in ranges]
    pairs = zip(banks, [*banks[1:], banks[0]] if len(banks) > 2 else banks[1:], strict=False)
    return any(one & other for one, other in pairs)


def _banks(found: SramRange, pmu: Pmu) -> set[int]:
    bank = max(1, pmu.capacity // pmu.banks)
    return set(range(found.offset // bank, (found.offset + found.size - 1) // bank + 1)) if found.size else set()


def _layout(stage: Stage, flows: Sequence[Flow], pmu: Pmu) -> dict[str, tuple[SramRange, ...]]:
    wanted = [(flow.name, buffering(flow)) for flow in flows]
    copies = [(_region(copy, of.copies), name, copy, of.bytes) for name, of in wanted for copy in range(of.copies)]
    copies.sort(key=lambda found: found[0])
    ends = _ends([size for *_, size in copies], stage.pmus, pmu)
    shifts = _shifts([region for region, *_ in copies], ends, pmu)
    ranges: dict[str, list[SramRange]] = {name: [] for name, _ in wanted}
    begin = 0
    for (region, name, copy, _), end in zip(copies, ends, strict=True):
        place = SramRange(flow=name, stage=stage.name, copy=copy, offset=begin + shifts[region], size=end - begin)
        ranges[name].append(place)
        begin = end
    return {name: tuple(sorted(of, key=lambda found: found.copy)) for name, of in ranges.items()}


def _region(copy: int, copies: int) -> int:
    if copies == 1 or (copies % 2 and copy == copies - 1):
        return _MIDDLE
    return _TOP if copy % 2 else _BOTTOM


def _shifts(regions: Sequence[int], ends: Sequence[int], pmu: Pmu) -> tuple[int, int, int]:
    """By region, how far it stands above its place in a stack without gaps: the middle begins a bank."""
    free = max(0, pmu.capacity - (ends[-1] if ends else 0))
    below = max((end for region, end in zip(regions, ends, strict=True) if region == _BOTTOM), default=0)
    return 0, min(free, -below % max(1, pmu.capacity // pmu.banks)), free


def _ends(sizes: Sequence[int], pmus: int, pmu: Pmu) -> list[int]:
    """Where each buffer ends in a PMU, one after the other: whole bytes for each if they fit.

    Otherwise odd bytes, which not every PMU holds, are counted once for all buffers: the PMUs were counted so.
    """
    whole = _sums(-(-size // pmus) for size in sizes)
    return whole if not whole or whole[-1] <= pmu.capacity else [-(-end // pmus) for end in _sums(sizes)]


def _sums(sizes: Iterable[int]) -> list[int]:
    found, total = [], 0
    for size in sizes:
        total += size
        found.append(total)
    return found
