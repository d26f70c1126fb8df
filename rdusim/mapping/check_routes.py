"""Do routes bring every byte from its sources to its targets? Judged net by net, then by what all nets add up to.

Each net must be a tree: it starts at its source, or comes in there by a port; each link starts where an earlier one of
the net has come by; no switch is entered twice; it reaches all its targets and has no other ends. Together the nets of
a flow must deliver what `deliveries` says, from whom to whom, and load the links as the route states.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rdusim.mapping.deliveries import deliveries
from rdusim.mapping.mesh import Floats, Ints, Mesh
from rdusim.mapping.nets import columns
from rdusim.mapping.types import Flow, MappedSection, Route, flows_of
from rdusim.program.types import Section, Stream

# Sums of shares of a tile in floating point: relative to the tile.
TOLERANCE = 1e-9

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Tables:
    """All nets of a section. By net: `route`, `source`, `bytes`; links and targets with the net of each.

    `tail`, `head`: ends of the links, `mesh.switches` for the TLN. `enters`, `leaves`: nets with a port in, a port out.
    """

    route: Ints
    source: Ints
    bytes: Floats
    target: Ints
    target_net: Ints
    link: Ints
    link_net: Ints
    tail: Ints
    head: Ints
    enters: Bools
    leaves: Bools


def check_routes(section: Section, mapped: MappedSection, mesh: Mesh) -> list[str]:
    """What is wrong with the routes of a section whose stages are placed well."""
    streams = flows_of(section)
    problems = [f"stream {stream.name!r} has no route" for stream in streams if stream.name not in mapped.routes]
    flows = [stream for stream in streams if stream.name in mapped.routes]
    routes = [mapped.routes[stream.name] for stream in flows]
    if any(len(route.links) != len(route.tile_load) for route in routes):
        return [*problems, "a route has links without loads"]
    tables = _tables(routes, mesh)
    broken = _routes_with(tables, tables.link_net[~mesh.exists(tables.link)], len(flows))
    if not broken.any():
        cut = _routes_with(tables, _no_trees(tables, mesh), len(flows))
        cut |= _undelivered(tables, section, mapped, flows, mesh)
    else:
        cut = np.zeros_like(broken)
    false = _false_loads(tables, routes, flows, mesh)
    for flow, missing, lost, wrong in zip(flows, broken.tolist(), cut.tolist(), false.tolist(), strict=True):
        if missing:
            problems.append(f"the route of stream {flow.name!r} uses a link that does not exist")
        elif lost:
            problems.append(f"the route of stream {flow.name!r} does not bring every byte to its targets")
        elif wrong:
            problems.append(f"the loads of stream {flow.name!r} are not those of its nets")
    return [*problems, *_link_load(flows, routes, mapped, mesh)]


def _tables(routes: Sequence[Route], mesh: Mesh) -> _Tables:
    parts = [columns(route.nets) for route in routes]
    counts = [len(part) for part in parts]
    base = np.cumsum([0, *counts])

    def owners(firsts: list[Ints]) -> Ints:
        sizes = [np.diff(first) for first in firsts]
        return _cat([np.repeat(np.arange(size.size) + at, size) for size, at in zip(sizes, base, strict=False)])

    link, link_net = _cat([part.link for part in parts]), owners([part.first_link for part in parts])
    tail, head = mesh.ends(link)
    nets = int(base[-1])
    return _Tables(
        route=np.repeat(np.arange(len(routes)), counts),
        source=_cat([part.source for part in parts]),
        bytes=np.concatenate([np.zeros(0), *(part.bytes for part in parts)]),
        target=_cat([part.target for part in parts]),
        target_net=owners([part.first_target for part in parts]),
        link=link,
        link_net=link_net,
        tail=tail,
        head=head,
        enters=np.bincount(link_net[tail == mesh.switches], minlength=nets) > 0,
        leaves=np.bincount(link_net[head == mesh.switches], minlength=nets) > 0,
    )


def _routes_with(tables: _Tables, nets: Ints, routes: int) -> Bools:
    found: Bools = np.bincount(tables.route[nets], minlength=routes) > 0
    return found


def _no_trees(tables: _Tables, mesh: Mesh) -> Ints:
    """Nets that are no trees from their source to their targets. Links exist."""
    size, outside = mesh.tile_switches, mesh.switches
    corner = tables.source // size * size
    number = np.arange(tables.link.size)
    comes, goes = tables.tail == outside, tables.head == outside

    def place(net: Ints, switch: Ints) -> Ints:
        """A node of a net. Links never leave a tile, so a switch of another one can only be a source or a target."""
        node: Ints = net * size + np.clip(switch - corner[net], 0, size - 1)
        return node

    # When each node has been reached: by which link, or -1 at once.
    reached = np.full(tables.source.size * size, tables.link.size, dtype=np.int64)
    starts = np.flatnonzero(~tables.enters)
    at_head = place(tables.link_net, tables.head)[~goes]
    reached[at_head] = number[~goes]
    again = reached[at_head] != number[~goes]
    start = place(starts, tables.source[starts])
    again_at_start = reached[start] < tables.link.size
    reached[start] = -1
    early = reached[place(tables.link_net, tables.tail)] >= number
    far = tables.tail // size * size != corner[tables.link_net]
    wrong_entry = (tables.head != tables.source[tables.link_net]) | (
        np.concatenate(([-1], tables.link_net[:-1])) == tables.link_net
    )
    missed = reached[place(tables.target_net, tables.target)] == tables.link.size
    missed |= tables.target // size * size != corner[tables.target_net]
    ends = np.zeros(reached.size, dtype=np.bool_)
    ends[place(tables.link_net, tables.tail)[~comes]] = True
    ends[place(tables.target_net, tables.target)] = True
    return np.concatenate(
        (
            tables.link_net[~goes][again],
            starts[again_at_start],
            tables.link_net[~comes & (early | far)],
            tables.link_net[comes & wrong_entry],
            tables.target_net[missed],
            tables.link_net[~goes][~ends[at_head]],
            np.flatnonzero(np.bincount(tables.target_net, minlength=tables.source.size) == 0),
        )
    )


def _undelivered(tables: _Tables, section: Section, mapped: MappedSection, flows: Sequence[Flow], mesh: Mesh) -> Bools:
    """Routes whose nets do not add up to what the flow must deliver, or that reach memory elsewhere than by AGCUs."""
    pcus = {placed.stage: mesh.switches_of(placed.pcus) for placed in mapped.placements}
    pmus = {placed.stage: mesh.switches_of(placed.pmus) for placed in mapped.placements}
    due = deliveries(flows, {store.name for store in section.stores}, pcus, pmus, mesh)
    outside = mesh.switches
    source = np.where(tables.enters, outside, tables.source)
    gone = np.flatnonzero(tables.leaves)
    # A net whose only target is its own door goes out; a unit there may take the share on its way.
    only = np.bincount(tables.target_net, minlength=source.size) == 1
    door = np.full(source.size, -1, dtype=np.int64)
    out = tables.head == outside
    door[tables.link_net[out]] = tables.tail[out]
    maybe = (tables.leaves & only)[tables.target_net] & (tables.target == door[tables.target_net])
    sure, perhaps = tables.target_net[~maybe], tables.target_net[maybe]
    net = np.concatenate((sure, gone, perhaps))
    flow = np.concatenate((due.flow, tables.route[net]))
    begin = np.concatenate((due.source, source[net]))
    end = np.concatenate((due.target, tables.target[~maybe], np.full(gone.size, outside), tables.target[maybe]))
    sizes = np.array([max(1.0, float(of.sent_bytes)) for of in flows])
    amount = np.concatenate((due.bytes, tables.bytes[net])) / sizes[flow]
    kind = np.repeat([0, 1, 1, 2], [due.bytes.size, sure.size, gone.size, perhaps.size])
    keys, index = np.unique((flow * (outside + 1) + begin) * (outside + 1) + end, return_inverse=True)
    owed, brought, possible = (np.bincount(index[kind == of], amount[kind == of], keys.size) for of in (0, 1, 2))
    wrong = (owed < brought - TOLERANCE) | (owed > brought + possible + TOLERANCE)
    found: Bools = np.bincount(keys[wrong] // (outside + 1) ** 2, minlength=len(flows)) > 0
    memory = np.array([not isinstance(flow, Stream) for flow in flows], dtype=np.bool_)[tables.route]
    at = np.where(tables.leaves, door, tables.source)
    astray = memory & (tables.enters | tables.leaves) & ~np.isin(at, mesh.agcus)
    return found | _routes_with(tables, np.flatnonzero(astray), len(flows))


def _false_loads(tables: _Tables, routes: Sequence[Route], flows: Sequence[Flow], mesh: Mesh) -> Bools:
    """Routes that state other loads of their links than those of their nets."""
    stated_route = np.repeat(np.arange(len(routes)), [len(route.links) for route in routes])
    stated = np.array([link for route in routes for link in route.links], dtype=np.int64)
    load = np.array([load for route in routes for load in route.tile_load], dtype=np.float64)
    route = np.concatenate((stated_route, tables.route[tables.link_net]))
    keys, index = np.unique(
        route * mesh.links + np.clip(np.concatenate((stated, tables.link)), 0, mesh.links - 1), return_inverse=True
    )
    amount = np.concatenate((load, -tables.bytes[tables.link_net]))
    sizes = np.array([max(1.0, float(flow.sent_bytes)) for flow in flows])
    off = abs(np.bincount(index, amount, keys.size)) > TOLERANCE * sizes[keys // mesh.links]
    found: Bools = np.bincount(keys[off] // mesh.links, minlength=len(routes)) > 0
    return found


def _link_load(flows: Sequence[Flow], routes: Sequence[Route], mapped: MappedSection, mesh: Mesh) -> Iterator[str]:
    """The stated load of the busiest link is that of the routes."""
    loads = np.zeros(mesh.links)
    for flow, route in zip(flows, routes, strict=True):
        links = np.array(route.links, dtype=np.int64)
        known = (links >= 0) & (links < mesh.links)
        np.add.at(loads, links[known], np.array(route.tile_load)[known] * flow.tiles)
    loads = loads[: mesh.mesh_links] / mesh.vector_links
    busiest = float(loads.max(initial=0.0))
    if abs(busiest - mapped.link_load) > TOLERANCE * max(1.0, busiest):
        yield f"the busiest link carries {busiest:.0f} bytes, not {mapped.link_load:.0f}"
    at = mapped.busiest_link
    if (busiest > 0.0 or at >= 0) and not (0 <= at < loads.size and loads[at] >= busiest * (1 - TOLERANCE)):
        yield f"link {at} is not the busiest one"


def _cat(parts: Sequence[Ints]) -> Ints:
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])
