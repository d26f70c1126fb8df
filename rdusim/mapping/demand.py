"""What the flows of a section ask of the mesh: nets, each a source and the set of its targets on one hardware tile.

A stream starts where its buffer sits, at the PMUs of the stage that makes it, and ends at the PCUs of the stage that
reads it; loads and stores run between AGCUs and the stage's PMUs. (A stage without the one kind uses the other.) What
goes from tile to tile is a net out, through the port at the door nearest to its source, and a net in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rdusim.mapping.agcus import Doors
from rdusim.mapping.mesh import Floats, Ints, Mesh
from rdusim.mapping.multicast import holders_of, readers_of, shares
from rdusim.mapping.spread import Pairs, cross, ranges, spread
from rdusim.program.types import Section, Stream

Bools = NDArray[np.bool_]
NONE = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Demand:
    """All nets, ascending by flow (streams first, then loads, then stores).

    By net: `source`, a switch, on `tile`; `count` shares of `scale` (flow x tile) bytes; `enters`: it comes in by the
    port at its source; `door`: the switch whose port it goes out by, or NONE; `feeder`: the net out whose bytes it
    brings in, or NONE. Its targets are `member[first[net] : first[net + 1]]`, its door among them; `taps`: a unit at
    the door takes the share, too.
    """

    flow: Ints
    source: Ints
    tile: Ints
    count: Ints
    enters: Bools
    door: Ints
    taps: Bools
    feeder: Ints
    first: Ints
    member: Ints
    scale: Floats

    @property
    def bytes(self) -> Floats:
        """Of one tile of the stream, by net."""
        return self.count * self.scale[self.flow, self.tile]

    def units(self) -> tuple[Ints, Ints]:
        """The units that take the share of each net, one net after the other, and the net of each."""
        owner = np.repeat(np.arange(self.flow.size), np.diff(self.first))
        unit = (self.member != self.door[owner]) | self.taps[owner]
        return self.member[unit], owner[unit]


def demand(
    section: Section, pcus: Mapping[str, Ints], pmus: Mapping[str, Ints], doors: list[list[Doors]], mesh: Mesh
) -> Demand:
    """Nets of all flows. `pcus`, `pmus`: switches by stage; `doors`: of each load, then each store, by tile."""
    flows = len(section.streams) + len(section.loads) + len(section.stores)
    nets = _Nets(mesh, np.zeros((flows, mesh.tiles)))
    _add_streams(nets, section, pcus, pmus)
    _add_memory(nets, section, doors)
    return nets.finish()


def ends_of(stream: Stream, pcus: Mapping[str, Ints], pmus: Mapping[str, Ints]) -> tuple[Ints, Ints]:
    """Switches where a stream starts and where it ends."""
    sources = pmus[stream.source] if pmus[stream.source].size else pcus[stream.source]
    targets = pcus[stream.target] if pcus[stream.target].size else pmus[stream.target]
    return sources, targets


class _Nets:
    """Nets in the making, block after block."""

    def __init__(self, mesh: Mesh, scale: Floats) -> None:
        self.mesh, self.scale = mesh, scale
        self.made = 0
        self.blocks: list[tuple[Ints, Ints, Ints, Bools, Ints, Bools, Ints, Ints, Ints]] = []

    def add(
        self,
        flow: Ints,
        source: Ints,
        count: Ints,
        targets: tuple[Ints, Ints],  # how many each net has; all of them, one net after the other
        *,
        enters: bool = False,
        door: Ints | None = None,
        taps: Bools | None = None,
        feeder: Ints | None = None,
    ) -> Ints:
        """The numbers that the nets get until they are sorted."""
        nothing = np.full(flow.size, NONE, dtype=np.int64)
        door = nothing if door is None else door
        taps = np.zeros(flow.size, dtype=np.bool_) if taps is None else taps
        feeder = nothing if feeder is None else feeder
        self.blocks.append((flow, source, count, np.full(flow.size, enters), door, taps, feeder, *targets))
        self.made += flow.size
        return np.arange(self.made - flow.size, self.made)

    def pairs(self, pairs: Pairs, *, enters: bool = False, leaves: bool = False, feeder: Ints | None = None) -> Ints:
        door = pairs.target if leaves else None
        targets = (np.ones_like(pairs.target), pairs.target)
        return self.add(pairs.flow, pairs.source, pairs.count, targets, enters=enters, door=door, feeder=feeder)

    def finish(self) -> Demand:
        nothing = np.zeros(0, dtype=np.int64)
        no = np.zeros(0, dtype=np.bool_)
        empty = (nothing, nothing, nothing, no, nothing, no, nothing, nothing, nothing)
        flow, source, count, enters, door, taps, feeder, size, member = (
            np.concatenate(column) for column in zip(empty, *self.blocks, strict=True)
        )
        order = np.argsort(flow, kind="stable")
        # The last place stands for "no feeder".
        rank = np.full(order.size + 1, NONE, dtype=np.int64)
        rank[order] = np.arange(order.size)
        at, _ = ranges((np.cumsum(size) - size)[order], size[order])
        return Demand(
            flow=flow[order],
            source=source[order],
            tile=self.mesh.tile_of(source[order]),
            count=count[order],
            enters=enters[order],
            door=door[order],
            taps=taps[order],
            feeder=rank[feeder[order]],
            first=np.concatenate(([0], np.cumsum(size[order]))),
            member=member[at],
            scale=self.scale,
        )


def _add_streams(nets: _Nets, section: Section, pcus: Mapping[str, Ints], pmus: Mapping[str, Ints]) -> None:
    spreads: list[int] = []
    ends: list[tuple[Ints, Ints]] = []
    for number, stream in enumerate(section.streams):
        sources, targets = ends_of(stream, pcus, pmus)
        if not sources.size or not targets.size:
            continue
        if stream.multicast:
            nets.scale[number] = stream.sent_bytes / shares(sources, targets, stream.parts)
            _add_multicast(nets, number, sources, targets, stream.parts)
        else:
            nets.scale[number] = stream.tile_bytes / (sources.size * targets.size)
            spreads.append(number)
            ends.append((sources, targets))
    found = spread([sources for sources, _ in ends], [targets for _, targets in ends])
    _add_pairs(nets, _with_flow(found, np.array(spreads, dtype=np.int64)[found.flow]))


def _add_pairs(nets: _Nets, pairs: Pairs) -> None:
    """Pairs as they are on one tile; between tiles by the doors nearest to each end."""
    mesh = nets.mesh
    crosses = mesh.tile_of(pairs.source) != mesh.tile_of(pairs.target)
    nets.pairs(_only(pairs, ~crosses))
    far = _only(pairs, crosses)
    out = Pairs(flow=far.flow, source=far.source, target=mesh.doors[far.source], count=far.count)
    feeder = nets.pairs(out, leaves=True)
    into = Pairs(flow=far.flow, source=mesh.doors[far.target], target=far.target, count=far.count)
    nets.pairs(into, enters=True, feeder=feeder)


def _add_multicast(nets: _Nets, flow: int, sources: Ints, targets: Ints, parts: int) -> None:
    """From each holder of a part a tree to the readers on its tile; to each other tile with readers its share once.

    It leaves by one net for all other tiles, and enters each at the door of the reader that stands at its place in the
    order, so that entries are spread.
    """
    mesh = nets.mesh
    root, root_part = holders_of(sources, targets, parts)
    size, member, of_part, of_tile = _reader_sets(targets, parts, mesh)
    first = np.cumsum(size) - size
    at, to = cross(root_part, of_part, int(root_part[-1]) + 1)
    inside = mesh.tile_of(root[at]) == of_tile[to]
    leaves = np.bincount(at[~inside], minlength=root.size) > 0
    stays = inside & ~leaves[at]
    members, _ = ranges(first[to[stays]], size[to[stays]])
    nets.add(*_once(flow, root[at[stays]]), (size[to[stays]], member[members]))
    out = _add_exits(nets, flow, root, leaves, (at, to, inside), (size, member))
    enters = ~inside
    place, outside = _ranks(to[enters]), np.bincount(to[enters], minlength=size.size)[to[enters]]
    readers = member[first[to[enters]] + place * size[to[enters]] // outside]
    members, _ = ranges(first[to[enters]], size[to[enters]])
    nets.add(
        *_once(flow, mesh.doors[readers]), (size[to[enters]], member[members]), enters=True, feeder=out[at[enters]]
    )


def _reader_sets(targets: Ints, parts: int, mesh: Mesh) -> tuple[Ints, Ints, Ints, Ints]:
    """Readers of a part on one tile are a set: sizes, all readers in order of their sets, part and tile of each."""
    key = readers_of(targets, parts) * mesh.tiles + mesh.tile_of(targets)
    keys, size = np.unique(key, return_counts=True)
    return size, targets[np.argsort(key, kind="stable")], keys // mesh.tiles, keys % mesh.tiles


def _add_exits(
    nets: _Nets, flow: int, root: Ints, leaves: Bools, pairs: tuple[Ints, Ints, Bools], sets: tuple[Ints, Ints]
) -> Ints:
    """Nets out, one for each holder with readers elsewhere: the door is one more target beside those on its own tile.

    By holder the number of its net: a way beside the tree would carry the share twice.
    """
    (at, to, inside), (size, member) = pairs, sets
    own = np.full(root.size, NONE, dtype=np.int64)
    own[at[inside]] = to[inside]
    gone = np.flatnonzero(leaves)
    count = np.where(own[gone] >= 0, size[own[gone]], 0)
    door = nets.mesh.doors[root[gone]]
    members, owner = ranges((np.cumsum(size) - size)[own[gone]], count)
    # A reader may stand at the door.
    reads = np.bincount(owner[member[members] == door[owner]], minlength=gone.size)
    alone = np.flatnonzero(reads == 0)
    order = np.argsort(np.concatenate((owner, alone)), kind="stable")
    both = np.concatenate((member[members], door[alone]))[order]
    numbers = nets.add(*_once(flow, root[gone]), (count + (reads == 0), both), door=door, taps=reads > 0)
    found = np.full(root.size, NONE, dtype=np.int64)
    found[gone] = numbers
    return found


def _add_memory(nets: _Nets, section: Section, doors: list[list[Doors]]) -> None:
    first, stores = len(section.streams), len(section.streams) + len(section.loads)
    flows: list[int] = []
    sources: list[Ints] = []
    targets: list[Ints] = []
    streams = (*section.loads, *section.stores)
    for number, (stream, of_tiles) in enumerate(zip(streams, doors, strict=True), start=first):
        sites = sum(door.sites.size for door in of_tiles)
        for door in of_tiles:
            nets.scale[number, door.tile] = stream.tile_bytes / (sites * door.agcus.size)
            flows.append(number)
            sources.append(door.agcus if number < stores else door.sites)
            targets.append(door.sites if number < stores else door.agcus)
    found = spread(sources, targets)
    found = _with_flow(found, np.array(flows, dtype=np.int64)[found.flow])
    nets.pairs(_only(found, found.flow < stores), enters=True)
    nets.pairs(_only(found, found.flow >= stores), leaves=True)


def _once(flow: int, source: Ints) -> tuple[Ints, Ints, Ints]:
    return np.full(source.size, flow, dtype=np.int64), source, np.ones_like(source)


def _ranks(owner: Ints) -> Ints:
    """How many of the same owner stand before each."""
    order = np.argsort(owner, kind="stable")
    ranks = np.empty_like(owner)
    within = owner[order]
    ranks[order] = np.arange(owner.size) - np.searchsorted(within, within)
    return ranks


def _with_flow(pairs: Pairs, flow: Ints) -> Pairs:
    return Pairs(flow=flow, source=pairs.source, target=pairs.target, count=pairs.count)


def _only(pairs: Pairs, which: Bools) -> Pairs:
    return Pairs(
        flow=pairs.flow[which], source=pairs.source[which], target=pairs.target[which], count=pairs.count[which]
    )
