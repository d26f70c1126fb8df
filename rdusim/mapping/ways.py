"""Ways of nets over the mesh: a tree along a trunk, which is a row or a column of the tile.

With row r as its trunk a net goes along its source's column to row r, along row r as far as columns of targets lie, and
off it along each of these columns. So r = the source's row is XY, and a single target is reached with two bends (Z);
trunk columns are the same with rows and columns exchanged, YX among them. Trunks are numbered: rows, then columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rdusim.mapping.demand import Demand
from rdusim.mapping.mesh import EAST, IN, NORTH, OUT, SOUTH, WEST, Ints, Mesh
from rdusim.mapping.spread import ranges

# Order of the runs of a net: each starts where one before it has come by.
_ENTRY, _STEM, _TRUNK, _BRANCH, _EXIT = range(5)
_RANKS = 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Axis:
    """Coordinates for trunks of one kind, numbered from `trunk` on: a trunk is a line, positions count along it.

    A step across the lines changes a switch's number by `across`, one along a line by `along`. `turns`: the directions
    to lower lines, higher lines, lower positions, higher positions. By net: `corner`, the first switch of its tile, and
    `line` and `position` of its source. Its entries `first[net] : first[net + 1]` are the positions `at` with targets,
    ascending, the outermost of them on the lines `low` and `high`.
    """

    trunk: int
    lines: int
    positions: int
    across: int
    along: int
    turns: tuple[int, int, int, int]
    corner: Ints
    line: Ints
    position: Ints
    first: Ints
    at: Ints
    low: Ints
    high: Ints


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ways:
    """The links and ports of net n are `link[first[n] : first[n + 1]]`, each after the one that feeds it."""

    first: Ints
    link: Ints


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shape:
    """Of nets along chosen lines: where the trunk lies and how far it and the stem at the source reach."""

    line: Ints
    left: Ints
    right: Ints
    low: Ints
    high: Ints


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Runs:
    """Straight pieces: the first link, the step to the next one, how many there are."""

    net: Ints
    rank: Ints
    link: Ints
    step: Ints
    length: Ints


def axes_of(nets: Demand, mesh: Mesh) -> tuple[Axis, Axis]:
    """For trunks that are rows, and for those that are columns."""
    rows, cols = mesh.row_of, mesh.col_of
    across = _entries(nets, rows(nets.member), cols(nets.member), mesh.rows, mesh.cols)
    along = _entries(nets, cols(nets.member), rows(nets.member), mesh.cols, mesh.rows)
    corner, row, col = nets.tile * mesh.tile_switches, rows(nets.source), cols(nets.source)
    return (
        Axis(
            trunk=0, lines=mesh.rows, positions=mesh.cols, across=mesh.cols, along=1,
            turns=(NORTH, SOUTH, WEST, EAST), corner=corner, line=row, position=col,
            first=across[0], at=across[1], low=across[2], high=across[3],
        ),
        Axis(
            trunk=mesh.rows, lines=mesh.cols, positions=mesh.rows, across=1, along=mesh.cols,
            turns=(WEST, EAST, NORTH, SOUTH), corner=corner, line=col, position=row,
            first=along[0], at=along[1], low=along[2], high=along[3],
        ),
    )  # fmt: skip


def straight(nets: Demand, mesh: Mesh, rows_first: bool) -> Ints:
    """The trunks of dimension-order ways: XY or YX."""
    return mesh.row_of(nets.source) if rows_first else mesh.rows + mesh.col_of(nets.source)


def ways(nets: Demand, trunks: Ints, axes: tuple[Axis, Axis], mesh: Mesh) -> Ways:
    """All links and ports of all nets along their trunks."""
    parts = _ports(nets, mesh)
    for axis in axes:
        net = _along(axis, trunks)
        parts.append(_runs(axis, net, trunks[net] - axis.trunk))
    net = np.concatenate([part.net for part in parts])
    length = np.concatenate([part.length for part in parts])
    order = np.argsort(net * _RANKS + np.concatenate([part.rank for part in parts]), kind="stable")
    order = order[length[order] > 0]
    hop, run = ranges(np.zeros_like(order), length[order])
    run = order[run]
    link = np.concatenate([part.link for part in parts])[run] + np.concatenate([part.step for part in parts])[run] * hop
    sizes = np.bincount(net, length, nets.flow.size).astype(np.int64)
    return Ways(first=np.concatenate(([0], np.cumsum(sizes))), link=link)


def mesh_links(net: Ints, trunks: Ints, axes: tuple[Axis, Axis]) -> tuple[Ints, Ints]:
    """The mesh links of nets `net` in any order, and the net of each. `trunks`: of all nets."""
    found = []
    for axis in axes:
        of_axis = net[_along(axis, trunks[net])]
        if of_axis.size:
            part = _runs(axis, of_axis, trunks[of_axis] - axis.trunk)
            hop, run = ranges(np.zeros_like(part.length), part.length)
            found.append((part.link[run] + part.step[run] * hop, part.net[run]))
    return np.concatenate([link for link, _ in found]), np.concatenate([owner for _, owner in found])


def lengths(nets: Demand, trunks: Ints, axes: tuple[Axis, Axis]) -> tuple[Ints, Ints]:
    """Links to the farthest target of each net, and to its door (0 without one)."""
    farthest, to_door = np.zeros_like(nets.flow), np.zeros_like(nets.flow)
    for axis in axes:
        net = _along(axis, trunks)
        shape = shape_of(axis, net, trunks[net] - axis.trunk)
        entry, owner = ranges(axis.first[net], axis.first[net + 1] - axis.first[net])
        way = np.maximum(
            _distance(axis, shape, net, owner, axis.low[entry], axis.at[entry]),
            _distance(axis, shape, net, owner, axis.high[entry], axis.at[entry]),
        )
        np.maximum.at(farthest, net[owner], way)
        leaves = np.flatnonzero(nets.door[net] >= 0)
        within = nets.door[net[leaves]] - axis.corner[net[leaves]]
        line, at = within // axis.across % axis.lines, within // axis.along % axis.positions
        to_door[net[leaves]] = _distance(axis, shape, net, leaves, line, at)
    return farthest, to_door


def shape_of(axis: Axis, net: Ints, line: Ints) -> Shape:
    """Nets `net` with trunks `line`. Where all targets are at the source's position there is no trunk, only a stem."""
    position, source = axis.position[net], axis.line[net]
    left = np.minimum(position, axis.at[axis.first[net]])
    right = np.maximum(position, axis.at[axis.first[net + 1] - 1])
    line = np.where(left == right, source, line)
    low, high = np.minimum(source, line), np.maximum(source, line)
    entry, owner = ranges(axis.first[net], axis.first[net + 1] - axis.first[net])
    own = axis.at[entry] == position[owner]
    entry, owner = entry[own], owner[own]
    low[owner] = np.minimum(low[owner], axis.low[entry])
    high[owner] = np.maximum(high[owner], axis.high[entry])
    return Shape(line=line, left=left, right=right, low=low, high=high)


