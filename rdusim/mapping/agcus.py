"""Which AGCUs carry a load or a store: those of the tiles where its stage lives, the least busy first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rdusim.mapping.mesh import Ints, Mesh
from rdusim.program.types import MemoryStream


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Doors:
    """On one tile: the AGCUs of a stream, and the stage's sites that they serve, both from top to bottom."""

    tile: int
    agcus: Ints
    sites: Ints


def choose(streams: Sequence[MemoryStream], sites: Sequence[Ints], mesh: Mesh) -> list[list[Doors]]:
    """For each stream, by tile: AGCUs for its sites.

    The heaviest stream chooses first: as with jobs on machines (longest processing time first) the busiest AGCU is
    then at most a third above the best. Among equally busy ones the nearest are taken.
    """
    busy = np.zeros(mesh.agcus.shape)
    found: list[list[Doors]] = [[] for _ in streams]
    order = sorted(range(len(streams)), key=lambda number: -streams[number].bytes / max(1, streams[number].agcus))
    for number in order:
        for tile, part, count in _by_tile(sites[number], streams[number].agcus, mesh):
            at = mesh.agcus[tile]
            distance = abs(mesh.row_of(at) - mesh.row_of(part).mean()) + abs(mesh.col_of(at) - mesh.col_of(part).mean())
            chosen = np.sort(np.lexsort((distance, busy[tile]))[:count])
            busy[tile, chosen] += streams[number].bytes * part.size / sites[number].size / chosen.size
            found[number].append(Doors(tile=tile, agcus=at[chosen], sites=np.sort(part)))
    return found


def _by_tile(sites: Ints, agcus: int, mesh: Mesh) -> list[tuple[int, Ints, int]]:
    """Tile, sites on it, and its part of `agcus`: proportional, at least one, at most all it has."""
    tiles = mesh.tile_of(sites)
    used, counts = np.unique(tiles, return_counts=True)
    bounds = np.rint(np.cumsum(counts) * agcus / max(1, sites.size))
    shares = np.clip(np.diff(bounds, prepend=0.0), 1, mesh.agcus.shape[1]).astype(int)
    return [(tile, sites[tiles == tile], share) for tile, share in zip(used.tolist(), shares.tolist(), strict=True)]
