from __future__ import annotations

import numpy as np
import pytest

from rdusim.mapping.mesh import EAST, IN, NORTH, OUT, SOUTH, WEST, mesh_of
from rdusim.mapping.place import place, windows
from rdusim.mapping.types import Placement, SiteKind
from tests.mapping.programs import machine, memory, section, sn40l, stage


def test_links_lead_to_the_neighbours_and_ports_to_the_top_level_network() -> None:
    mesh = mesh_of(machine(rows=3, cols=4, tiles_per_die=2).socket)
    middle = mesh.switch(mesh.sites[12 + 5])  # tile 1, row 1, column 1
    links = np.array([mesh.link(middle, direction) for direction in (NORTH, EAST, SOUTH, WEST)])
    tail, head = mesh.ends(links)
    assert tail.tolist() == [17] * 4
    assert head.tolist() == [13, 18, 21, 16]
    assert mesh.exists(links).all()
    tail, head = mesh.ends(np.array([mesh.port(12, OUT), mesh.port(12, IN)]))
    assert (tail.tolist(), head.tolist()) == ([12, 24], [24, 12])


def test_no_link_leaves_the_mesh_and_no_port_is_inside() -> None:
    mesh = mesh_of(machine(rows=3, cols=4).socket)
    # 2 x (3 x 3 + 2 x 4) directed links between neighbours, 2 ports at each of the 10 edge switches.
    assert mesh.exists(np.arange(mesh.mesh_links)).sum() == 34
    assert mesh.exists(np.arange(mesh.mesh_links, mesh.links)).sum() == 20
    assert not mesh.exists(np.array([-1, mesh.links])).any()


def test_units_alternate_like_a_checkerboard() -> None:
    mesh = mesh_of(sn40l().socket)
    kinds = [site.kind for site in mesh.sites]
    assert kinds.count(SiteKind.PCU) == kinds.count(SiteKind.PMU) == 1040
    assert all((site.kind is SiteKind.PCU) == ((site.row + site.col) % 2 == 0) for site in mesh.sites)


def test_agcus_are_spread_over_both_edges() -> None:
    mesh = mesh_of(machine(rows=8, cols=5, agcus=4, tiles_per_die=2).socket)
    assert [divmod(switch, 5) for switch in mesh.agcus[0].tolist()] == [(2, 0), (2, 4), (6, 0), (6, 4)]
    assert (mesh.agcus[1] == mesh.agcus[0] + 40).all()


def test_a_section_may_use_every_site_of_a_socket() -> None:
    mesh = mesh_of(sn40l().socket)
    stages = [stage("a", 500, 20), stage("b", 40, 700), stage("c", 300, 0), stage("d", 200, 320)]
    placed = place(section("x", stages), mesh)
    assert {site for of in placed for site in (*of.pcus, *of.pmus)} == set(mesh.sites)
    assert [(len(of.pcus), len(of.pmus)) for of in placed] == [(500, 20), (40, 700), (300, 0), (200, 320)]


def reach(placed: Placement) -> int:
    """Half the circumference of the smallest rectangle around the sites of a stage."""
    rows = [site.row for site in (*placed.pcus, *placed.pmus)]
    cols = [site.col for site in (*placed.pcus, *placed.pmus)]
    return max(rows) - min(rows) + max(cols) - min(cols)


def test_stages_are_compact_stay_on_a_tile_and_lie_beside_the_next() -> None:
    mesh = mesh_of(sn40l().socket)
    placed = place(section("x", [stage(f"s{number}", 31, 31) for number in range(30)]), mesh)
    tiles = [{site.tile for site in (*of.pcus, *of.pmus)} for of in placed]
    assert all(len(of) == 1 for of in tiles)
    assert tiles == sorted(tiles, key=min)  # both tiles of a die before those of the other
    # 62 squares are at best 8 x 8; a strip over the whole tile would reach 27.
    assert np.median([reach(of) for of in placed]) <= 16
    centres = [np.mean([(site.row, site.col) for site in of.pmus], axis=0) for of in placed]
    steps = [
        abs(here - there).sum()
        for here, there, one, other in zip(centres, centres[1:], tiles, tiles[1:], strict=False)
        if one == other
    ]
    assert np.median(steps) <= 10


def test_a_small_section_takes_the_tiles_whose_agcus_it_needs() -> None:
    mesh = mesh_of(sn40l().socket)
    stages = [stage("a", 40, 40)]
    alone = place(section("x", stages), mesh)
    hungry = place(section("x", stages, loads=[memory("w", "a", agcus=48)]), mesh)
    assert {site.tile for site in alone[0].pcus} == {0}
    assert {site.tile for site in hungry[0].pmus} == {0, 1, 2, 3}


@pytest.mark.parametrize(("pcus", "together"), [(3, True), (5, False)])
def test_alternating_sections_share_the_chip_where_they_fit(pcus: int, together: bool) -> None:
    mesh = mesh_of(machine(rows=4, cols=4).socket)
    pair = [section("x", [stage("a", pcus, 2)]), section("y", [stage("b", pcus, 2)])]
    shares = windows(pair, mesh)
    assert (shares is not None) == together
    if shares:
        first, second = (place(part, mesh, share)[0] for part, share in zip(pair, shares, strict=True))
        assert not {*first.pcus, *first.pmus} & {*second.pcus, *second.pmus}
