from __future__ import annotations

import pytest

from rdusim.mapping.mesh import IN, Mesh, mesh_of
from rdusim.mapping.route import route, routes_of
from rdusim.mapping.types import Route, Site
from rdusim.program.types import Section
from tests.mapping.programs import machine, memory, section, stage, stream

STAGES = [stage("a", 0, 1), stage("b", 1, 0)]


def at(mesh: Mesh, tile: int, *squares: tuple[int, int]) -> tuple[Site, ...]:
    return tuple(mesh.sites[(tile * mesh.rows + row) * mesh.cols + col] for row, col in squares)


def routed(mesh: Mesh, made: Section, **placed: tuple[tuple[Site, ...], tuple[Site, ...]]) -> tuple[Route, float]:
    """The route of stream `s`, and the load of the busiest link."""
    routes, load = all_routed(mesh, made, **placed)
    return routes["s"], load


def all_routed(
    mesh: Mesh, made: Section, **placed: tuple[tuple[Site, ...], tuple[Site, ...]]
) -> tuple[dict[str, Route], float]:
    pcus = {name: mesh.switches_of(sites) for name, (sites, _) in placed.items()}
    pmus = {name: mesh.switches_of(sites) for name, (_, sites) in placed.items()}
    routing = route(made, pcus, pmus, mesh)
    return routes_of(routing, made, pcus, pmus, mesh), routing.link_load / mesh.vector_links


