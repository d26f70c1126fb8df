"""A run of stages under a cut, as the search tries it: what it loads, streams, stores and keeps on the chip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from rdusim.program.budget import Budget
from rdusim.program.reconverge import firings_ahead
from rdusim.program.sketch import Edge, Sketch
from rdusim.program.tile import Cut
from rdusim.program.width import Demand

FILLABLE = 0.92  # of the SRAM: stages take whole PMUs, so some bytes are lost to rounding
WINDOWED = 0.8  # of the SRAM, where loads only run ahead: the rest is for PMUs that feed PCUs
LEAST_WINDOW = 64 * 1024  # bytes in front of a stage through which a load that does not fit is streamed
AGAIN_WINDOW = 16 * LEAST_WINDOW  # the same where it is streamed again for every tile


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedLoad:
    """An edge from memory: `tiles` parts of `tile_bytes`, running ahead into `prefetch` bytes of PMU."""

    edge: Edge
    tiles: int
    tile_bytes: int
    prefetch: int
    flows: frozenset[int]  # a part for every index of these
    stays: bool  # its stage reads it for several tiles: where it does not fit, it is streamed again for each

    @property
    def contiguous(self) -> int:
        """Bytes in a row in memory."""
        return max(1, min(self.edge.row_bytes, self.tile_bytes))

    @property
    def moves(self) -> bool:
        """Whether it is the moving operand of a GEMM, read in front of what stays."""
        return self.edge.multicast and not self.edge.resident


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStream:
    """An edge between stages: parts of `tile_bytes`, a buffer of `depth` of them."""

    edge: Edge
    tiles: int
    tile_bytes: int
    depth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStore:
    """A tensor that leaves for memory from `stage`: `tiles` parts of `tile_bytes`."""

    tensor: str
    stage: int
    tiles: int
    tile_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Stages first .. end-1 of a block under a cut. `sram`: bytes that each stage's PMUs hold."""

    sketch: Sketch
    first: int
    end: int
    cut: Cut
    loads: tuple[PlannedLoad, ...]
    streams: tuple[PlannedStream, ...]
    stores: tuple[PlannedStore, ...]
    demands: tuple[Demand, ...]
    sram: tuple[int, ...]

    def deeper(self, depths: Sequence[int]) -> Candidate:
        """The same with other depths of its streams."""
        sram = list(self.sram)
        streams = []
        for stream, depth in zip(self.streams, depths, strict=True):
            sram[stream.edge.source - self.first] += (depth - stream.depth) * stream.tile_bytes
            streams.append(replace(stream, depth=depth))
        return replace(self, streams=tuple(streams), sram=tuple(sram))


def candidate(sketch: Sketch, first: int, end: int, cut: Cut, budget: Budget) -> Candidate | None:
    """Loads, streams, stores and bytes of a run; None where they exceed SRAM or AGCU contexts."""
    inside = [edge for edge in sketch.edges if first <= edge.target < end]
    streams = _streams(sketch, [edge for edge in inside if edge.source >= first], cut, first, end)
    stores = _stores(sketch, first, end, cut)
    sram = [0] * (end - first)
    for stream in streams:
        sram[stream.edge.source - first] += stream.tile_bytes * stream.depth
    for store in stores:
        sram[store.stage - first] += min(2, store.tiles) * store.tile_bytes
    wanted = [_load(edge, sketch.passing[edge.target], cut) for edge in inside if edge.source < first]
    loads = _fit(wanted, sum(sram), cut, budget)
    if loads is None or len(loads) + len(stores) > budget.contexts:
        return None
    for load in loads:
        sram[load.edge.target - first] += load.prefetch
    return Candidate(
        sketch=sketch,
        first=first,
        end=end,
        cut=cut,
        loads=tuple(sorted(loads, key=lambda load: load.edge.target)),
        streams=tuple(streams),
        stores=tuple(stores),
        demands=tuple(sketch.demand(group, cut, budget.arch.socket.tile.pcu) for group in range(first, end)),
        sram=tuple(sram),
    )


