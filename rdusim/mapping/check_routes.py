"""Do routes bring every byte from its sources to its targets? Read off the links alone, as laws at each switch.

Point to point: what comes in or starts at a switch goes on or ends there, so the links make up paths from sources to
targets. Multicast: no link carries more than reaches its tail from elsewhere (a switch may copy but not invent), the
whole part reaches each target of it, and so does a way from each source of it. The top-level network counts as one
more switch.

Links do not say whose share they carry. So for a multicast from several sources these laws are necessary, not
sufficient: a missing link is excused where each source still has another way over links that are loaded enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from rdusim.mapping.mesh import Floats, Ints, Mesh
from rdusim.mapping.multicast import parts_of, shares
from rdusim.mapping.types import Flow, MappedSection, Route, flows_of
from rdusim.program.types import Section, Stream

# Sums of shares of a tile in floating point: relative to the tile.
TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Tables:
    """All routes at once. `tail`, `head`: nodes (route x (switches + 1) + switch) of each link; by node, in tiles:
    `supply` what starts there and `demand` what ends there. `broken`: routes with links that do not exist."""

    route: Ints
    tail: Ints
    head: Ints
    load: Floats
    supply: Floats
    demand: Floats
    broken: NDArray[np.bool_]


def check_routes(section: Section, mapped: MappedSection, mesh: Mesh) -> list[str]:
    """What is wrong with the routes of a section whose stages are placed well."""
    streams = flows_of(section)
    problems = [f"stream {stream.name!r} has no route" for stream in streams if stream.name not in mapped.routes]
    flows = [stream for stream in streams if stream.name in mapped.routes]
    routes = [mapped.routes[stream.name] for stream in flows]
    if any(len(route.links) != len(route.tile_load) for route in routes):
        return [*problems, "a route has links without loads"]
    if not flows:
        return problems
    tables = _tables(section, mapped, flows, routes, mesh)
    copies = np.array([isinstance(flow, Stream) and flow.multicast for flow in flows])
    ends = list(_ends(section, mapped, flows, mesh))
    cut = np.where(copies, _cut_trees(tables, copies, flows, ends), _cut_paths(tables, len(flows)))
    for flow, lost, broken in zip(flows, cut.tolist(), tables.broken.tolist(), strict=True):
        if broken:
            problems.append(f"the route of stream {flow.name!r} uses a link that does not exist")
        elif lost:
            problems.append(f"the route of stream {flow.name!r} does not bring every byte to its targets")
    problems += _link_load(section, mapped, mesh)
    return problems


def _tables(
    section: Section,
    mapped: MappedSection,
    flows: Sequence[Flow],
    routes: Sequence[Route],
    mesh: Mesh,
) -> _Tables:
    size = mesh.switches + 1
    lengths = [len(route.links) for route in routes]
    route = np.repeat(np.arange(len(routes)), lengths)
    link = np.fromiter(chain.from_iterable(route.links for route in routes), np.int64, route.size)
    load = np.fromiter(chain.from_iterable(route.tile_load for route in routes), np.float64, route.size)
    load /= np.repeat([float(max(1, flow.sent_bytes)) for flow in flows], lengths)
    good = mesh.exists(link)
    broken = np.bincount(route[~good], minlength=len(routes)) > 0
    route, load = route[good], load[good]
    tail, head = mesh.ends(link[good])
    supply, demand = np.zeros(len(routes) * size), np.zeros(len(routes) * size)
    for number, (sources, targets) in enumerate(_ends(section, mapped, flows, mesh)):
        # A stream without bytes has nothing to bring: its route is not judged.
        if flows[number].tile_bytes:
            flow = flows[number]
            if isinstance(flow, Stream) and flow.multicast and sources.size:
                share = 1 / shares(sources, targets, flow.parts)
                for holders, readers in parts_of(sources, targets, flow.parts):
                    np.add.at(supply, number * size + holders, share)
                    demand[number * size + readers] = share * holders.size
            else:
                supply[number * size + sources] += 1 / max(1, sources.size)
                demand[number * size + targets] += 1 / max(1, targets.size)
    first = route * size
    return _Tables(
        route=route, tail=first + tail, head=first + head, load=load, supply=supply, demand=demand, broken=broken
    )


def _ends(section: Section, mapped: MappedSection, flows: Sequence[Flow], mesh: Mesh) -> Iterator[tuple[Ints, Ints]]:
    """Switches where each flow starts and where it ends; memory is behind the top-level network."""
    pcus = {placed.stage: mesh.switches_of(placed.pcus) for placed in mapped.placements}
    pmus = {placed.stage: mesh.switches_of(placed.pmus) for placed in mapped.placements}
    memory = np.array([mesh.switches], dtype=np.int64)
    stores = {stream.name for stream in section.stores}
    for flow in flows:
        if isinstance(flow, Stream):
            sources = pmus[flow.source] if pmus[flow.source].size else pcus[flow.source]
            targets = pcus[flow.target] if pcus[flow.target].size else pmus[flow.target]
            # A stage without units: nothing to bring, nowhere to bring it.
            yield (sources, targets) if sources.size and targets.size else (sources[:0], targets[:0])
        else:
            sites = pmus[flow.stage] if pmus[flow.stage].size else pcus[flow.stage]
            ends = (sites, memory) if flow.name in stores else (memory, sites)
            yield ends if sites.size else (sites, sites)


def _cut_paths(tables: _Tables, routes: int) -> NDArray[np.bool_]:
    """Routes with a switch where bytes appear or vanish."""
    nodes = tables.supply.size
    lost = tables.supply - tables.demand
    lost += np.bincount(tables.head, tables.load, nodes) - np.bincount(tables.tail, tables.load, nodes)
    wrong: NDArray[np.bool_] = np.any((abs(lost) > TOLERANCE).reshape(routes, -1), axis=1)
    return wrong


def _cut_trees(
    tables: _Tables, copies: NDArray[np.bool_], flows: Sequence[Flow], ends: Sequence[tuple[Ints, Ints]]
) -> NDArray[np.bool_]:
    """Routes that copy and yet leave a target without the whole tile, or without a way from one of the sources."""
    nodes = tables.supply.size // copies.size
    there = tables.supply + np.bincount(tables.head, tables.load, tables.supply.size)
    missing = there < tables.demand - TOLERANCE
    wrong: NDArray[np.bool_] = np.any(missing.reshape(copies.size, -1), axis=1)
    # No way turns round, so what a link carries did not come in over its reverse.
    wrong[tables.route[tables.load > there[tables.tail] - _reverse(tables) + TOLERANCE]] = True
    for number in np.flatnonzero(copies & ~wrong).tolist():
        mine = slice(*np.searchsorted(tables.route, (number, number + 1)).tolist())
        first, flow = number * nodes, flows[number]
        assert isinstance(flow, Stream)
        if not ends[number][0].size:
            continue
        onward: dict[int, list[int]] = {}
        for tail, head in zip((tables.tail[mine] - first).tolist(), (tables.head[mine] - first).tolist(), strict=True):
            onward.setdefault(tail, []).append(head)
        wrong[number] = any(
            _separates(onward, holders.tolist(), readers.tolist())
            for holders, readers in parts_of(*ends[number], flow.parts)
        )
    return wrong


def _reverse(tables: _Tables) -> Floats:
    """For each link the load of the one that leads back."""
    if not tables.load.size:
        return tables.load
    size = tables.supply.size
    key, back = tables.tail * size + tables.head, tables.head * size + tables.tail
    order = np.argsort(key)
    at = order[np.minimum(np.searchsorted(key[order], back), key.size - 1)]
    return np.where(key[at] == back, tables.load[at], 0.0)


def _separates(onward: Mapping[int, Sequence[int]], sources: list[int], targets: list[int]) -> bool:
    """Whether some source has no way to some target. Each switch collects, as bits, the sources that reach it."""
    seen = {source: 1 << number for number, source in enumerate(sources)}
    fresh = set(sources)
    while fresh:
        gained = set()
        for at in fresh:
            new = seen[at]
            for head in onward.get(at, ()):
                before = seen.get(head, 0)
                if before | new != before:
                    seen[head] = before | new
                    gained.add(head)
        fresh = gained
    everyone = (1 << len(sources)) - 1
    return any(seen.get(target, 0) != everyone for target in targets)


def _link_load(section: Section, mapped: MappedSection, mesh: Mesh) -> Iterator[str]:
    """The stated load of the busiest link is that of the routes."""
    loads = np.zeros(mesh.links)
    for stream in flows_of(section):
        if (route := mapped.routes.get(stream.name)) is not None:
            links = np.array(route.links, dtype=np.int64)
            known = (links >= 0) & (links < mesh.links)
            loads[links[known]] += np.array(route.tile_load)[known] * stream.tiles
    busiest = float(loads[: mesh.mesh_links].max(initial=0.0)) / mesh.vector_links
    if abs(busiest - mapped.link_load) > TOLERANCE * max(1.0, busiest):
        yield f"the busiest link carries {busiest:.0f} bytes, not {mapped.link_load:.0f}"
