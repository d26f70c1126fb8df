"""Collectives carried out: chunks of the sockets' tiles move along the transfers of the plan that the network runs.

A lost transfer or a missing socket leaves wrong numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from rdusim.arch.types import Arch
from rdusim.graph.types import Operator
from rdusim.net import choose
from rdusim.net.types import TransferPlan, shard_sizes
from rdusim.program.types import CollectiveWork
from rdusim.sim.functional.faults import ProgramFault
from rdusim.sim.functional.parts import part_box
from rdusim.sim.functional.storage import Array
from rdusim.units import Bytes

Chunks = list[tuple[Array, ...]]  # by shard: the same chunk of every tensor that travels


def plan_of(work: CollectiveWork, arch: Arch) -> TransferPlan:
    """The transfers of one tile, by the algorithm whose time the engines take."""
    return choose.plan_of(work.kind, work.participants, work.stride, work.size, arch.system).plan


def carry_out(operator: Operator, plan: TransferPlan, tiles: Sequence[tuple[Array, ...]]) -> list[tuple[Array, ...]]:
    """Results of a collective on the sockets of a group; `tiles` are their operands, by rank."""
    return _MEANING[operator.kind](operator, plan, tiles)


def move(plan: TransferPlan, state: list[Chunks], reduction: str) -> None:
    """Run a plan on the chunks of all sockets. Transfers that wait for nothing more leave together, then arrive."""
    done: set[int] = set()
    while len(done) < len(plan.transfers):
        leaving = [
            index
            for index, transfer in enumerate(plan.transfers)
            if index not in done and all(before in done for before in transfer.after)
        ]
        if not leaving:
            raise ProgramFault("transfers of a collective wait for each other, or for one that does not exist")
        sent = [
            [state[plan.transfers[index].source][shard] for shard in plan.transfers[index].shards] for index in leaving
        ]
        for index, chunks in zip(leaving, sent, strict=True):
            transfer = plan.transfers[index]
            own = state[transfer.target]
            for shard, chunk in zip(transfer.shards, chunks, strict=True):
                own[shard] = combine(reduction, own[shard], chunk) if transfer.reduces else chunk
        done.update(leaving)


def combine(reduction: str, one: tuple[Array, ...], other: tuple[Array, ...]) -> tuple[Array, ...]:
    """Two sockets' chunks as one: added, the larger, or (index, value) pairs of the larger, of equals the first."""
    if reduction == "sum":
        return tuple(left + right for left, right in zip(one, other, strict=True))
    if reduction == "max":
        return tuple(np.maximum(left, right) for left, right in zip(one, other, strict=True))
    (index, value), (index2, value2) = one, other
    takes = (value2 > value) | ((value2 == value) & (index2 < index))
    return np.where(takes, index2, index), np.where(takes, value2, value)


def _all_reduce(operator: Operator, plan: TransferPlan, tiles: Sequence[tuple[Array, ...]]) -> list[tuple[Array, ...]]:
    shards = max((shard + 1 for transfer in plan.transfers for shard in transfer.shards), default=1)
    state = [_chunked(arrays, shards) for arrays in tiles]
    move(plan, state, str(operator.attributes["reduction"]))
    shapes = [array.shape for array in tiles[0]]
    return [
        tuple(np.concatenate([chunk[at] for chunk in mine]).reshape(shape) for at, shape in enumerate(shapes))
        for mine in state
    ]


def _chunked(arrays: tuple[Array, ...], shards: int) -> Chunks:
    """Each tensor flat and cut into `shards` nearly equal chunks."""
    found: Chunks = []
    start = 0
    for size in shard_sizes(Bytes(arrays[0].size), shards):
        found.append(tuple(array.reshape(-1)[start : start + size] for array in arrays))
        start += size
    return found


def _broadcast(operator: Operator, plan: TransferPlan, tiles: Sequence[tuple[Array, ...]]) -> list[tuple[Array, ...]]:
    """Plans have rank 0 for root: the ranks are counted from the operator's."""
    root = operator.attributes.get("root", 0)
    assert isinstance(root, int)
    turned = _all_reduce(operator, plan, [*tiles[root:], *tiles[:root]])
    return [*turned[len(tiles) - root :], *turned[: len(tiles) - root]]