def _streams(sketch: Sketch, edges: Sequence[Edge], cut: Cut, first: int, end: int) -> list[PlannedStream]:
    """A buffer holds two tiles, and one more for every stage that a shortcut skips; all of a resident operand.

    And all tiles of what its target goes through several times, and those that its source must make before its target
    can begin.
    """
    level = [0] * (end - first)  # stages on the longest way to each
    for edge in sorted(edges, key=lambda edge: edge.target):
        level[edge.target - first] = max(level[edge.target - first], level[edge.source - first] + 1)
    firings = [cut.of(sketch.passing[group]) for group in range(first, end)]
    ahead = firings_ahead([(edge.source - first, edge.target - first) for edge in edges], firings)
    planned = []
    for edge, fired in zip(edges, ahead, strict=True):
        tiles = cut.of(edge.flows)
        size = max(1, ceil(edge.size / tiles))
        if edge.resident:
            parts = cut.of(edge.held)
            depth = ceil(edge.size / parts * min(2, parts) / size)
        elif cut.comes_again(edge.flows, sketch.passing[edge.target]):
            depth = tiles
        else:
            early = ceil(fired * tiles / firings[edge.source - first]) - 1
            depth = min(tiles, 1 + level[edge.target - first] - level[edge.source - first] + early)
        planned.append(PlannedStream(edge=edge, tiles=tiles, tile_bytes=size, depth=max(1, depth)))
    return planned


def _stores(sketch: Sketch, first: int, end: int, cut: Cut) -> list[PlannedStore]:
    """What stages outside the run read, or memory must get; in as many parts as its stage fires."""
    stores = []
    for group in sketch.groups[first:end]:
        tiles = cut.of(sketch.passing[group.index])
        for tensor in group.made:
            if sketch.last_reader.get(tensor, -1) >= end:
                size = ceil(sketch.graph.tensors[tensor].bytes / tiles)
                stores.append(PlannedStore(tensor=tensor, stage=group.index, tiles=tiles, tile_bytes=size))
    return stores


def _load(edge: Edge, fires: frozenset[int], cut: Cut) -> PlannedLoad:
    """Two parts, of which one is read while the other comes; all of what its stage goes through several times."""
    tiles = cut.of(edge.read)
    size = ceil(edge.size / tiles)
    again = cut.comes_again(edge.read, fires)
    return PlannedLoad(
        edge=edge,
        tiles=tiles,
        tile_bytes=size,
        prefetch=size * (tiles if again else min(2, tiles)),
        flows=edge.read,
        stays=edge.resident or again,
    )


def _fit(loads: list[PlannedLoad], held: int, cut: Cut, budget: Budget) -> list[PlannedLoad] | None:
    """Shrink the space in front of loads until all fits.

    With one tile a shorter window costs nothing but head start: all shrink alike. With more, an operand that does not
    stay must be streamed again for every tile: the largest first.
    """
    wanted = sum(load.prefetch for load in loads)
    if held + wanted <= FILLABLE * budget.sram:
        return loads
    if cut.tiles == 1:
        room = WINDOWED * budget.sram - held
        if room < LEAST_WINDOW * len(loads):
            return None
        return [
            replace(load, prefetch=max(min(load.prefetch, LEAST_WINDOW), int(load.prefetch * room / wanted)))
            for load in loads
        ]
    fitted = list(loads)
    for index in sorted(range(len(loads)), key=lambda at: -loads[at].prefetch):
        load = loads[index]
        if load.stays and load.prefetch > AGAIN_WINDOW:
            window = min(AGAIN_WINDOW, 2 * load.tile_bytes)
            fitted[index] = replace(load, tiles=cut.tiles, prefetch=window, flows=cut.flows)
            wanted -= load.prefetch - window
            if held + wanted <= FILLABLE * budget.sram:
                return fitted
    return None