def _along(axis: Axis, trunks: Ints) -> Ints:
    return np.flatnonzero((trunks >= axis.trunk) & (trunks < axis.trunk + axis.lines))


def _entries(nets: Demand, line: Ints, position: Ints, lines: int, positions: int) -> tuple[Ints, Ints, Ints, Ints]:
    """By net and position that has targets: where each net's begin, the position, the lowest and the highest line."""
    owner = np.repeat(np.arange(nets.flow.size), np.diff(nets.first))
    key = np.sort((owner * positions + position) * lines + line)
    branch = key // lines
    begins = np.flatnonzero(np.concatenate(([True], branch[1:] != branch[:-1]))) if key.size else key
    ends = np.concatenate((begins[1:], [key.size])).astype(np.int64) - 1 if key.size else key
    first = np.searchsorted(branch[begins], np.arange(nets.flow.size + 1) * positions)
    return first, branch[begins] % positions, key[begins] % lines, key[ends] % lines


def _runs(axis: Axis, net: Ints, line: Ints) -> _Runs:
    shape = shape_of(axis, net, line)
    corner, source, position = axis.corner[net], axis.line[net], axis.position[net]
    entry, owner = ranges(axis.first[net], axis.first[net + 1] - axis.first[net])
    branch = axis.at[entry] != position[owner]
    entry, owner = entry[branch], owner[branch]
    start = corner + source * axis.across + position * axis.along
    turn = corner + shape.line * axis.across + position * axis.along
    off = corner[owner] + shape.line[owner] * axis.across + axis.at[entry] * axis.along
    down, up, back, forth = axis.turns
    pieces = (
        (net, _STEM, start, down, -axis.across, source - shape.low),
        (net, _STEM, start, up, axis.across, shape.high - source),
        (net, _TRUNK, turn, back, -axis.along, position - shape.left),
        (net, _TRUNK, turn, forth, axis.along, shape.right - position),
        (net[owner], _BRANCH, off, down, -axis.across, np.maximum(0, shape.line[owner] - axis.low[entry])),
        (net[owner], _BRANCH, off, up, axis.across, np.maximum(0, axis.high[entry] - shape.line[owner])),
    )
    sizes = [piece[0].size for piece in pieces]
    return _Runs(
        net=np.concatenate([piece[0] for piece in pieces]),
        rank=np.repeat([piece[1] for piece in pieces], sizes),
        link=np.concatenate([4 * piece[2] + piece[3] for piece in pieces]),
        step=np.repeat([4 * piece[4] for piece in pieces], sizes),
        length=np.concatenate([piece[5] for piece in pieces]),
    )


def _ports(nets: Demand, mesh: Mesh) -> list[_Runs]:
    enters, leaves = np.flatnonzero(nets.enters), np.flatnonzero(nets.door >= 0)
    return [
        _Runs(
            net=net,
            rank=np.full_like(net, rank),
            link=mesh.mesh_links + 2 * switch[net] + direction,
            step=np.zeros_like(net),
            length=np.ones_like(net),
        )
        for net, rank, switch, direction in (
            (enters, _ENTRY, nets.source, IN),
            (leaves, _EXIT, nets.door, OUT),
        )
    ]


def _distance(axis: Axis, shape: Shape, net: Ints, owner: Ints, line: Ints, at: Ints) -> Ints:
    """Links from the sources of nets `net[owner]` to the squares (line, at): past the trunk or along the stem."""
    source, position, trunk = axis.line[net[owner]], axis.position[net[owner]], shape.line[owner]
    by_trunk = abs(source - trunk) + abs(position - at) + abs(trunk - line)
    return np.where(at == position, abs(source - line), by_trunk)