def _reduce_scatter(
    operator: Operator, plan: TransferPlan, tiles: Sequence[tuple[Array, ...]]
) -> list[tuple[Array, ...]]:
    """Shard j is the part along the scattered axes that rank j is left with."""
    ways, axes = len(tiles), _axes(operator, "scattered")
    state = [[_cut(arrays, axes, shard, ways) for shard in range(ways)] for arrays in tiles]
    move(plan, state, str(operator.attributes["reduction"]))
    return [mine[rank] for rank, mine in enumerate(state)]


def _all_to_all(operator: Operator, plan: TransferPlan, tiles: Sequence[tuple[Array, ...]]) -> list[tuple[Array, ...]]:
    """Shard i x ways + j is what rank i has for rank j; what has come is put in a row along the gathered axis."""
    ways, scattered, (gathered,) = len(tiles), _axes(operator, "scattered"), _axes(operator, "gathered")
    own = [[_cut(arrays, scattered, shard, ways) for shard in range(ways)] for arrays in tiles]
    nothing = tuple(np.full_like(array, np.nan, dtype=np.float64) for array in own[0][0])
    state = [
        [own[rank][shard % ways] if shard // ways == rank else nothing for shard in range(ways * ways)]
        for rank in range(ways)
    ]
    move(plan, state, "sum")
    return [
        tuple(
            np.concatenate([mine[source * ways + rank][at] for source in range(ways)], axis=gathered)
            for at in range(len(nothing))
        )
        for rank, mine in enumerate(state)
    ]


def _send_receive(
    operator: Operator, plan: TransferPlan, tiles: Sequence[tuple[Array, ...]]
) -> list[tuple[Array, ...]]:
    """Everyone has what the one before had, the first what the last had."""
    ways = len(tiles)
    nothing = tuple(np.full_like(array, np.nan, dtype=np.float64) for array in tiles[0])
    state = [[tiles[rank] if shard == rank else nothing for shard in range(ways)] for rank in range(ways)]
    move(plan, state, "sum")
    return [mine[(rank - 1) % ways] for rank, mine in enumerate(state)]


def _axes(operator: Operator, attribute: str) -> list[int]:
    labels = operator.attributes[attribute]
    assert isinstance(labels, tuple)
    return [axis for axis, label in enumerate(operator.inputs[0].dims) if label in labels]


def _cut(arrays: tuple[Array, ...], axes: Sequence[int], shard: int, ways: int) -> tuple[Array, ...]:
    """Part `shard` of `ways` along the first of the axes: parts are equal, the last ones may be short."""
    (axis, *_) = axes
    found = []
    for array in arrays:
        part = -(-array.shape[axis] // ways)
        found.append(array[(slice(None),) * axis + (slice(shard * part, (shard + 1) * part),)])
    return tuple(found)


def _gather(operator: Operator, plan: TransferPlan, tiles: Sequence[tuple[Array, ...]]) -> list[tuple[Array, ...]]:
    """Every socket's part is a shard; what has come is put in its place."""
    ways = len(tiles)
    nothing = tuple(np.full_like(array, np.nan, dtype=np.float64) for array in tiles[0])
    state = [[tiles[rank] if shard == rank else nothing for shard in range(ways)] for rank in range(ways)]
    move(plan, state, "sum")
    axes = _axes(operator, "gathered")
    results = []
    for mine in state:
        out = []
        for at, array in enumerate(tiles[0]):
            shape = tuple(
                operator.dims[label] if axis in axes else extent
                for axis, (label, extent) in enumerate(zip(operator.inputs[at].dims, array.shape, strict=True))
            )
            whole = np.full(shape, np.nan)
            for shard, chunk in enumerate(mine):
                box = part_box(array.shape, shape, shard, ways)
                whole[box] = chunk[at][tuple(slice(0, side.stop - side.start) for side in box)]
            out.append(whole)
        results.append(tuple(out))
    return results


_MEANING: Final[Mapping[str, Callable[..., list[tuple[Array, ...]]]]] = {
    "all_reduce": _all_reduce,
    "all_gather": _gather,
    "reduce_scatter": _reduce_scatter,
    "all_to_all": _all_to_all,
    "broadcast": _broadcast,
    "send_receive": _send_receive,
}
