"""Placement that minimises routed traffic: layouts that promise less are routed, and the best that really is stays.

The constructive layout is the first candidate, so what is chosen is never worse: first by how far the fullest link is
beyond what it can carry, then by traffic, bytes x hops with ways between tiles and dies priced as in `order`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from rdusim.mapping.mesh import Mesh
from rdusim.mapping.negotiate import Limits
from rdusim.mapping.order import Dear, better_order
from rdusim.mapping.place import Layout, Sites, Window, constructive, lay
from rdusim.mapping.route import Routing, route, settle
from rdusim.mapping.types import Placement
from rdusim.program.types import Section

NARROW = 2  # rows of a band: stages as strips over the whole width, near AGCUs of both edges


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Placed:
    """Sites of a section and the ways of its flows between them."""

    sites: Sites
    routing: Routing


def improve(
    section: Section, mesh: Mesh, window: Window, limits: Limits, dear: Dear, *, seed: int, effort: int
) -> Placed:
    """The best layout found. `effort`: rounds of the search for an order; 0: the constructive layout."""

    def settled(found: Placed) -> Placed:
        return Placed(sites=found.sites, routing=settle(found.routing, limits, mesh))

    def score(found: Placed) -> tuple[float, float]:
        """What comes first is better: no link beyond what it carries, then the least traffic."""
        return max(1.0, found.routing.fullest(limits, mesh)), traffic(found.routing, dear, mesh)

    first, *others = [
        _placed(section, mesh, window, layout) for layout in _layouts(section, mesh, window, dear, seed, effort)
    ]
    best = settled(first)
    for found in sorted(others, key=lambda found: traffic(found.routing, dear, mesh)):
        full, least = score(best)
        if full <= 1.0 and least <= traffic(found.routing, dear, mesh):
            break  # this one and those behind it have more traffic even before they negotiate
        best = min(best, settled(found), key=score)
    return best


def fixed(section: Section, mesh: Mesh, window: Window, limits: Limits, given: Mapping[str, Placement]) -> Placed:
    """Stages in `given` at their sites there, the others where the constructive layout puts them."""
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
    enters = np.flatnonzero(nets.feeder >= 0)
    dies = mesh.die_of(nets.tile)
    price = dear.tln + dear.die * (dies[enters] != dies[nets.feeder[enters]])
    moved = nets.bytes * routing.times[nets.flow]
    # What neither stays on a tile nor goes to another one is memory's.
    port = np.where(nets.enters & (nets.feeder < 0), nets.source, nets.door)
    fed = np.zeros(nets.flow.size + 1, dtype=np.bool_)
    fed[nets.feeder] = True
    memory = (port >= 0) & ~fed[:-1] & (nets.feeder < 0)
    busiest = np.bincount(port[memory], moved[memory], 1).max()
    return float(routing.total.sum() + moved[enters] @ price + busiest * mesh.agcus.size * dear.agcu)


def _layouts(section: Section, mesh: Mesh, window: Window, dear: Dear, seed: int, effort: int) -> list[Layout]:
    """The constructive layout, and with any effort a better order in bands of several heights."""
    first = constructive(section, mesh, window)
    if not effort or len(section.stages) < 2:
        return [first]
    better = better_order(section, mesh, window, first, dear, seed=seed, effort=effort)
    found = [replace(better, band=band) for band in (first.band, mesh.rows, NARROW)]
    return list(dict.fromkeys((first, *found)))


def _placed(section: Section, mesh: Mesh, window: Window, layout: Layout) -> Placed:
    sites = lay(section, mesh, window, layout)
    return Placed(sites=sites, routing=route(section, sites.pcus, sites.pmus, mesh))
