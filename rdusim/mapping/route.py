"""Static routes for every stream, load and store of a section.

A stream starts where its buffer sits, at the PMUs of the stage that makes it, and ends at the PCUs of the stage that
reads it; loads and stores run between AGCUs and the stage's PMUs. (A stage without the one kind uses the other.) A
stream that leaves its tile goes by the nearest edge over the top-level network, and a multicast stream by one copy to
each tile that reads it. Each route is XY or YX, whichever keeps the most loaded link lower.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from rdusim.mapping.agcus import choose
from rdusim.mapping.balance import balance
from rdusim.mapping.mesh import IN, OUT, Floats, Ints, Mesh
from rdusim.mapping.multicast import parts_of, shares
from rdusim.mapping.paths import Pairs, Trees, Usage, spread, usage
from rdusim.mapping.types import Placement, Route, flows_of
from rdusim.program.types import MemoryStream, Section


@dataclass(slots=True, kw_only=True, eq=False)
class _Traffic:
    """What the flows of a section put on the mesh, in shares; `scale` (flow x tile) is the bytes of a share.

    Flows are numbered streams first, then loads, then stores. `outside` is the bytes of a tile on the TLN and between
    the dies; `hops` the switches on the longest way.
    """

    scale: Floats
    hops: Ints
    outside: Floats
    pairs: list[Pairs] = field(default_factory=list)
    ports: list[Usage] = field(default_factory=list)
    trees: list[tuple[int, Ints, Ints]] = field(default_factory=list)


def route(section: Section, placements: Sequence[Placement], mesh: Mesh) -> tuple[dict[str, Route], float]:
    """Routes by name, and bytes on the most loaded link in one execution of the section.

    That link is one of `vector_links` parallel ones, over which packets are assumed to spread evenly.
    """
    flows = flows_of(section)
    pcus = {placed.stage: mesh.switches_of(placed.pcus) for placed in placements}
    pmus = {placed.stage: mesh.switches_of(placed.pmus) for placed in placements}
    traffic = _Traffic(
        scale=np.zeros((len(flows), mesh.tiles)),
        hops=np.zeros(len(flows), dtype=np.int64),
        outside=np.zeros((len(flows), 2)),
    )
    _add_streams(traffic, section, pcus, pmus, mesh)
    _add_memory(traffic, section, {name: pmus[name] if pmus[name].size else pcus[name] for name in pmus}, mesh)
    _add_own_hops(traffic, section, pcus, pmus, mesh)
    options = [_links(traffic, mesh, rows_first) for rows_first in (True, False)]
    weighted = [
        [(links, tile_load * flow.tiles) for links, tile_load in parts]
        for flow, *parts in zip(flows, *options, strict=True)
    ]
    choices, loads = balance(weighted, mesh.mesh_links)
    ports = _ports(traffic, mesh)
    routes = {
        flow.name: Route(
            stream=flow.name,
            hops=hops,
            links=(*options[choice][number][0].tolist(), *ports[number][0].tolist()),
            tile_load=(*options[choice][number][1].tolist(), *ports[number][1].tolist()),
            tln_bytes=tln_bytes,
            die_crossing_bytes=die_bytes,
        )
        for number, (flow, choice, hops, (tln_bytes, die_bytes)) in enumerate(
            zip(flows, choices, traffic.hops.tolist(), traffic.outside.tolist(), strict=True)
        )
    }
    return routes, float(loads.max(initial=0.0)) / mesh.vector_links


def _add_streams(traffic: _Traffic, section: Section, pcus: dict[str, Ints], pmus: dict[str, Ints], mesh: Mesh) -> None:
    spreads: list[int] = []
    ends: list[tuple[Ints, Ints]] = []
    for number, stream in enumerate(section.streams):
        sources = pmus[stream.source] if pmus[stream.source].size else pcus[stream.source]
        targets = pcus[stream.target] if pcus[stream.target].size else pmus[stream.target]
        if not sources.size or not targets.size:
            continue
        if stream.multicast:
            traffic.scale[number] = stream.sent_bytes / shares(sources, targets, stream.parts)
            for holders, readers in parts_of(sources, targets, stream.parts):
                _add_multicast(traffic, number, holders, readers, mesh)
        else:
            traffic.scale[number] = stream.tile_bytes / (sources.size * targets.size)
            spreads.append(number)
            ends.append((sources, targets))
    found = spread([sources for sources, _ in ends], [targets for _, targets in ends])
    flow = np.array(spreads, dtype=np.int64)[found.flow]
    _add_pairs(traffic, Pairs(flow=flow, source=found.source, target=found.target, count=found.count), mesh)


def _add_pairs(traffic: _Traffic, pairs: Pairs, mesh: Mesh) -> None:
    """Pairs as they are on one tile; between tiles by the doors nearest to each end."""
    crosses = mesh.tile_of(pairs.source) != mesh.tile_of(pairs.target)
    near = _only(pairs, ~crosses)
    far = _only(pairs, crosses)
    leave = Pairs(flow=far.flow, source=far.source, target=mesh.doors[far.source], count=far.count)
    enter = Pairs(flow=far.flow, source=mesh.doors[far.target], target=far.target, count=far.count)
    traffic.pairs += [near, leave, enter]
    _add_ports(traffic, far.flow, leave.target, enter.source, far.count, mesh)
    np.maximum.at(traffic.hops, near.flow, _switches(near, mesh))
    np.maximum.at(traffic.hops, far.flow, _switches(leave, mesh) + _switches(enter, mesh))
    bytes_ = far.count * traffic.scale[far.flow, 0]
    between = mesh.die_of(mesh.tile_of(far.source)) != mesh.die_of(mesh.tile_of(far.target))
    np.add.at(traffic.outside, far.flow, np.stack((bytes_, bytes_ * between), axis=1))


def _add_multicast(traffic: _Traffic, number: int, sources: Ints, targets: Ints, mesh: Mesh) -> None:
    """A tree on each tile with targets. Each source elsewhere sends its share out once, and it enters every such tile.

    It enters at the door of the target that stands at its place in the order, so that entries are spread.
    """
    source_tile, target_tile = mesh.tile_of(sources), mesh.tile_of(targets)
    tiles = np.unique(target_tile).tolist()
    share = traffic.scale[number, 0]
    way = 0
    for tile in tiles:
        here, outside = targets[target_tile == tile], source_tile != tile
        entries = mesh.doors[here[np.arange(outside.sum()) * here.size // max(1, outside.sum())]]
        inside = sources[~outside]
        roots = np.concatenate((inside[:0] if len(tiles) > 1 else inside, entries))
        if roots.size:
            traffic.trees.append((number, roots, here))
        if len(tiles) > 1:
            # The door is one more target, each source's own: a way beside the tree would carry the share twice.
            doors = mesh.doors[inside].tolist()
            traffic.trees += [(number, inside[at : at + 1], np.append(here, door)) for at, door in enumerate(doors)]
        _add_ports(traffic, np.full(entries.size, number), entries[:0], entries, np.ones_like(entries), mesh)
        exits = sources[outside]
        exit_way = int(_distance(exits, mesh.doors[exits], mesh).max()) + 1 if exits.size else 0
        way = max(way, _farthest(np.concatenate((inside, entries)), here, mesh) + 1 + exit_way)
        crossing = mesh.die_of(source_tile[outside]) != tile // mesh.tiles_per_die
        traffic.outside[number] += share * outside.sum(), share * crossing.sum()
    gone = sources if len(tiles) > 1 else sources[source_tile != tiles[0]]
    flow, once = np.full(gone.size, number, dtype=np.int64), np.ones_like(gone)
    _add_ports(traffic, flow, mesh.doors[gone], gone[:0], once, mesh)
    far = ~np.isin(mesh.tile_of(gone), tiles)
    traffic.pairs.append(Pairs(flow=flow[far], source=gone[far], target=mesh.doors[gone[far]], count=once[far]))
    traffic.hops[number] = max(int(traffic.hops[number]), way)


def _add_memory(traffic: _Traffic, section: Section, sites: dict[str, Ints], mesh: Mesh) -> None:
    """Loads and stores. Addresses interleave over the channels of all dies: (dies - 1) / dies of the bytes cross."""
    streams: list[MemoryStream] = [*section.loads, *section.stores]
    first, stores = len(section.streams), len(section.streams) + len(section.loads)
    dies = mesh.tiles // mesh.tiles_per_die
    chosen = choose(streams, [sites[stream.stage] for stream in streams], mesh)
    flows: list[int] = []
    sources: list[Ints] = []
    targets: list[Ints] = []
    for number, (stream, doors) in enumerate(zip(streams, chosen, strict=True), start=first):
        traffic.outside[number] = stream.tile_bytes, stream.tile_bytes * (dies - 1) / dies
        for door in doors:
            traffic.scale[number, door.tile] = stream.tile_bytes / (sites[stream.stage].size * door.agcus.size)
            flows.append(number)
            sources.append(door.agcus if number < stores else door.sites)
            targets.append(door.sites if number < stores else door.agcus)
    found = spread(sources, targets)
    flow = np.array(flows, dtype=np.int64)[found.flow]
    pairs = Pairs(flow=flow, source=found.source, target=found.target, count=found.count)
    traffic.pairs.append(pairs)
    np.maximum.at(traffic.hops, flow, _switches(pairs, mesh))
    load = flow < stores
    _add_ports(traffic, flow[load], pairs.source[:0], pairs.source[load], pairs.count[load], mesh)
    _add_ports(traffic, flow[~load], pairs.target[~load], pairs.source[:0], pairs.count[~load], mesh)


def _add_own_hops(
    traffic: _Traffic, section: Section, pcus: dict[str, Ints], pmus: dict[str, Ints], mesh: Mesh
) -> None:
    """The way between a stage's own PCUs and PMUs: before a stream or store, after a load."""
    own = {stage.name: 0 for stage in section.stages}
    both = [name for name in own if pcus[name].size and pmus[name].size]
    found = spread([pcus[name] for name in both], [pmus[name] for name in both])
    ways = np.zeros(len(both), dtype=np.int64)
    far = mesh.tile_of(found.source) != mesh.tile_of(found.target)
    by_doors = _distance(found.source, mesh.doors[found.source], mesh) + 1
    by_doors += _distance(found.target, mesh.doors[found.target], mesh) + 1
    np.maximum.at(ways, found.flow, np.where(far, by_doors, _switches(found, mesh)))
    own |= dict(zip(both, ways.tolist(), strict=True))
    ends = [stream.source for stream in section.streams]
    ends += [stream.stage for stream in (*section.loads, *section.stores)]
    traffic.hops += np.array([own[name] for name in ends], dtype=np.int64)


