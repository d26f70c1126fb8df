"""What every way of a net would cost, for all nets and trunks at once, from prefix sums of the costs of links."""

from __future__ import annotations

import numpy as np

from rdusim.mapping.mesh import Floats, Ints, Mesh
from rdusim.mapping.spread import ranges
from rdusim.mapping.ways import Axis


def costs(axes: tuple[Axis, Axis], net: Ints, of_link: Floats, mesh: Mesh) -> Floats:
    """Cost of nets `net` (rows of the result) along every trunk (columns of the result). `of_link`: by mesh link.

    A straight run costs the difference of two prefix sums, so a candidate costs a few look-ups for each position with
    targets, however long its ways are.
    """
    return np.concatenate([_along(axis, net, of_link, mesh) for axis in axes], axis=1)


def _along(axis: Axis, net: Ints, of_link: Floats, mesh: Mesh) -> Floats:
    down, up, back, forth = _prefixes(axis, of_link, mesh)
    tile = (axis.corner[net] // mesh.tile_switches)[:, None]
    source, position = axis.line[net][:, None], axis.position[net][:, None]
    left = np.minimum(position, axis.at[axis.first[net]][:, None])
    right = np.maximum(position, axis.at[axis.first[net + 1] - 1][:, None])
    # Without targets beside the source's own position there is no trunk, and nothing to choose.
    lines = np.where(left == right, source, np.arange(axis.lines, dtype=np.int64)[None, :])
    entry, owner = ranges(axis.first[net], axis.first[net + 1] - axis.first[net])
    own = axis.at[entry] == axis.position[net][owner]
    low, high = np.minimum(source, lines), np.maximum(source, lines)
    inner = owner[own]
    low[inner] = np.minimum(low[inner], axis.low[entry[own]][:, None])
    high[inner] = np.maximum(high[inner], axis.high[entry[own]][:, None])
    stem = down[tile, position, source] - down[tile, position, low] + up[tile, position, high]
    stem -= up[tile, position, source]
    trunk = back[tile, lines, position] - back[tile, lines, left]
    trunk += forth[tile, lines, right] - forth[tile, lines, position]
    at, part, line = axis.at[entry][:, None], tile[owner], lines[owner]
    branch = down[part, at, line] - down[part, at, np.minimum(line, axis.low[entry][:, None])]
    branch += up[part, at, np.maximum(line, axis.high[entry][:, None])] - up[part, at, line]
    branch[own] = 0.0
    total: Floats = stem + trunk
    total += _sums(branch, owner, net.size)
    return total


def _sums(of_entry: Floats, owner: Ints, owners: int) -> Floats:
    """Added up by owner; owners ascend and each has an entry."""
    return np.add.reduceat(of_entry, np.searchsorted(owner, np.arange(owners)), axis=0) if owners else of_entry


def _prefixes(axis: Axis, of_link: Floats, mesh: Mesh) -> tuple[Floats, Floats, Floats, Floats]:
    """Costs of all links up to a line (by tile, position, line), downwards and upwards; and up to a position (by tile,
    line, position), backwards and forwards. A link up leads from its square to the next, one down to the one before."""
    grid = of_link.reshape(mesh.tiles, mesh.rows, mesh.cols, 4)
    if axis.along != 1:
        grid = grid.transpose(0, 2, 1, 3)
    down, up, back, forth = (grid[..., turn] for turn in axis.turns)
    return (
        _before(down.transpose(0, 2, 1), inclusive=True),
        _before(up.transpose(0, 2, 1), inclusive=False),
        _before(back, inclusive=True),
        _before(forth, inclusive=False),
    )


def _before(cost: Floats, *, inclusive: bool) -> Floats:
    """Sums along the last axis, `inclusive` from the second to the square itself, else from the first to one before."""
    sums = np.cumsum(cost, axis=-1)
    return sums - cost[..., :1] if inclusive else sums - cost
