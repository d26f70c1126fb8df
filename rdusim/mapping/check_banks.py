"""Does every buffer lie in its stage's PMUs, within them and over no other one?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from rdusim.arch.types import Pmu
from rdusim.mapping.banks import buffering, holder
from rdusim.mapping.types import MappedSection, SramRange, flows_of
from rdusim.program.types import Section
from rdusim.units import show


def check_banks(section: Section, mapped: MappedSection, pmu: Pmu) -> Iterator[str]:
    """What is wrong with the ranges of a section in its PMUs."""
    pmus = {stage.name: stage.pmus for stage in section.stages}
    of_stage: dict[str, list[SramRange]] = {name: [] for name in pmus}
    for flow in flows_of(section):
        stage, wanted = holder(flow), buffering(flow)
        ranges = mapped.sram.get(flow.name, ())
        if not pmus.get(stage):
            continue  # it holds nothing
        if sorted(found.copy for found in ranges) != list(range(wanted.copies)):
            yield f"the buffer of {flow.name!r} has {len(ranges)} of {wanted.copies} copies in PMUs"
        for found in ranges:
            if found.stage != stage:
                yield f"the buffer of {flow.name!r} lies in the PMUs of {found.stage!r} instead of {stage!r}"
            # Odd bytes of an interleaved buffer are not in every PMU.
            elif found.size < wanted.bytes // pmus[stage]:
                yield f"copy {found.copy} of {flow.name!r} has {found.size} bytes in each PMU, too few"
            else:
                of_stage[stage].append(found)
    for name, placed in of_stage.items():
        yield from _misplaced(name, placed, pmu)


def _misplaced(stage: str, ranges: list[SramRange], pmu: Pmu) -> Iterator[str]:
    """In bounds, and none over another one."""
    placed = sorted((found for found in ranges if found.size), key=lambda found: found.offset)
    top = max((found.offset + found.size for found in placed), default=0)
    if top > pmu.capacity:
        there = show(pmu.capacity, "size")
        yield f"the buffers of stage {stage!r} take {show(top, 'size')} of each PMU, which has {there}"
    if any(found.offset < 0 for found in placed):
        yield f"a buffer of stage {stage!r} begins in front of its PMU"
    for one, other in pairwise(placed):
        if one.offset + one.size > other.offset:
            both = f"copy {one.copy} of {one.flow!r} and copy {other.copy} of {other.flow!r}"
            yield f"{both} overlap in the PMUs of {stage!r}"
