"""Which AGCUs carry a load or a store: those of the tiles where its stage lives, the least busy first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rdusim.mapping.mesh import Ints, Mesh
from rdusim.program.types import MemoryStream


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Doors:
    """On one tile: the AGCUs of a stream, and the stage's sites, in such an order that the n-th part of these is served
    by the n-th part of those."""

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
            found[number].append(_paired(tile, at[chosen], part, mesh))
    return found


def _paired(tile: int, agcus: Ints, sites: Ints, mesh: Mesh) -> Doors:
    """AGCUs of the left edge serve the sites that lie most to the left; those of an edge share theirs out by rows."""
    left = np.count_nonzero(mesh.col_of(agcus) == mesh.col_of(agcus).min()) / agcus.size
    by_col = sites[np.lexsort((mesh.row_of(sites), mesh.col_of(sites)))]
    cut = round(left * sites.size)
    return Doors(
        tile=tile,
        agcus=agcus[np.lexsort((mesh.row_of(agcus), mesh.col_of(agcus)))],
        sites=np.concatenate((np.sort(by_col[:cut]), np.sort(by_col[cut:]))),
    )


def _by_tile(sites: Ints, agcus: int, mesh: Mesh) -> list[tuple[int, Ints, int]]:
    """Tile, sites on it, and its part of `agcus`: proportional, at least one, at most all it has.

    What a tile cannot give others do: their AGCUs then have less to carry for this stream.
    """
    tiles = mesh.tile_of(sites)
    used, counts = np.unique(tiles, return_counts=True)
    bounds = np.rint(np.cumsum(counts) * agcus / max(1, sites.size))
    most = mesh.agcus.shape[1]
    shares = np.clip(np.diff(bounds, prepend=0.0), 1, most).astype(int)
    for at in np.argsort(-counts, kind="stable").tolist():
        shares[at] = min(most, shares[at] + max(0, agcus - int(shares.sum())))
    return [(tile, sites[tiles == tile], share) for tile, share in zip(used.tolist(), shares.tolist(), strict=True)]
