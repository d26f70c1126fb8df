from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdusim.arch.types import Arch
from rdusim.mapping.banks import assign, conflicts
from rdusim.mapping.check import check
from rdusim.mapping.map_onto import map_onto
from rdusim.mapping.types import MapOptions, MappedSection, Mapping, SramRange
from rdusim.program.types import Section
from rdusim.units import Bytes
from tests.mapping.programs import machines, memory, program, programs, section, stage, stream, toy

PMU = toy().socket.tile.pmu
BANK = PMU.capacity // PMU.banks


def one_flow(tile_bytes: int, depth: int, pmus: int = 2) -> Section:
    flow = replace(stream("s", "a", "b", tile_bytes), depth=depth)
    return section("x", [stage("a", 1, pmus), stage("b", 1, 1)], streams=[flow])


def mapped(made: Section) -> MappedSection:
    return map_onto(program([made]), toy(), MapOptions(effort=0)).sections[0]


@settings(max_examples=15)
@given(data=st.data(), arch=machines())
def test_buffers_lie_in_their_pmus_and_never_overlap(data: st.DataObject, arch: Arch) -> None:
    mapping = map_onto(data.draw(programs(arch)), arch, MapOptions(effort=0))
    for part in mapping.sections:
        for placed in part.section.stages:
            ranges = [found for of in part.sram.values() for found in of if found.stage == placed.name and found.size]
            ranges.sort(key=lambda found: found.offset)
            assert all(one.offset + one.size <= other.offset for one, other in pairwise(ranges))
            assert not ranges or (ranges[0].offset >= 0 and ranges[-1].offset + ranges[-1].size <= PMU.capacity)


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
def test_copies_that_follow_each_other_lie_in_different_banks(depth: int) -> None:
    part = mapped(one_flow(2 * 100, depth))
    assert [(found.copy, found.size) for found in part.sram["s"]] == [(copy, 100) for copy in range(depth)]
    assert not conflicts(part, "s", PMU)


def test_halves_of_a_full_pmu_have_banks_of_their_own() -> None:
    part = mapped(one_flow(2 * PMU.capacity // 2, 2))
    assert [found.offset for found in part.sram["s"]] == [0, PMU.capacity // 2]
    assert not conflicts(part, "s", PMU)


def test_copies_in_one_bank_conflict() -> None:
    part = mapped(one_flow(2 * 100, 2))
    ranges = tuple(SramRange(flow="s", stage="a", copy=copy, offset=100 * copy, size=100) for copy in range(2))
    assert conflicts(replace(part, sram={"s": ranges}), "s", PMU)
    apart = (ranges[0], replace(ranges[1], offset=BANK))
    assert not conflicts(replace(part, sram={"s": apart}), "s", PMU)


def test_one_copy_never_conflicts() -> None:
    assert not conflicts(mapped(one_flow(2 * PMU.capacity, 1)), "s", PMU)


def test_odd_bytes_of_a_full_pmu_are_counted_once() -> None:
    """Three buffers of 2/3 of two PMUs each: whole bytes for each of them would be one too many."""
    flows = [
        replace(stream(f"s{number}", "a", "b", size), depth=1) for number, size in enumerate((43691, 43691, 43690))
    ]
    made = section("x", [stage("a", 1, 2), stage("b", 1, 1)], streams=flows)
    assert sum(flow.tile_bytes for flow in flows) == 2 * PMU.capacity
    (last,) = mapped(made).sram["s2"]
    assert last.offset + last.size == PMU.capacity


def said(mapping: Mapping) -> str:
    return "\n".join(str(problem) for problem in check(mapping, toy()))


@pytest.mark.parametrize(
    ("offset", "size", "message"),
    [
        (0, 100, "copy 0 of 's' and copy 1 of 's' overlap in the PMUs of 'a'"),
        (PMU.capacity, 100, "the buffers of stage 'a' take 64.1 KiB of each PMU, which has 64 KiB"),
        (1000, 99, "copy 1 of 's' has 99 bytes in each PMU, too few"),
    ],
)
def test_a_range_that_is_changed_is_found(offset: int, size: int, message: str) -> None:
    mapping = map_onto(program([one_flow(2 * 100, 2)]), toy(), MapOptions(effort=0))
    part = mapping.sections[0]
    first, second = part.sram["s"]
    sram = {"s": (first, replace(second, offset=offset, size=size))}
    assert message in said(replace(mapping, sections=(replace(part, sram=sram),)))


def test_a_copy_that_is_nowhere_is_found() -> None:
    mapping = map_onto(program([one_flow(2 * 100, 2)]), toy(), MapOptions(effort=0))
    part = mapping.sections[0]
    sections = (replace(part, sram={"s": part.sram["s"][:1]}),)
    assert "the buffer of 's' has 1 of 2 copies in PMUs" in said(replace(mapping, sections=sections))


def test_a_load_has_as_many_copies_as_parts_fit_in_front_of_its_stage() -> None:
    load = replace(memory("w", "a", 300, tiles=4), prefetch=Bytes(700))
    found = assign(section("x", [stage("a", 1, 1)], loads=[load]), PMU)["w"]
    assert [(place.copy, place.size) for place in found] == [(0, 350), (1, 350)]
