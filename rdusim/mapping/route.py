"""Static routes for every stream, load and store of a section: nets, their ways, and what they put on the links.

Each flow starts with XY or YX, whichever keeps the most loaded link lower. Where a link is then fuller than the section
can bear at the rate it claims, nets negotiate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from rdusim.mapping.agcus import choose
from rdusim.mapping.balance import balance
from rdusim.mapping.demand import Demand, demand
from rdusim.mapping.mesh import Floats, Ints, Mesh
from rdusim.mapping.negotiate import Limits, fullest, negotiate
from rdusim.mapping.nets import Nets
from rdusim.mapping.spread import spread
from rdusim.mapping.types import Route, flows_of
from rdusim.mapping.ways import Axis, Ways, axes_of, lengths, straight, ways
from rdusim.program.types import Section


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Routing:
    """A section's nets and their ways. `times`: by flow, its tiles in one execution; `loads`: by flow, its links and
    ports and the bytes of a tile on each; `total`: by mesh link, bytes of one execution."""

    nets: Demand
    axes: tuple[Axis, Axis]
    trunks: Ints
    times: Floats
    loads: list[tuple[Ints, Floats]]
    total: Floats

    @property
    def link_load(self) -> float:
        """Bytes of one execution on the most loaded link, all parallel ones of it together."""
        return float(self.total.max(initial=0.0))

    @property
    def busiest_link(self) -> int:
        """The most loaded link; -1 where none is used."""
        return int(self.total.argmax()) if self.total.any() else -1

    def fullest(self, limits: Limits, mesh: Mesh) -> float:
        """The most loaded link against its limit."""
        own = [float(_on_mesh(*part, mesh)[1].max(initial=0.0)) for part in self.loads]
        return fullest(self.total, np.array(own) * self.times, limits)


def route(section: Section, pcus: Mapping[str, Ints], pmus: Mapping[str, Ints], mesh: Mesh) -> Routing:
    """XY or YX for every flow. `pcus`, `pmus`: switches by stage."""
    memory = (*section.loads, *section.stores)
    doors = choose(memory, [pmus[at.stage] if pmus[at.stage].size else pcus[at.stage] for at in memory], mesh)
    nets = demand(section, pcus, pmus, doors, mesh)
    axes = axes_of(nets, mesh)
    times = np.array([flow.tiles for flow in flows_of(section)], dtype=np.float64)
    turns = [straight(nets, mesh, rows_first) for rows_first in (True, False)]
    options = [_by_flow(nets, ways(nets, trunks, axes, mesh), mesh) for trunks in turns]
    choices, total = balance(
        [
            [_on_mesh(links, tile_load * of, mesh) for links, tile_load in parts]
            for of, *parts in zip(times.tolist(), *options, strict=True)
        ],
        mesh.mesh_links,
    )
    return Routing(
        nets=nets,
        axes=axes,
        trunks=np.where(np.array(choices, dtype=np.int64)[nets.flow] == 0, *turns),
        times=times,
        loads=[options[choice][flow] for flow, choice in enumerate(choices)],
        total=total,
    )


def settle(routing: Routing, limits: Limits, mesh: Mesh) -> Routing:
    """The same within `limits`, as far as nets can find such ways."""
    if routing.fullest(limits, mesh) <= 1.0:
        return routing
    nets, times = routing.nets, routing.times
    trunks = negotiate(nets, routing.trunks, routing.axes, nets.bytes * times[nets.flow], limits, mesh)
    loads = _by_flow(nets, ways(nets, trunks, routing.axes, mesh), mesh)
    total = np.zeros(mesh.mesh_links)
    for part, of in zip(loads, times.tolist(), strict=True):
        links, tile_load = _on_mesh(*part, mesh)
        total[links] += tile_load * of
    return replace(routing, trunks=trunks, loads=loads, total=total)


def routes_of(
    routing: Routing, section: Section, pcus: Mapping[str, Ints], pmus: Mapping[str, Ints], mesh: Mesh
) -> dict[str, Route]:
    """Routes by name."""
    nets, flows = routing.nets, flows_of(section)
    own = _own_hops(section, pcus, pmus, mesh)
    hops = _hops(nets, *lengths(nets, routing.trunks, routing.axes), len(flows))
    across = outside(nets, section, mesh)
    sequenced = _sequenced(nets, len(flows), mesh)
    nets_of = _nets(nets, ways(nets, routing.trunks, routing.axes, mesh), len(flows))
    routes = {}
    for number, (flow, (link, load)) in enumerate(zip(flows, routing.loads, strict=True)):
        routes[flow.name] = Route(
            stream=flow.name,
            hops=int(hops[number]) + own[number],
            links=tuple(link.tolist()),
            tile_load=tuple(load.tolist()),
            tln_bytes=float(across[number, 0]),
            die_crossing_bytes=float(across[number, 1]),
            nets=nets_of[number],
            sequenced=bool(sequenced[number]),
        )
    return routes


def _on_mesh(links: Ints, load: Floats, mesh: Mesh) -> tuple[Ints, Floats]:
    """Without ports, which stand behind the links."""
    within = links < mesh.mesh_links
    return links[within], load[within]


def _by_flow(nets: Demand, made: Ways, mesh: Mesh) -> list[tuple[Ints, Floats]]:
    """By flow: links and ports, and the bytes of a tile on each. Shares are counted, so sums are exact.

    Counted in cells, 6 for each switch of a tile (see `mesh`: links, then ports), for every flow and tile it uses.
    """
    flows, cells, links = nets.scale.shape[0], 6 * mesh.tile_switches, 4 * mesh.tile_switches
    sizes = np.diff(made.first)
    group = nets.flow * mesh.tiles + nets.tile
    used, rank = np.unique(group, return_inverse=True)
    port = made.link - mesh.mesh_links
    local = np.where(port < 0, made.link % links, links + port % (2 * mesh.tile_switches))
    count = np.bincount(np.repeat(rank * cells, sizes) + local, np.repeat(nets.count, sizes), used.size * cells)
    busy = np.flatnonzero(count)
    of, cell = np.divmod(busy, cells)
    flow, tile = np.divmod(used[of], mesh.tiles)
    link = np.where(cell < links, tile * links + cell, mesh.mesh_links + tile * 2 * mesh.tile_switches + cell - links)
    cuts = np.searchsorted(flow, np.arange(1, flows))
    load = count[busy] * nets.scale[flow, tile]
    return list(zip(np.split(link, cuts), np.split(load, cuts), strict=True)) if flows else []


def _nets(nets: Demand, made: Ways, flows: int) -> list[Nets]:
    """By flow. The door is a target where there is no other."""
    unit, owner = nets.units()
    takes = np.bincount(owner, minlength=nets.flow.size)
    alone = np.flatnonzero(takes == 0)
    order = np.argsort(np.concatenate((owner, alone)), kind="stable")
    target = np.concatenate((unit, nets.door[alone]))[order]
    first = np.concatenate(([0], np.cumsum(np.maximum(1, takes))))
    cuts = np.searchsorted(nets.flow, np.arange(flows + 1)).tolist()
    size = nets.bytes
    found = []
    for begin, end in pairwise(cuts):
        targets, links = first[begin : end + 1], made.first[begin : end + 1]
        found.append(
            Nets(
                nets.source[begin:end],
                size[begin:end],
                targets - targets[0],
                target[targets[0] : targets[-1]],
                links - links[0],
                made.link[links[0] : links[-1]],
            )
        )
    return found


def _hops(nets: Demand, farthest: Ints, to_door: Ints, flows: int) -> Ints:
    """Switches on the longest way of each flow; what enters has come by the net that fed it."""
    before = np.where(nets.feeder >= 0, to_door[nets.feeder] + 1, 0)
    hops = np.zeros(flows, dtype=np.int64)
    np.maximum.at(hops, nets.flow, before + farthest + 1)
    return hops


def outside(nets: Demand, section: Section, mesh: Mesh) -> Floats:
    """By flow, bytes of a tile on the TLN and between dies. Streams: what enters a tile. Loads and stores: all bytes;
    addresses interleave over the channels of all dies, so (dies - 1) / dies of them cross."""
    flows = flows_of(section)
    across = np.zeros((len(flows), 2))
    enters = np.flatnonzero(nets.feeder >= 0)
    dies = mesh.die_of(nets.tile)
    crosses = dies[enters] != dies[nets.feeder[enters]]
    size = nets.bytes[enters]
    across[:, 0] = np.bincount(nets.flow[enters], size, len(flows))
    across[:, 1] = np.bincount(nets.flow[enters], size * crosses, len(flows))
    count = mesh.tiles // mesh.tiles_per_die
    for number, memory in enumerate((*section.loads, *section.stores), start=len(section.streams)):
        across[number] = memory.tile_bytes, memory.tile_bytes * (count - 1) / count
    return across


def _sequenced(nets: Demand, flows: int, mesh: Mesh) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Flows of which shares of several nets meet at one target."""
    unit, owner = nets.units()
    key = np.sort(nets.flow[owner] * mesh.switches + unit)
    found = np.zeros(flows, dtype=np.bool_)
    found[key[1:][key[1:] == key[:-1]] // mesh.switches] = True
    return found


def _own_hops(section: Section, pcus: Mapping[str, Ints], pmus: Mapping[str, Ints], mesh: Mesh) -> list[int]:
    """By flow the way between a stage's own PCUs and PMUs: before a stream or store, after a load."""
    own = {stage.name: 0 for stage in section.stages}
    both = [name for name in own if pcus[name].size and pmus[name].size]
    found = spread([pcus[name] for name in both], [pmus[name] for name in both])
    reach = np.zeros(len(both), dtype=np.int64)
    far = mesh.tile_of(found.source) != mesh.tile_of(found.target)
    by_doors = _distance(found.source, mesh.doors[found.source], mesh) + 1
    by_doors += _distance(found.target, mesh.doors[found.target], mesh) + 1
    np.maximum.at(reach, found.flow, np.where(far, by_doors, _distance(found.source, found.target, mesh) + 1))
    own |= dict(zip(both, reach.tolist(), strict=True))
    ends = [stream.source for stream in section.streams]
    ends += [stream.stage for stream in (*section.loads, *section.stores)]
    return [own[name] for name in ends]


def _distance(source: Ints, target: Ints, mesh: Mesh) -> Ints:
    """Links between switches of one tile."""
    distance: Ints = abs(mesh.row_of(source) - mesh.row_of(target)) + abs(mesh.col_of(source) - mesh.col_of(target))
    return distance
