from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdusim.arch.types import Arch
from rdusim.mapping.improve import CLOSE, improve, traffic
from rdusim.mapping.map_onto import map_onto
from rdusim.mapping.mesh import mesh_of
from rdusim.mapping.negotiate import Limits
from rdusim.mapping.order import better_order, dear_of
from rdusim.mapping.place import Layout, constructive, lay, whole
from rdusim.mapping.promise import Promise
from rdusim.mapping.route import outside, route
from rdusim.mapping.types import MapOptions, Site
from rdusim.program.types import Section
from tests.mapping.programs import machine, machines, memory, program, section, sections, sn40l, stage, stream


@settings(max_examples=25)
@given(data=st.data(), arch=machines(), room=st.sampled_from([1e3, 1e5, np.inf]), seed=st.integers(0, 3))
def test_effort_never_makes_a_placement_worse(data: st.DataObject, arch: Arch, room: float, seed: int) -> None:
    made = data.draw(sections(arch, "x", 1))
    mesh, flows = mesh_of(arch.socket), len(made.streams) + len(made.loads) + len(made.stores)
    limits, dear = Limits(all_flows=room, of_flow=np.full(flows, np.inf)), dear_of(arch.socket, mesh)

    promise = Promise(section=made, allocations={}, arch=arch, mesh=mesh, claimed=1000.0, capacity=room)

    def score(effort: int) -> tuple[float, float, float]:
        found = improve(made, mesh, whole(mesh), limits, dear, promise, seed=seed, effort=effort).routing
        time = round(promise(found) / promise.claimed, CLOSE)
        return time, max(1.0, found.fullest(limits, mesh)), traffic(found, dear, mesh)

    assert score(8) <= score(0)


def far_apart(name: str = "x") -> Section:
    """Stages in an order that puts every stage's reader on another tile."""
    stages = [stage(f"{name}{number}", 30, 30) for number in range(16)]
    streams = [stream(f"t{number}", f"{name}{number}", f"{name}{number + 8}", 1 << 12) for number in range(8)]
    return section(name, stages, streams=streams)


def test_a_better_order_brings_readers_to_the_tile_of_their_writers() -> None:
    made, arch = far_apart(), sn40l()
    mesh = mesh_of(arch.socket)
    window = whole(mesh)

    def crossing(layout: Layout) -> float:
        sites = lay(made, mesh, window, layout)
        return float(outside(route(made, sites.pcus, sites.pmus, mesh).nets, made, mesh)[:, 0].sum())

    first = constructive(made, mesh, window)
    better = better_order(made, mesh, window, first, dear_of(arch.socket, mesh), seed=0, effort=64)
    assert crossing(better) < 0.3 * crossing(first)
    assert crossing(replace(first, alike=True)) < 0.3 * crossing(first)  # every tile holds writers and readers


def test_on_all_tiles_alike_every_stage_has_its_part_on_each() -> None:
    made, mesh = far_apart(), mesh_of(sn40l().socket)
    sites = lay(made, mesh, whole(mesh), replace(constructive(made, mesh, whole(mesh)), alike=True))
    for kind in (sites.pcus, sites.pmus):
        for switches in kind.values():
            counts = np.bincount(mesh.tile_of(switches), minlength=mesh.tiles)
            assert counts.max() - counts.min() <= 1
    every = np.concatenate([*sites.pcus.values(), *sites.pmus.values()])
    assert np.unique(every).size == every.size


def test_memory_is_spread_over_the_agcus_of_all_tiles() -> None:
    """Four heavy loads for the first four of eight stages: each comes to a tile of its own."""
    arch = machine(rows=6, cols=6, agcus=4, tiles_per_die=4)
    stages = [stage(f"s{number}", 8, 8) for number in range(8)]
    loads = [memory(f"w{number}", f"s{number}", 1 << 12, agcus=4) for number in range(4)]
    mapping = map_onto(program([section("x", stages, loads=loads)]), arch, MapOptions(effort=64))
    placed = {of.stage: of for of in mapping.sections[0].placements}
    assert len({placed[f"s{number}"].pmus[0].tile for number in range(4)}) == 4


def test_improved_sections_keep_to_their_windows() -> None:
    """Two sections that alternate, each half of the chip: neither takes a site of the other, so both stay loaded."""
    pair = [replace(far_apart(name), repeats=4) for name in ("x", "y")]
    mapping = map_onto(program(pair, order=(((0, 1), 4),)), sn40l(), MapOptions(effort=16))
    taken: list[set[Site]] = [
        {site for of in part.placements for site in (*of.pcus, *of.pmus)} for part in mapping.sections
    ]
    assert not taken[0] & taken[1]
    assert [launch.program_loads for launch in mapping.launches] == [1, 1]


def test_ways_between_dies_are_dearer_than_ways_on_a_tile() -> None:
    mesh = mesh_of(sn40l().socket)
    dear = dear_of(sn40l().socket, mesh)
    links = 4 * 2 * (19 * 26 + 20 * 25)
    assert dear.tln == pytest.approx(links * 2 * 64 / (2 * 2048))
    assert dear.die == pytest.approx(links * 2 * 64 / (2 * 1024))