def ways(mesh: Mesh, found: Route) -> dict[tuple[int, int], float]:
    """Bytes of a tile by pair of neighbouring switches, ports left out."""
    return {
        (link // 4, link // 4 + (-mesh.cols, 1, mesh.cols, -1)[link % 4]): load
        for link, load in zip(found.links, found.tile_load, strict=True)
        if link < mesh.mesh_links
    }


def test_a_path_goes_along_the_row_then_along_the_column() -> None:
    mesh = mesh_of(machine(rows=4, cols=4).socket)
    made = section("x", STAGES, streams=[stream("s", "a", "b", 64)])
    found, load = routed(mesh, made, a=((), at(mesh, 0, (0, 1))), b=(at(mesh, 0, (2, 2)), ()))
    assert ways(mesh, found) == {(1, 2): 64, (2, 6): 64, (6, 10): 64}
    assert found.hops == 4  # switches
    assert load == 4 * 64
    assert (found.tln_bytes, found.die_crossing_bytes) == (0, 0)


def test_backward_paths_use_backward_links() -> None:
    mesh = mesh_of(machine(rows=4, cols=4).socket)
    made = section("x", STAGES, streams=[stream("s", "a", "b", 64)])
    found, _ = routed(mesh, made, a=((), at(mesh, 0, (2, 3))), b=(at(mesh, 0, (0, 2)), ()))
    assert ways(mesh, found) == {(11, 10): 64, (10, 6): 64, (6, 2): 64}


def test_parallel_links_share_the_load() -> None:
    mesh = mesh_of(machine(rows=4, cols=4, vector_links=2).socket)
    made = section("x", STAGES, streams=[stream("s", "a", "b", 64)])
    found, load = routed(mesh, made, a=((), at(mesh, 0, (0, 1))), b=(at(mesh, 0, (0, 2)), ()))
    assert found.tile_load == (64,)
    assert load == 4 * 64 / 2


def test_a_multicast_tree_carries_the_tile_once_on_every_link() -> None:
    mesh = mesh_of(machine(rows=4, cols=4).socket)
    made = section("x", STAGES, streams=[stream("s", "a", "b", 64, multicast=True)])
    targets = at(mesh, 0, (0, 2), (2, 2), (1, 3), (3, 3))
    found, load = routed(mesh, made, a=((), at(mesh, 0, (1, 0))), b=(targets, ()))
    trunk = {(4, 5): 64, (5, 6): 64, (6, 7): 64}
    assert ways(mesh, found) == trunk | {(6, 2): 64, (6, 10): 64, (7, 11): 64, (11, 15): 64}
    assert load == 4 * 64


def test_a_spread_stream_gives_every_target_its_part() -> None:
    mesh = mesh_of(machine(rows=1, cols=6).socket)
    made = section("x", STAGES, streams=[stream("s", "a", "b", 60)])
    # Sources 1 and 3 hold 30 bytes each; targets 2 and 0 get 30 each, in order.
    found, _ = routed(mesh, made, a=((), at(mesh, 0, (0, 1), (0, 3))), b=(at(mesh, 0, (0, 2), (0, 0)), ()))
    assert ways(mesh, found) == {(1, 2): 30, (3, 2): 30, (2, 1): 30, (1, 0): 30}


def test_a_stream_to_another_tile_leaves_and_enters_by_the_nearest_edge() -> None:
    mesh = mesh_of(machine(rows=4, cols=4, dies=2).socket)
    made = section("x", STAGES, streams=[stream("s", "a", "b", 64)])
    found, _ = routed(mesh, made, a=((), at(mesh, 0, (1, 2))), b=(at(mesh, 1, (2, 2)), ()))
    assert ways(mesh, found) == {(6, 7): 64, (16 + 11, 16 + 10): 64}
    assert {link for link in found.links if link >= mesh.mesh_links} == {mesh.port(7, 0), mesh.port(16 + 11, IN)}
    assert (found.hops, found.tln_bytes, found.die_crossing_bytes) == (4, 64, 64)


def test_a_multicast_to_two_tiles_leaves_once_and_enters_each() -> None:
    mesh = mesh_of(machine(rows=4, cols=4, dies=1, tiles_per_die=3).socket)
    made = section("x", STAGES, streams=[stream("s", "a", "b", 64, multicast=True)])
    targets = (*at(mesh, 1, (1, 1)), *at(mesh, 2, (1, 1)))
    found, _ = routed(mesh, made, a=((), at(mesh, 0, (1, 2))), b=(targets, ()))
    assert ways(mesh, found) == {(6, 7): 64, (20, 21): 64, (36, 37): 64}
    assert (found.tln_bytes, found.die_crossing_bytes) == (128, 0)


def test_the_way_to_the_door_is_part_of_the_tree() -> None:
    """The target (0, 2) stands at the source's door: its link carries the tile once, for here and for elsewhere."""
    mesh = mesh_of(machine(rows=3, cols=5, tiles_per_die=2).socket)
    made = section("x", STAGES, streams=[stream("s", "a", "b", 64, multicast=True)])
    targets = (*at(mesh, 0, (0, 2)), *at(mesh, 1, (1, 1)))
    found, _ = routed(mesh, made, a=((), at(mesh, 0, (1, 2))), b=(targets, ()))
    assert ways(mesh, found) == {(7, 2): 64, (20, 21): 64}


def test_two_streams_on_one_way_take_different_turns() -> None:
    """XY for both would put both on the same links; YX for one halves the peak."""
    mesh = mesh_of(machine(rows=4, cols=4).socket)
    stages = [stage("a", 0, 2), stage("b", 2, 0)]
    made = section("x", stages, streams=[stream("s", "a", "b", 64), stream("t", "a", "b", 64)])
    _, load = routed(mesh, made, a=((), at(mesh, 0, (0, 1))), b=(at(mesh, 0, (2, 2)), ()))
    assert load == 4 * 64


def test_a_load_uses_as_many_agcus_as_it_asked_for_and_half_of_it_crosses_two_dies() -> None:
    arch = machine(rows=4, cols=4, agcus=4, dies=2)
    mesh = mesh_of(arch.socket)
    made = section("x", [stage("a", 0, 4)], loads=[memory("s", "a", 1024, agcus=2)])
    found, _ = routed(mesh, made, a=((), at(mesh, 1, (0, 1), (0, 3), (1, 0), (1, 2))))
    ports = [link for link in found.links if link >= mesh.mesh_links]
    assert len(ports) == 2
    assert {(link - mesh.mesh_links) // 2 for link in ports} <= set(mesh.agcus[1].tolist())
    assert found.tln_bytes == 1024
    assert found.die_crossing_bytes == 512


def test_loads_go_to_different_agcus() -> None:
    mesh = mesh_of(machine(rows=4, cols=4, agcus=4).socket)
    loads = [memory(name, "a", 1024) for name in ("s", "t", "u", "v")]
    routes, _ = all_routed(mesh, section("x", [stage("a", 0, 1)], loads=loads), a=((), at(mesh, 0, (0, 1))))
    ports = [link for found in routes.values() for link in found.links if link >= mesh.mesh_links]
    assert len(set(ports)) == 4


@pytest.mark.parametrize("tiles", [1, 5])
def test_what_is_loaded_once_counts_once(tiles: int) -> None:
    mesh = mesh_of(machine(rows=1, cols=4, agcus=1).socket)
    made = section("x", [stage("a", 0, 1)], loads=[memory("s", "a", 100, tiles=tiles)])
    _, load = routed(mesh, made, a=((), at(mesh, 0, (0, 3))))
    assert load == 100 * tiles