def _links(traffic: _Traffic, mesh: Mesh, rows_first: bool) -> list[tuple[Ints, Floats]]:
    """By flow: mesh links and the bytes of a tile on each."""
    pairs = Pairs(
        flow=_cat([part.flow for part in traffic.pairs]),
        source=_cat([part.source for part in traffic.pairs]),
        target=_cat([part.target for part in traffic.pairs]),
        count=_cat([part.count for part in traffic.pairs]),
    )
    trees = Trees(
        flow=np.array([flow for flow, _, _ in traffic.trees], dtype=np.int64),
        source=_cat([sources for _, sources, _ in traffic.trees]),
        source_tree=np.repeat(np.arange(len(traffic.trees)), [sources.size for _, sources, _ in traffic.trees]),
        target=_cat([targets for _, _, targets in traffic.trees]),
        target_tree=np.repeat(np.arange(len(traffic.trees)), [targets.size for _, _, targets in traffic.trees]),
    )
    found = usage(pairs, trees, mesh, rows_first)
    return _by_flow(found, found.link // (4 * mesh.tile_switches), traffic.scale)


def _ports(traffic: _Traffic, mesh: Mesh) -> list[tuple[Ints, Floats]]:
    """By flow: ports and the bytes of a tile through each."""
    key = _cat([part.flow for part in traffic.ports]) * mesh.links + _cat([part.link for part in traffic.ports])
    keys, index = np.unique(key, return_inverse=True)
    count = np.bincount(index, _cat([part.count for part in traffic.ports]), keys.size).astype(np.int64)
    found = Usage(flow=keys // mesh.links, link=keys % mesh.links, count=count)
    return _by_flow(found, mesh.tile_of((found.link - mesh.mesh_links) // 2), traffic.scale)


def _by_flow(found: Usage, tile: Ints, scale: Floats) -> list[tuple[Ints, Floats]]:
    load = found.count * scale[found.flow, tile]
    cuts = np.searchsorted(found.flow, np.arange(1, scale.shape[0]))
    parts = zip(np.split(found.link, cuts), np.split(load, cuts), strict=True)
    return list(parts) if scale.shape[0] else []


def _add_ports(traffic: _Traffic, flow: Ints, exits: Ints, entries: Ints, count: Ints, mesh: Mesh) -> None:
    """Shares that leave and enter the mesh; either may be empty, else they run parallel to `flow`."""
    for switches, direction in ((exits, OUT), (entries, IN)):
        if switches.size:
            traffic.ports.append(Usage(flow=flow, link=mesh.mesh_links + 2 * switches + direction, count=count))


def _only(pairs: Pairs, which: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Pairs:
    return Pairs(
        flow=pairs.flow[which], source=pairs.source[which], target=pairs.target[which], count=pairs.count[which]
    )


def _cat(parts: list[Ints]) -> Ints:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


def _distance(source: Ints, target: Ints, mesh: Mesh) -> Ints:
    """Links between switches of one tile."""
    distance: Ints = abs(mesh.row_of(source) - mesh.row_of(target)) + abs(mesh.col_of(source) - mesh.col_of(target))
    return distance


def _switches(pairs: Pairs, mesh: Mesh) -> Ints:
    return _distance(pairs.source, pairs.target, mesh) + 1


def _farthest(sources: Ints, targets: Ints, mesh: Mesh) -> int:
    """Links between the two most distant of them: extremes of row + col and of row - col decide."""
    reach = 0
    for sign in (1, -1):
        one = mesh.row_of(sources) + sign * mesh.col_of(sources)
        other = mesh.row_of(targets) + sign * mesh.col_of(targets)
        reach = max(reach, int(one.max() - other.min()), int(other.max() - one.min()))
    return reach
