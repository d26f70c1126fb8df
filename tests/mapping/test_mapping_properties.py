from __future__ import annotations

from dataclasses import replace
from time import process_time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rdusim.arch.types import Arch
from rdusim.errors import MappingError, OptionError
from rdusim.mapping.check import check
from rdusim.mapping.map_onto import map_onto
from rdusim.mapping.mesh import IN, mesh_of
from rdusim.mapping.types import MapOptions, MappedSection, Mapping, Net, Orchestration, flows_of
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


@settings(max_examples=40)
@given(data=st.data(), arch=machines())
def test_every_program_that_fits_is_mapped_legally(data: st.DataObject, arch: Arch) -> None:
    made = data.draw(programs(arch))
    mapping = map_onto(made, arch, MapOptions(effort=4))
    assert check(mapping, arch) == []
    for part in mapping.sections:
        assert part.routes.keys() == {flow.name for flow in flows_of(part.section)}


def with_nets(mapping: Mapping, number: int, name: str, nets: list[Net]) -> Mapping:
    """The mapping with other nets of a route, and the loads that these give."""
    part = mapping.sections[number]
    loads: dict[int, float] = {}
    for net in nets:
        for link in net.links:
            loads[link] = loads.get(link, 0.0) + net.bytes
    route = replace(
        part.routes[name],
        nets=tuple(nets),
        links=tuple(sorted(loads)),
        tile_load=tuple(loads[at] for at in sorted(loads)),
    )
    changed: list[MappedSection] = list(mapping.sections)
    changed[number] = replace(part, routes={**part.routes, name: route})
    return replace(mapping, sections=tuple(changed))


@settings(max_examples=40)
@given(data=st.data(), arch=machines())
def test_a_net_that_is_changed_is_found(data: st.DataObject, arch: Arch) -> None:
    """A link is dropped, a target moved, its bytes are others, it is gone, or it exchanges its targets with another."""
    mapping = map_onto(data.draw(programs(arch)), arch, MapOptions(effort=0))
    routed = [
        (number, flow)
        for number, part in enumerate(mapping.sections)
        for flow in flows_of(part.section)
        if any(net.bytes and net.links for net in part.routes[flow.name].nets)
    ]
    assume(routed)
    number, flow = data.draw(st.sampled_from(routed))
    nets = list(mapping.sections[number].routes[flow.name].nets)
    at = data.draw(st.sampled_from([index for index, net in enumerate(nets) if net.bytes and net.links]))
    net = nets[at]
    change = data.draw(st.sampled_from(["link", "target", "bytes", "net", "exchange"]))
    if change == "link":
        gone = data.draw(st.integers(0, len(net.links) - 1))
        nets[at] = replace(net, links=net.links[:gone] + net.links[gone + 1 :])
    elif change == "target":
        size = arch.socket.tile.rows * arch.socket.tile.cols
        other = data.draw(st.integers(0, size - 1)) + net.source // size * size
        assume(other not in net.targets)
        nets[at] = replace(net, targets=(other, *net.targets[1:]))
    elif change == "bytes":
        nets[at] = replace(net, bytes=net.bytes * 1.5)
    elif change == "net":
        del nets[at]
    else:
        same = [
            index for index, other in enumerate(nets)
            if other.source != net.source and other.targets != net.targets and other.bytes == net.bytes
        ]  # fmt: skip
        assume(same)
        other = data.draw(st.sampled_from(same))
        nets[at], nets[other] = replace(net, targets=nets[other].targets), replace(nets[other], targets=net.targets)
    message = f"the route of stream {flow.name!r} does not bring every byte"
    assert message in said(with_nets(mapping, number, flow.name, nets), arch)


