from __future__ import annotations

from dataclasses import replace
from time import process_time

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rdusim.arch.types import Arch
from rdusim.errors import MappingError, OptionError
from rdusim.mapping.check import check
from rdusim.mapping.map_onto import map_onto
from rdusim.mapping.mesh import mesh_of
from rdusim.mapping.types import MapOptions, MappedSection, Mapping, Orchestration, flows_of
from rdusim.program.types import Stream
from rdusim.units import Bytes
from tests.mapping.programs import (
    buffer,
    machine,
    machines,
    memory,
    program,
    programs,
    section,
    sn40l,
    stage,
    stream,
    toy,
)


def said(mapping: Mapping, arch: Arch) -> str:
    return "\n".join(str(problem) for problem in check(mapping, arch))


def mapped(arch: Arch) -> Mapping:
    """Two stages on a small machine: a multicast stream, a plain one, a load, a store, two buffers."""
    stages = [stage("a", 4, 3), stage("b", 3, 4)]
    streams = [stream("wide", "a", "b", 60, multicast=True), stream("plain", "a", "b", 60)]
    made = section("x", stages, 2, streams=streams, loads=[memory("in", "a", 60)], stores=[memory("out", "b", 60)])
    buffers = (buffer("in", 5000, (0, 0)), buffer("out", 5000, (0, 0)))
    return map_onto(program([made], buffers=buffers), arch)


def with_section(mapping: Mapping, **changes: object) -> Mapping:
    return replace(mapping, sections=(replace(mapping.sections[0], **changes),))  # type: ignore[arg-type]


@given(data=st.data(), arch=machines())
def test_every_program_that_fits_is_mapped_legally(data: st.DataObject, arch: Arch) -> None:
    made = data.draw(programs(arch))
    mapping = map_onto(made, arch)
    assert check(mapping, arch) == []
    for part in mapping.sections:
        assert part.routes.keys() == {flow.name for flow in flows_of(part.section)}


def without(mapping: Mapping, number: int, name: str, cut: set[int]) -> Mapping:
    """The mapping with some links of a route taken out."""
    part = mapping.sections[number]
    route = part.routes[name]
    left = [(link, load) for link, load in zip(route.links, route.tile_load, strict=True) if link not in cut]
    links, loads = tuple(link for link, _ in left), tuple(load for _, load in left)
    broken: list[MappedSection] = list(mapping.sections)
    broken[number] = replace(part, routes={**part.routes, name: replace(route, links=links, tile_load=loads)})
    return replace(mapping, sections=tuple(broken))


@given(data=st.data(), arch=machines())
def test_a_cut_route_is_found(data: st.DataObject, arch: Arch) -> None:
    """Any one link is missed; of a multicast from several sources, all links into any one of its targets."""
    mapping = map_onto(data.draw(programs(arch)), arch)
    mesh = mesh_of(arch.socket)
    routed = [
        (number, flow)
        for number, part in enumerate(mapping.sections)
        for flow in flows_of(part.section)
        if any(part.routes[flow.name].tile_load)
    ]
    assume(routed)
    number, flow = data.draw(st.sampled_from(routed))
    links = mapping.sections[number].routes[flow.name].links
    cut = {data.draw(st.sampled_from(links))}
    if isinstance(flow, Stream) and flow.multicast:
        placed = {of.stage: of for of in mapping.sections[number].placements}
        source, target = placed[flow.source], placed[flow.target]
        if len(source.pmus or source.pcus) > 1:
            site = data.draw(st.sampled_from(target.pcus or target.pmus))
            _, heads = mesh.ends(np.array(links))
            cut = {link for link, head in zip(links, heads.tolist(), strict=True) if head == mesh.switch(site)}
    message = f"the route of stream {flow.name!r} does not bring every byte"
    assert message in said(without(mapping, number, flow.name, cut), arch)


@given(data=st.data(), arch=machines())
def test_mapping_twice_gives_the_same(data: st.DataObject, arch: Arch) -> None:
    made = data.draw(programs(arch))
    assert map_onto(made, arch) == map_onto(made, arch)


def test_a_site_used_twice_is_found() -> None:
    mapping = mapped(toy())
    a, b = mapping.sections[0].placements
    twice = replace(b, pcus=(a.pcus[0], *b.pcus[1:]))
    assert "is used 2 times" in said(with_section(mapping, placements=(a, twice)), toy())


def test_a_missing_site_is_found() -> None:
    mapping = mapped(toy())
    a, b = mapping.sections[0].placements
    assert "has 2 PCUs instead of 3" in said(with_section(mapping, placements=(a, replace(b, pcus=b.pcus[1:]))), toy())


