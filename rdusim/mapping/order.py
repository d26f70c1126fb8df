"""The order of stages along the curve: a seeded search over a cheap cost, from centre to centre of the stages.

    cost = sum over streams of bytes x (hops between centres; between tiles, hops to both edges + dear)
           + bytes between memory and a tile, power mean, x tiles x dear

`dear` says how many hops cost as much as one way over the top-level network, between dies, or through an AGCU: a byte
takes the same share of the capacity of all mesh links together as of all of those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

import numpy as np

from rdusim.arch.types import Socket
from rdusim.mapping.mesh import Floats, Ints, Mesh
from rdusim.mapping.place import Layout, Window, agcus_of, curve_of, cuts_of, lengths_of
from rdusim.program.types import Section
from rdusim.timing import agcu, dram, tln
from rdusim.units import Cycles

MOVES: Final = 128  # tried at once
PATIENCE: Final = 8
POWER: Final = 4.0  # of the mean over tiles: half as busy counts a sixteenth


@dataclass(frozen=True, slots=True, kw_only=True)
class Dear:
    """Hops that a byte is worth on the top-level network, between dies, and in an AGCU."""

    tln: float
    die: float
    agcu: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Board:
    """What a cost needs: by stage its slots, and bytes from and to memory; by slot of a tile, sums of rows and columns
    before it; by stream its ends and bytes."""

    mesh: Mesh
    dear: Dear
    window: Window
    agcus: int
    lengths: Floats
    memory: Floats
    rows: Floats
    cols: Floats
    source: Ints
    target: Ints
    bytes: Floats


def dear_of(socket: Socket, mesh: Mesh) -> Dear:
    """Prices from the machine."""
    links = int(mesh.exists(np.arange(mesh.mesh_links)).sum())
    rdn = socket.tile.rdn
    everywhere = float(links * rdn.vector_links * rdn.vector_bytes_per_cycle)
    return Dear(
        tln=everywhere / (socket.tln.bytes_per_cycle * socket.dies),
        die=everywhere / (2.0 * socket.die_to_die.bytes_per_cycle),
        agcu=everywhere / (socket.agcus * _agcu_rate(socket)),
    )


def _agcu_rate(socket: Socket) -> float:
    """Bytes per cycle of an AGCU at the nearest memory."""
    nearest = socket.memory[0]
    latency = dram.latency(nearest, socket.clock) + tln.latency(socket, crosses=socket.dies > 1)
    return agcu.rate(Cycles(latency), nearest.timing.row, socket.tile.agcu)


def better_order(
    section: Section, mesh: Mesh, window: Window, layout: Layout, dear: Dear, *, seed: int, effort: int
) -> Layout:
    """The layout with its stages in a cheaper order, after at most `effort` rounds of up to MOVES exchanges and shifts.

    Each round takes the best of its moves. Where none helps, a random piece of the best order is turned round; after
    PATIENCE turns that led to nothing better it ends.
    """
    if len(layout.order) < 3:
        return layout
    board = _board(section, mesh, window, layout, dear)
    moves = _moves(len(layout.order))
    dice = Random(seed)
    order = best = np.array(layout.order, dtype=np.int64)
    now = least = float(_costs(board, order[None, :])[0])
    turns = 0
    for _ in range(effort):
        tried = moves if len(moves) <= MOVES else moves[dice.sample(range(len(moves)), MOVES)]
        orders = order[tried]
        costs = _costs(board, orders)
        at = int(costs.argmin())
        if costs[at] < now * (1.0 - 1e-9):
            order, now = orders[at], float(costs[at])
            if now < least:
                best, least, turns = order, now, 0
        elif turns == PATIENCE:
            break
        else:
            turns += 1
            order = _turned(best, dice)
            now = float(_costs(board, order[None, :])[0])
    return Layout(order=tuple(best.tolist()), band=layout.band)


def _turned(order: Ints, dice: Random) -> Ints:
    """The order with a piece of it turned round."""
    first, last = sorted(dice.sample(range(order.size + 1), 2))
    turned: Ints = np.concatenate((order[:first], order[first:last][::-1], order[last:]))
    return turned


def _board(section: Section, mesh: Mesh, window: Window, layout: Layout, dear: Dear) -> _Board:
    number = {stage.name: at for at, stage in enumerate(section.stages)}
    lengths = lengths_of(section, mesh, window)
    memory = (*section.loads, *section.stores)
    curve = curve_of(mesh, layout.band)
    row, col = np.divmod(curve, mesh.cols)
    kind = (row + col) % 2
    # A slot is a PCU and a PMU; its place is between them.
    pairs = min(np.count_nonzero(kind == 0), np.count_nonzero(kind == 1))
    middle = [
        (values[kind == 0][:pairs] + values[kind == 1][:pairs])[window.first : window.end] / 2 for values in (row, col)
    ]
    return _Board(
        mesh=mesh,
        dear=dear,
        window=window,
        agcus=agcus_of(section),
        lengths=lengths,
        memory=_sums(
            np.array([number[of.stage] for of in memory], dtype=np.int64),
            np.array([of.bytes for of in memory], dtype=np.float64),
            len(section.stages),
        ),
        rows=np.concatenate(([0.0], np.cumsum(middle[0]))),
        cols=np.concatenate(([0.0], np.cumsum(middle[1]))),
        source=np.array([number[stream.source] for stream in section.streams], dtype=np.int64),
        target=np.array([number[stream.target] for stream in section.streams], dtype=np.int64),
        bytes=np.array([float(stream.sent_bytes * stream.tiles) for stream in section.streams], dtype=np.float64),
    )


def _sums(owner: Ints, of: Floats, owners: int) -> Floats:
    sums: Floats = np.bincount(owner, of, owners).astype(np.float64)
    return sums


def _moves(count: int) -> Ints:
    """All orders one exchange of two, or one shift of one, away from 0, 1, 2 ..."""
    found: list[Sequence[int]] = []
    plain = list(range(count))
    for one in range(count):
        for other in range(count):
            if one < other:
                swapped = plain.copy()
                swapped[one], swapped[other] = other, one
                found.append(swapped)
            if abs(one - other) > 1:
                shifted = plain.copy()
                shifted.insert(other, shifted.pop(one))
                found.append(shifted)
    return np.array(found, dtype=np.int64)


def _costs(board: _Board, orders: Ints) -> Floats:
    """Cost of each order (a row)."""
    lengths = board.lengths[orders]
    ends = np.cumsum(lengths, axis=1)
    starts = ends - lengths
    cuts = cuts_of(ends, board.mesh, board.window, board.agcus)
    tile = (cuts[:, None, 1:] <= ((starts + ends) / 2)[:, :, None]).sum(axis=2)
    first = np.take_along_axis(cuts, tile, axis=1)
    most = board.rows.size - 1
    low = np.clip(np.floor(starts - first), 0, most - 1).astype(np.int64)
    high = np.minimum(np.maximum(low + 1, np.ceil(ends - first).astype(np.int64)), most)
    at = np.empty((3, *orders.shape))
    number = np.arange(orders.shape[0])[:, None]
    at[0, number, orders] = (board.rows[high] - board.rows[low]) / (high - low)
    at[1, number, orders] = (board.cols[high] - board.cols[low]) / (high - low)
    at[2, number, orders] = tile
    (from_row, from_col, from_tile), (to_row, to_col, to_tile) = at[:, :, board.source], at[:, :, board.target]
    near = abs(from_row - to_row) + abs(from_col - to_col)
    far = _to_edge(from_row, from_col, board.mesh) + _to_edge(to_row, to_col, board.mesh) + board.dear.tln
    dies = from_tile // board.mesh.tiles_per_die != to_tile // board.mesh.tiles_per_die
    costs: Floats = np.where(from_tile == to_tile, near, far + board.dear.die * dies) @ board.bytes
    return costs + _uneven(board, orders, starts, ends, cuts) * board.mesh.tiles * board.dear.agcu


def _uneven(board: _Board, orders: Ints, starts: Floats, ends: Floats, cuts: Floats) -> Floats:
    """Bytes between memory and a tile, as a power mean over the tiles: the busiest one counts most.

    Not the busiest alone: of two equally busy ones each is worth relieving. A stage on two tiles has its part on each.
    """
    density = board.memory[orders] / np.maximum(ends - starts, 1e-9)
    sums = np.zeros(orders.shape[0])
    for tile in range(cuts.shape[1]):
        top = cuts[:, tile + 1, None] if tile + 1 < cuts.shape[1] else ends[:, -1:]
        part = np.maximum(0.0, np.minimum(ends, top) - np.maximum(starts, cuts[:, tile, None]))
        sums += (part * density).sum(axis=1) ** POWER
    uneven: Floats = (sums / board.mesh.tiles) ** (1 / POWER)
    return uneven


def _to_edge(row: Floats, col: Floats, mesh: Mesh) -> Floats:
    down: Floats = np.minimum(np.minimum(row, mesh.rows - 1 - row), np.minimum(col, mesh.cols - 1 - col))
    return down
