"""Dimension-order paths and multicast trees as arrays, all streams of a section at once.

A path goes along its first dimension, then along the second. So the links of a path are one run on the line it starts
on and one run on the line it ends on; runs are added up as differences and one cumulative sum. Counts are whole
numbers (shares of a tile), so that sums are exact and "no traffic" is zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rdusim.mapping.mesh import EAST, NORTH, SOUTH, WEST, Ints, Mesh


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pairs:
    """Point to point: `count` shares of stream `flow` from a switch to another."""

    flow: Ints
    source: Ints
    target: Ints
    count: Ints


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trees:
    """Multicast: one share from each source to all targets of the same tree, all on one tile.

    `flow` is by tree; `source_tree` and `target_tree`, ascending, say whose each switch is.
    """

    flow: Ints
    source: Ints
    source_tree: Ints
    target: Ints
    target_tree: Ints


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Usage:
    """Shares of streams on links, ascending by stream."""

    flow: Ints
    link: Ints
    count: Ints


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Runs:
    """Straight runs on a line (a row or a column) of group (stream x tiles + tile), from one square to another."""

    group: Ints
    line: Ints
    start: Ints
    stop: Ints
    count: Ints


def spread(sources: list[Ints], targets: list[Ints]) -> Pairs:
    """A stream's tile is cut evenly over its sources, and evenly over its targets: the pairs that share a part.

    By stream, in order; a share is 1 / (sources x targets) of a tile. n sources and m targets make n + m - gcd pairs.
    """
    n = np.array([part.size for part in sources], dtype=np.int64)
    m = np.array([part.size for part in targets], dtype=np.int64)
    if not n.size:
        nothing = np.zeros(0, dtype=np.int64)
        return Pairs(flow=nothing, source=nothing, target=nothing, count=nothing)
    first = np.concatenate(([0], np.cumsum(n * m)))
    # All cuts of all streams on one axis; between two neighbouring cuts lies one part.
    bounds = np.unique(np.concatenate([_cuts(n, m, first), _cuts(m, n, first), first]))
    start = bounds[:-1]
    flow = np.searchsorted(first, start, side="right") - 1
    within = start - first[flow]
    return Pairs(
        flow=flow,
        source=np.concatenate(sources)[(np.cumsum(n) - n)[flow] + within // m[flow]],
        target=np.concatenate(targets)[(np.cumsum(m) - m)[flow] + within // n[flow]],
        count=np.diff(bounds),
    )


def usage(pairs: Pairs, trees: Trees, mesh: Mesh, rows_first: bool) -> Usage:
    """Links of all pairs and trees. `rows_first`: along the row, then along the column (XY); else the other way."""
    first, second = _pair_runs(pairs, mesh, rows_first)
    tree_first, tree_second = _tree_runs(trees, mesh, rows_first)
    first, second = _joined(first, tree_first), _joined(second, tree_second)
    return _links(first, second, mesh) if rows_first else _links(second, first, mesh)


def _cuts(parts: Ints, step: Ints, first: Ints) -> Ints:
    """Where the parts of every stream begin: `step` apart."""
    flow = np.repeat(np.arange(parts.size), parts)
    number = np.arange(flow.size) - np.repeat(np.cumsum(parts) - parts, parts)
    cuts: Ints = first[flow] + number * step[flow]
    return cuts


def _place(switches: Ints, mesh: Mesh, rows_first: bool) -> tuple[Ints, Ints]:
    """Line a path starts on, and position on it."""
    row, col = mesh.row_of(switches), mesh.col_of(switches)
    return (row, col) if rows_first else (col, row)


def _pair_runs(pairs: Pairs, mesh: Mesh, rows_first: bool) -> tuple[_Runs, _Runs]:
    group = pairs.flow * mesh.tiles + mesh.tile_of(pairs.source)
    line, position = _place(pairs.source, mesh, rows_first)
    to_line, to_position = _place(pairs.target, mesh, rows_first)
    return (
        _Runs(group=group, line=line, start=position, stop=to_position, count=pairs.count),
        _Runs(group=group, line=to_position, start=line, stop=to_line, count=pairs.count),
    )


def _tree_runs(trees: Trees, mesh: Mesh, rows_first: bool) -> tuple[_Runs, _Runs]:
    """From each source both ways along its line as far as targets lie, then off it at every position of a target."""
    count = trees.flow.size
    line, position = _place(trees.source, mesh, rows_first)
    branch_tree, branch, low, high = _branches(trees, mesh, rows_first)
    leftmost, rightmost = _extremes(branch_tree, branch, count)
    tree = trees.source_tree
    group = trees.flow[tree] * mesh.tiles + mesh.tile_of(trees.source)
    trunk = _both_ways(group, line, position, leftmost[tree], rightmost[tree])
    source, other = _cross(tree, branch_tree, count)
    branches = _both_ways(group[source], branch[other], line[source], low[other], high[other])
    return trunk, branches


def _branches(trees: Trees, mesh: Mesh, rows_first: bool) -> tuple[Ints, Ints, Ints, Ints]:
    """By tree and position that has targets: the tree, the position, the lowest and the highest line of a target."""
    line, position = _place(trees.target, mesh, rows_first)
    lines, width = (mesh.rows, mesh.cols) if rows_first else (mesh.cols, mesh.rows)
    key = np.sort((trees.target_tree * width + position) * lines + line)
    branch = key // lines
    first = np.flatnonzero(np.concatenate(([True], branch[1:] != branch[:-1]))) if key.size else key
    last = np.concatenate((first[1:], [key.size])).astype(np.int64) - 1 if key.size else key
    return branch[first] // width, branch[first] % width, key[first] % lines, key[last] % lines


def _extremes(owner: Ints, value: Ints, owners: int) -> tuple[Ints, Ints]:
    """Least and greatest value of each owner; values ascend within an owner."""
    begin = np.searchsorted(owner, np.arange(owners))
    end = np.searchsorted(owner, np.arange(owners), side="right")
    return value[begin], value[end - 1]


def _cross(left: Ints, right: Ints, owners: int) -> tuple[Ints, Ints]:
    """Indices of all combinations of a left and a right one of the same owner; owners ascend."""
    n, m = np.bincount(left, minlength=owners), np.bincount(right, minlength=owners)
    size = n * m
    owner = np.repeat(np.arange(owners), size)
    number = np.arange(owner.size) - np.repeat(np.cumsum(size) - size, size)
    return (np.cumsum(n) - n)[owner] + number // m[owner], (np.cumsum(m) - m)[owner] + number % m[owner]


def _both_ways(group: Ints, line: Ints, start: Ints, low: Ints, high: Ints) -> _Runs:
    return _Runs(
        group=np.concatenate((group, group)),
        line=np.concatenate((line, line)),
        start=np.concatenate((start, start)),
        stop=np.concatenate((np.minimum(start, low), np.maximum(start, high))),
        count=np.ones(2 * group.size, dtype=np.int64),
    )


def _joined(one: _Runs, two: _Runs) -> _Runs:
    return _Runs(
        group=np.concatenate((one.group, two.group)),
        line=np.concatenate((one.line, two.line)),
        start=np.concatenate((one.start, two.start)),
        stop=np.concatenate((one.stop, two.stop)),
        count=np.concatenate((one.count, two.count)),
    )


def _links(horizontal: _Runs, vertical: _Runs, mesh: Mesh) -> Usage:
    """Runs added up. Cells of a group: EAST and WEST links of every row, SOUTH and NORTH links of every column.

    A line has one cell more than squares, where the run over its whole length ends.
    """
    wide, high = mesh.rows * (mesh.cols + 1), mesh.cols * (mesh.rows + 1)
    cells = 2 * (wide + high)
    # Most streams live on one or two tiles: groups without runs get no cells.
    here = np.bincount(np.concatenate((horizontal.group, vertical.group))) > 0
    used, rank = np.flatnonzero(here), np.cumsum(here) - 1
    across, along = rank[horizontal.group] * cells, rank[vertical.group] * cells
    begin_h, end_h = _ends(horizontal, across, mesh.cols + 1, wide)
    begin_v, end_v = _ends(vertical, along + 2 * wide, mesh.rows + 1, high)
    begin, end = np.concatenate((begin_h, begin_v)), np.concatenate((end_h, end_v))
    counts = np.concatenate((horizontal.count, vertical.count)).astype(np.float64)
    steps = np.bincount(begin, counts, used.size * cells) - np.bincount(end, counts, used.size * cells)
    sums = np.cumsum(steps)
    busy = np.flatnonzero(sums)
    group = used[busy // cells]
    link = _link_of_cell(mesh)[busy % cells] + group % mesh.tiles * (4 * mesh.tile_switches)
    return Usage(flow=group // mesh.tiles, link=link, count=sums[busy].astype(np.int64))


def _ends(runs: _Runs, first: Ints, width: int, block: int) -> tuple[Ints, Ints]:
    """Cells where each run begins to count and where it has ended; backward links stand in the second block.

    The link at square p leads to p + 1, backwards to p - 1: backwards a run from s to e uses the links at e + 1 .. s.
    """
    back = runs.stop < runs.start
    line = first + np.where(back, block, 0) + runs.line * width
    return line + np.where(back, runs.stop + 1, runs.start), line + np.where(back, runs.start + 1, runs.stop)


def _link_of_cell(mesh: Mesh) -> Ints:
    """Number of the link, in tile 0, of each cell; cells that only end runs hold no link (-1)."""
    squares = np.arange(mesh.tile_switches, dtype=np.int64).reshape(mesh.rows, mesh.cols)
    rows = np.pad(4 * squares, ((0, 0), (0, 1)), constant_values=-4).reshape(-1)
    cols = np.pad(4 * squares.T, ((0, 0), (0, 1)), constant_values=-4).reshape(-1)
    return np.concatenate((rows + EAST, rows + WEST, cols + SOUTH, cols + NORTH))
