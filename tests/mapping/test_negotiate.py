from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdusim.arch.types import Arch
from rdusim.mapping.costs import costs
from rdusim.mapping.mesh import Ints, Mesh, mesh_of
from rdusim.mapping.negotiate import Limits
from rdusim.mapping.place import constructive, lay, whole
from rdusim.mapping.route import Routing, route, routes_of, settle
from rdusim.mapping.ways import lengths, mesh_links, ways
from rdusim.program.types import Section
from tests.mapping.programs import machine, machines, section, sections, stage, stream


def plain(made: Section, mesh: Mesh) -> Routing:
    sites = lay(made, mesh, whole(mesh), constructive(made, mesh, whole(mesh)))
    return route(made, sites.pcus, sites.pmus, mesh)


@settings(max_examples=25)
@given(data=st.data(), arch=machines())
def test_a_way_costs_what_its_links_cost(data: st.DataObject, arch: Arch) -> None:
    """Every net along every trunk: prefix sums say what the links of the way say, one by one."""
    mesh = mesh_of(arch.socket)
    found = plain(data.draw(sections(arch, "x", 1)), mesh)
    net = np.arange(found.nets.flow.size)
    if not net.size:
        return
    price = np.random.default_rng(data.draw(st.integers(0, 99))).random(mesh.mesh_links)
    all_costs = costs(found.axes, net, price, mesh)
    for trunk in range(mesh.rows + mesh.cols):
        link, owner = mesh_links(net, np.full(net.size, trunk), found.axes)
        assert mesh.exists(link).all()
        assert np.bincount(owner, price[link], net.size) == pytest.approx(all_costs[:, trunk])


def way_by_way(found: Routing, mesh: Mesh) -> Ints:
    """Links to the farthest target of each net, walked."""
    made = ways(found.nets, found.trunks, found.axes, mesh)
    tails, heads = mesh.ends(made.link)
    farthest = np.zeros_like(found.nets.flow)
    for net in range(found.nets.flow.size):
        hops = {int(found.nets.source[net]): 0}
        for at in range(made.first[net], made.first[net + 1]):
            if heads[at] != mesh.switches and tails[at] != mesh.switches:
                hops[int(heads[at])] = hops[int(tails[at])] + 1
        members = found.nets.member[found.nets.first[net] : found.nets.first[net + 1]]
        farthest[net] = max(hops[switch] for switch in members.tolist())
    return farthest


@settings(max_examples=30)
@given(data=st.data(), arch=machines())
def test_lengths_are_those_of_the_ways(data: st.DataObject, arch: Arch) -> None:
    mesh = mesh_of(arch.socket)
    found = plain(data.draw(sections(arch, "x", 1)), mesh)
    farthest, _ = lengths(found.nets, found.trunks, found.axes)
    assert (farthest == way_by_way(found, mesh)).all()


def limited(flows: int, size: float) -> Limits:
    return Limits(all_flows=size, of_flow=np.full(flows, np.inf))


def test_who_has_another_way_gives_way() -> None:
    """Three equal nets from one corner to the other: XY and YX take two of them, the third goes between."""
    mesh = mesh_of(machine(rows=4, cols=4).socket)
    made = section(
        "x", [stage("a", 0, 1), stage("b", 1, 0)], streams=[stream(name, "a", "b", 64) for name in ("s", "t", "u")]
    )
    pcus = {"a": np.zeros(0, dtype=np.int64), "b": np.array([15])}
    pmus = {"a": np.array([0]), "b": np.zeros(0, dtype=np.int64)}
    found = route(made, pcus, pmus, mesh)
    assert found.link_load == 2 * 4 * 64
    settled = settle(found, limited(3, 2 * 4 * 64), mesh)
    assert settled is found  # two of them fit
    # A corner has two links: one of three nets is too much for them, and the best is kept.
    assert settle(found, limited(3, 4 * 64), mesh).link_load == 2 * 4 * 64


def test_a_crowded_row_is_left_for_the_rows_beside_it() -> None:
    """Two nets along one row, opposite ends shared: a Z through another row makes room."""
    mesh = mesh_of(machine(rows=3, cols=6).socket)
    streams = [stream("s", "a", "c", 64), stream("t", "b", "d", 64)]
    made = section("x", [stage("a", 0, 1), stage("b", 0, 1), stage("c", 1, 0), stage("d", 1, 0)], streams=streams)
    nothing = np.zeros(0, dtype=np.int64)
    pmus = {"a": np.array([6]), "b": np.array([7]), "c": nothing, "d": nothing}
    pcus = {"a": nothing, "b": nothing, "c": np.array([10]), "d": np.array([11])}
    found = route(made, pcus, pmus, mesh)
    assert found.link_load == 2 * 4 * 64
    settled = settle(found, limited(2, 4 * 64), mesh)
    assert settled.link_load == 4 * 64
    routes = routes_of(settled, made, pcus, pmus, mesh)
    assert sorted(len(net.links) for route in routes.values() for net in route.nets) == [4, 6]
    assert sorted(route.hops for route in routes.values()) == [5, 7]
