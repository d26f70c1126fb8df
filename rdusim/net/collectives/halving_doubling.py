"""Recursive halving and doubling: log2 n steps to be added up and log2 n to be handed out.

2 log2(n) latency + 2 (n - 1) / n size / bandwidth (Thakur, Rabenseifner, Gropp: Optimization of collective
communication operations in MPICH, 2005). With a number that is no power of two, the participants beyond the largest
one within it first add theirs to a partner's, and are sent the result at the end.
"""

from __future__ import annotations

from rdusim.net.types import Topology, Transfer, TransferPlan, shard_sizes
from rdusim.units import Bytes


def all_reduce(participants: tuple[int, ...], size: Bytes, topology: Topology) -> TransferPlan:
    """Halve: swap halves of what is left with the partner and add. Double: swap all there is, back the same way."""
    count = 1 << (len(participants).bit_length() - 1)
    plan = _Plan(participants, size, count)
    held = [range(count)] * count
    for extra in range(count, len(participants)):
        plan.send(extra, extra - count, range(count), reduces=True)
    distance = count // 2
    while distance:
        plan.step([(rank, rank ^ distance, _half(held[rank], rank & distance == 0)) for rank in range(count)], True)
        held = [_half(shards, rank & distance > 0) for rank, shards in enumerate(held)]
        distance //= 2
    distance = 1
    while distance < count:
        plan.step([(rank, rank ^ distance, held[rank]) for rank in range(count)], False)
        held = [_both(held[rank], held[rank ^ distance]) for rank in range(count)]
        distance *= 2
    for extra in range(count, len(participants)):
        plan.send(extra - count, extra, range(count), reduces=False)
    return TransferPlan(transfers=tuple(plan.transfers))


def _half(shards: range, upper: bool) -> range:
    middle = (shards.start + shards.stop) // 2
    return range(middle, shards.stop) if upper else range(shards.start, middle)


def _both(one: range, other: range) -> range:
    return range(min(one.start, other.start), max(one.stop, other.stop))


class _Plan:
    """Transfers so far, and for each rank those that have brought it something: whatever it sends waits for them."""

    def __init__(self, participants: tuple[int, ...], size: Bytes, shards: int) -> None:
        self.transfers: list[Transfer] = []
        self._participants, self._sizes = participants, shard_sizes(size, shards)
        self._brought: list[tuple[int, ...]] = [()] * len(participants)

    def step(self, sends: list[tuple[int, int, range]], reduces: bool) -> None:
        """Transfers that pass each other: none waits for another of the same step."""
        brought = list(self._brought)
        for source, target, shards in sends:
            self._append(source, target, shards, reduces, brought)
        self._brought = brought

    def send(self, source: int, target: int, shards: range, *, reduces: bool) -> None:
        self.step([(source, target, shards)], reduces)

    def _append(self, source: int, target: int, shards: range, reduces: bool, brought: list[tuple[int, ...]]) -> None:
        brought[target] = (*self._brought[target], len(self.transfers))
        self.transfers.append(
            Transfer(
                source=self._participants[source],
                target=self._participants[target],
                size=Bytes(sum(self._sizes[shards.start : shards.stop])),
                after=self._brought[source],
                shards=shards,
                reduces=reduces,
            )
        )
