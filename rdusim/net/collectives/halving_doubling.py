"""Recursive halving and doubling: log2 n steps to be added up and log2 n to be handed out.

All-reduce: 2 log2(n) latency + 2 (n - 1) / n size / bandwidth (Thakur, Rabenseifner, Gropp: Optimization of collective
communication operations in MPICH, 2005). With a number that is no power of two, the participants beyond the largest
one within it first give theirs to a partner, and are sent the result at the end.
"""

from __future__ import annotations

from collections.abc import Sequence

from rdusim.net.draft import plan
from rdusim.net.types import Send, Steps, Topology, TransferPlan


def all_reduce(participants: tuple[int, ...], topology: Topology) -> TransferPlan:
    """Halve: swap halves of what is left with the partner and add. Double: swap all there is, back the same way."""
    count, owned = _core(len(participants))
    all_shards = range(len(participants))
    extras = range(count, len(participants))
    return plan(
        len(participants),
        [[Send(extra, extra - count, all_shards, True) for extra in extras]],
        _halve(owned),
        _double(owned),
        [[Send(extra - count, extra, all_shards, False) for extra in extras]],
    )


def reduce_scatter(participants: tuple[int, ...], topology: Topology) -> TransferPlan:
    """Halve; a partner sends an extra participant the shard that it has added up for it."""
    count, owned = _core(len(participants))
    all_shards = range(len(participants))
    extras = range(count, len(participants))
    return plan(
        len(participants),
        [[Send(extra, extra - count, all_shards, True) for extra in extras]],
        _halve(owned),
        [[Send(extra - count, extra, (extra,), False) for extra in extras]],
    )


def all_gather(participants: tuple[int, ...], topology: Topology) -> TransferPlan:
    """Double; a partner begins with its extra participant's shard too, and sends it all others at the end."""
    count, owned = _core(len(participants))
    extras = range(count, len(participants))
    others = {extra: tuple(shard for shard in range(len(participants)) if shard != extra) for extra in extras}
    return plan(
        len(participants),
        [[Send(extra, extra - count, (extra,), False) for extra in extras]],
        _double(owned),
        [[Send(extra - count, extra, others[extra], False) for extra in extras]],
    )


def _core(participants: int) -> tuple[int, list[tuple[int, ...]]]:
    """The largest power of two within, and the shards that each of so many ranks owns, its extra's included."""
    count = 1 << (participants.bit_length() - 1)
    return count, [tuple(range(rank, participants, count)) for rank in range(count)]


def _halve(owned: Sequence[tuple[int, ...]]) -> Steps:
    """Each rank ends with the sum of what it owns."""
    distance = len(owned) // 2
    while distance:
        yield [Send(rank, rank ^ distance, _of(owned, rank ^ distance, distance), True) for rank in range(len(owned))]
        distance //= 2


def _double(owned: Sequence[tuple[int, ...]]) -> Steps:
    """Each rank begins with what it owns."""
    distance = 1
    while distance < len(owned):
        yield [Send(rank, rank ^ distance, _of(owned, rank, distance), False) for rank in range(len(owned))]
        distance *= 2


def _of(owned: Sequence[tuple[int, ...]], rank: int, block: int) -> tuple[int, ...]:
    """Shards of all owners in the aligned block of ranks that `rank` is in."""
    first = rank - rank % block
    return tuple(shard for owner in range(first, first + block) for shard in owned[owner])
