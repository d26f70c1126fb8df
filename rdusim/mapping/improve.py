"""Placement that minimises routed traffic: layouts that promise less are routed, and the best that really is stays.

The constructive layouts are among the candidates, so what is chosen is never worse: first by the time that it promises
(see `promise`), then by traffic, bytes x hops with ways between tiles and dies priced as in `order`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from rdusim.errors import MappingError, Problem
from rdusim.mapping.mesh import Mesh
from rdusim.mapping.negotiate import Limits
from rdusim.mapping.order import Dear, better_order
from rdusim.mapping.place import Layout, Sites, Window, constructive, lay, whole
from rdusim.mapping.promise import Promise, memory_ports
from rdusim.mapping.route import Routing, route, settle
from rdusim.mapping.types import Placement
from rdusim.program.types import Section

CLOSE = 2  # digits: times within a hundredth are alike
NARROW = 2  # rows of a band: stages as strips over the whole width, near AGCUs of both edges


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Placed:
    """Sites of a section and the ways of its flows between them."""

    sites: Sites
    routing: Routing


def improve(
    section: Section,
    mesh: Mesh,
    window: Window,
    limits: Limits,
    dear: Dear,
    promise: Promise,
    *,
    seed: int,
    effort: int,
) -> Placed:
    """The best layout found. `effort`: rounds of the search for an order; 0: the constructive layouts."""

    def settled(found: Placed) -> Placed:
        return Placed(sites=found.sites, routing=settle(found.routing, limits, mesh))

    def score(found: Placed) -> tuple[float, float, float]:
        """What comes first is better: the promised time, then links within what they carry, then the least traffic."""
        time = round(promise(found.routing) / max(1.0, promise.claimed), CLOSE)
        return time, max(1.0, found.routing.fullest(limits, mesh)), traffic(found.routing, dear, mesh)

    def at_best(found: Placed, before: tuple[float, float, float]) -> tuple[float, float, float]:
        """The least that negotiating may make of a score: it empties links, and makes ways longer."""
        if before[1] <= 1.0:
            return before
        free = replace(found.routing, total=np.zeros_like(found.routing.total))
        return round(promise(free) / max(1.0, promise.claimed), CLOSE), 1.0, before[2]

    found = [_placed(section, mesh, window, layout) for layout in _layouts(section, mesh, window, dear, seed, effort)]
    best: tuple[tuple[float, float, float], Placed] | None = None
    for before, placed in sorted(((score(placed), placed) for placed in found), key=lambda pair: pair[0]):
        if best is not None and at_best(placed, before) >= best[0]:
            continue
        after = settled(placed)
        scored = score(after)
        if best is None or scored < best[0]:
            best = scored, after
    assert best is not None
    return best[1]


def fixed(section: Section, mesh: Mesh, window: Window, limits: Limits, given: Mapping[str, Placement]) -> Placed:
    """Stages in `given` at their sites there, the others where the constructive layout puts them.

    Raises MappingError for sites that the mesh does not have.
    """
    if wrong := [
        Problem(
            message=f"stage {name!r} cannot lie at tile {site.tile}, row {site.row}, column {site.col}",
            hint=f"there are {mesh.tiles} tiles of {mesh.rows} rows and {mesh.cols} columns, counted from 0",
        )
        for name, placed in given.items()
        for site in (*placed.pcus, *placed.pmus)
        if not (0 <= site.tile < mesh.tiles and 0 <= site.row < mesh.rows and 0 <= site.col < mesh.cols)
    ]:
        raise MappingError(*wrong)
    sites = lay(section, mesh, window, constructive(section, mesh, window))
    here = {stage.name: given[stage.name] for stage in section.stages if stage.name in given}
    sites = Sites(
        pcus=sites.pcus | {name: mesh.switches_of(placed.pcus) for name, placed in here.items()},
        pmus=sites.pmus | {name: mesh.switches_of(placed.pmus) for name, placed in here.items()},
    )
    return Placed(sites=sites, routing=settle(route(section, sites.pcus, sites.pmus, mesh), limits, mesh))


def traffic(routing: Routing, dear: Dear, mesh: Mesh) -> float:
    """Bytes x hops of one execution; ways between tiles and dies, and the busiest AGCU's bytes, as `dear` says."""
    nets = routing.nets
    ports = memory_ports(nets)
    enters = np.flatnonzero(nets.feeder >= 0)
    dies = mesh.die_of(nets.tile)
    price = dear.tln + dear.die * (dies[enters] != dies[nets.feeder[enters]])
    moved = nets.bytes * routing.times[nets.flow]
    memory = ports >= 0
    busiest = np.bincount(ports[memory], moved[memory], 1).max()
    return float(routing.total.sum() + moved[enters] @ price + busiest * mesh.agcus.size * dear.agcu)


def _layouts(section: Section, mesh: Mesh, window: Window, dear: Dear, seed: int, effort: int) -> list[Layout]:
    """The constructive layout, tile after tile and on all alike; with any effort a better order, and other bands."""
    first = constructive(section, mesh, window)
    alike = [replace(first, alike=True)] if mesh.tiles > 1 and len(section.stages) > 1 else []
    if not effort or len(section.stages) < 2:
        return [first, *alike]
    better = better_order(section, mesh, window, first, dear, seed=seed, effort=effort)
    bands = (first.band, mesh.rows, NARROW) if window == whole(mesh) else (first.band,)
    found = [replace(better, band=band) for band in bands]
    alike += [replace(layout, band=band) for layout in alike for band in bands[1:]]
    return list(dict.fromkeys((first, *found, *alike)))


def _placed(section: Section, mesh: Mesh, window: Window, layout: Layout) -> Placed:
    sites = lay(section, mesh, window, layout)
    return Placed(sites=sites, routing=route(section, sites.pcus, sites.pmus, mesh))