@settings(max_examples=20)
@given(data=st.data(), arch=machines())
def test_nets_are_trees_that_add_up_to_the_loads(data: st.DataObject, arch: Arch) -> None:
    mapping = map_onto(data.draw(programs(arch)), arch, MapOptions(effort=0))
    mesh = mesh_of(arch.socket)
    for part in mapping.sections:
        for route in part.routes.values():
            loads = dict.fromkeys(route.links, 0.0)
            for net in route.nets:
                tails, heads = mesh.ends(np.array(net.links, dtype=np.int64))
                been = {net.source} if not net.links or tails[0] != mesh.switches else set()
                for link, tail, head in zip(net.links, tails.tolist(), heads.tolist(), strict=True):
                    assert tail in been or (tail == mesh.switches and not been)
                    assert head not in been
                    been.add(head)
                    loads[link] += net.bytes
                assert set(net.targets) <= been
            assert tuple(loads.values()) == pytest.approx(route.tile_load, rel=1e-9)
        loads_at = np.zeros(mesh.links)
        for flow in flows_of(part.section):
            route = part.routes[flow.name]
            loads_at[list(route.links)] += np.array(route.tile_load) * flow.tiles
        on_mesh = loads_at[: mesh.mesh_links] / mesh.vector_links
        assert part.link_load == pytest.approx(on_mesh.max())
        assert part.busiest_link == -1 or on_mesh[part.busiest_link] == pytest.approx(on_mesh.max())


@settings(max_examples=15)
@given(data=st.data(), arch=machines(), seed=st.integers(0, 9), effort=st.integers(0, 8))
def test_the_same_seed_gives_the_same_mapping(data: st.DataObject, arch: Arch, seed: int, effort: int) -> None:
    made, options = data.draw(programs(arch)), MapOptions(seed=seed, effort=effort)
    assert map_onto(made, arch, options) == map_onto(made, arch, options)


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
    """A net whose links feed each other beside its target, and reach it from nowhere."""
    arch = machine(rows=1, cols=6)
    made = section("x", [stage("a", 0, 1), stage("b", 1, 0)], streams=[stream("s", "a", "b", 8, multicast=True)])
    mapping = map_onto(program([made]), arch)
    (net,) = mapping.sections[0].routes["s"].nets
    (target,) = net.targets
    circle = replace(net, links=(4 * target + 1, 4 * (target + 1) + 3))
    assert "does not bring every byte" in said(with_nets(mapping, 0, "s", [circle]), arch)


def test_a_wrong_schedule_is_found() -> None:
    mapping = mapped(toy())
    fewer = replace(mapping.launches[0], times=1)
    assert "is started 1 times instead of 2" in said(replace(mapping, launches=(fewer,)), toy())


def test_a_false_link_load_is_found() -> None:
    mapping = mapped(toy())
    assert "the busiest link carries" in said(with_section(mapping, link_load=1.0), toy())


def test_loads_that_are_not_those_of_the_nets_are_found() -> None:
    mapping = mapped(toy())
    route = mapping.sections[0].routes["plain"]
    routes = {
        **mapping.sections[0].routes,
        "plain": replace(route, tile_load=tuple(2 * load for load in route.tile_load)),
    }
    assert "the loads of stream 'plain' are not those of its nets" in said(with_section(mapping, routes=routes), toy())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"busiest_link": 10**6}, "link 1000000 is not the busiest one"),
        ({"slowdown": 99.0}, ", not 99.000"),
        ({"claimed": 1.0}, "cycles, not 1"),
    ],
)
def test_a_false_statement_about_links_is_found(changes: dict[str, object], message: str) -> None:
    assert message in said(with_section(mapped(toy()), **changes), toy())


def test_a_load_that_does_not_come_by_an_agcu_is_found() -> None:
    """The same net from the switch beside the AGCU's, which has a port, too."""
    arch = machine(rows=4, cols=4, agcus=1)
    made = section("x", [stage("a", 0, 1)], loads=[memory("in", "a", 60)])
    mapping = map_onto(program([made]), arch)
    mesh = mesh_of(arch.socket)
    (net,) = mapping.sections[0].routes["in"].nets
    site = net.targets[0]
    way = (mesh.port(int(mesh.doors[site]), IN),)
    assert int(mesh.doors[site]) == site != net.source
    nets = [replace(net, source=site, links=way)]
    assert "does not bring every byte" in said(with_nets(mapping, 0, "in", nets), arch)


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
    """Measured 0.2 s; the bound leaves room for a busy machine."""
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
    assert process_time() - begin < 1.0
    assert len({site for placed in mapping.sections[0].placements for site in (*placed.pcus, *placed.pmus)}) == 1860