def test_a_site_of_the_wrong_kind_or_off_the_mesh_is_found() -> None:
    mapping = mapped(toy())
    a, b = mapping.sections[0].placements
    exchanged = replace(a, pcus=(a.pmus[0], *a.pcus[1:]), pmus=(a.pcus[0], *a.pmus[1:]))
    assert "has a PMU among its PCUs" in said(with_section(mapping, placements=(exchanged, b)), toy())
    outside = replace(a, pcus=(replace(a.pcus[0], row=9), *a.pcus[1:]))
    assert "there is no PCU at tile 0, row 9" in said(with_section(mapping, placements=(outside, b)), toy())


def test_a_moved_buffer_is_found() -> None:
    mapping = mapped(toy())
    one, other = mapping.allocations["in"], mapping.allocations["out"]
    for offset, message in (
        (one.offset, "overlap in memory while both live"),
        (other.offset + 1, "no multiple of 4096"),
        (toy().socket.memory[0].capacity, "lies outside the"),
    ):
        moved = {"in": one, "out": replace(other, offset=Bytes(offset))}
        assert message in said(replace(mapping, allocations=moved), toy())


def test_a_circle_that_feeds_itself_is_found() -> None:
    """A multicast route that reaches nobody, but has two links that feed each other beside each target."""
    arch = machine(rows=1, cols=6)
    made = section("x", [stage("a", 0, 1), stage("b", 1, 0)], streams=[stream("s", "a", "b", 8, multicast=True)])
    mapping = map_onto(program([made]), arch)
    target = mapping.sections[0].placements[1].pcus[0].col
    route = mapping.sections[0].routes["s"]
    circle = (4 * target + 1, 4 * (target + 1) + 3)
    routes = {"s": replace(route, links=circle, tile_load=(8.0, 8.0))}
    assert "does not bring every byte" in said(with_section(mapping, routes=routes), arch)


def test_a_wrong_schedule_is_found() -> None:
    mapping = mapped(toy())
    fewer = replace(mapping.launches[0], times=1)
    assert "is started 1 times instead of 2" in said(replace(mapping, launches=(fewer,)), toy())


def test_a_false_link_load_is_found() -> None:
    mapping = mapped(toy())
    assert "the busiest link carries" in said(with_section(mapping, link_load=1.0), toy())


def test_a_backward_stream_is_refused() -> None:
    made = section("x", [stage("a", 1, 1), stage("b", 1, 1)], streams=[stream("s", "b", "a")])
    with pytest.raises(MappingError, match="goes back from 'b' to 'a'"):
        map_onto(program([made]), toy())


def test_what_does_not_fit_is_said_with_the_way_out() -> None:
    wide = section("wide", [stage("a", 9, 1)])
    full = section("full", [stage("b", 1, 1, sram=1 << 20)])
    with pytest.raises(MappingError, match=r"section 'wide' needs 9 PCUs, the socket has 8 \(shard over more"):
        map_onto(program([wide, full]), toy())
    with pytest.raises(MappingError, match="'b' keeps 1 MiB in 1 PMUs of 64 KiB"):
        map_onto(program([full]), toy())
    greedy = section("greedy", [stage("c", 1, 1)], loads=[memory("in", "c", agcus=999)])
    with pytest.raises(MappingError, match="needs 999 AGCU contexts, the socket has 20"):
        map_onto(program([greedy]), toy())


def test_the_host_cannot_loop_sections() -> None:
    with pytest.raises(OptionError, match="host cannot loop"):
        map_onto(
            program([section("x", [stage("a", 1, 1)])]),
            toy(),
            MapOptions(orchestration=Orchestration.HOST, kernel_looping=True),
        )


def test_a_section_of_1900_units_is_mapped_in_a_fraction_of_a_second() -> None:
    """Measured 40 ms; the bound leaves room for a busy machine."""
    stages = [stage(f"s{number}", 31, 31) for number in range(30)]
    streams = [
        stream(f"t{number}.{step}", f"s{number}", f"s{min(29, number + step)}", 1 << 16, multicast=step == 1)
        for number in range(29)
        for step in (1, 4)
    ]
    loads = [memory(f"w{number}", f"s{number}", 1 << 20, agcus=8) for number in range(30)]
    made = program([section("decoder", stages, streams=streams, loads=loads)])
    begin = process_time()
    mapping = map_onto(made, sn40l())
    assert process_time() - begin < 0.5
    assert len({site for placed in mapping.sections[0].placements for site in (*placed.pcus, *placed.pmus)}) == 1860
