"""Direct: every participant sends to every other at once. One hop where all are neighbours.

Shard j belongs to participant j. With n participants, each joined to each by a link of its own,
reduce-scatter and all-gather take latency + size / (n bandwidth) each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rdusim.net.types import Topology, Transfer, TransferPlan, shard_sizes
from rdusim.units import Bytes


def reduce_scatter(participants: tuple[int, ...], size: Bytes, topology: Topology) -> TransferPlan:
    """Everyone sends each shard to its owner, who adds them up."""
    return TransferPlan(transfers=tuple(_scatter(participants, size)))


def all_gather(participants: tuple[int, ...], size: Bytes, topology: Topology) -> TransferPlan:
    """Every owner sends its shard to everyone."""
    return TransferPlan(transfers=tuple(_gather(participants, size, [()] * len(participants))))


def all_reduce(participants: tuple[int, ...], size: Bytes, topology: Topology) -> TransferPlan:
    """Reduce-scatter; an owner who has added up its shard sends it to everyone."""
    scatter = list(_scatter(participants, size))
    arrived: list[list[int]] = [[] for _ in participants]
    for index, transfer in enumerate(scatter):
        arrived[transfer.shards.start].append(index)
    return TransferPlan(transfers=(*scatter, *_gather(participants, size, [tuple(after) for after in arrived])))


def _scatter(participants: tuple[int, ...], size: Bytes) -> Iterator[Transfer]:
    sizes, count = shard_sizes(size, len(participants)), len(participants)
    # Distance first: where links are shared, no target is then everyone's first.
    for distance in range(1, count):
        for rank, source in enumerate(participants):
            shard = (rank + distance) % count
            yield Transfer(
                source=source,
                target=participants[shard],
                size=sizes[shard],
                after=(),
                shards=range(shard, shard + 1),
                reduces=True,
            )


def _gather(participants: tuple[int, ...], size: Bytes, after: Sequence[tuple[int, ...]]) -> Iterator[Transfer]:
    sizes, count = shard_sizes(size, len(participants)), len(participants)
    for distance in range(1, count):
        for shard, source in enumerate(participants):
            yield Transfer(
                source=source,
                target=participants[(shard + distance) % count],
                size=sizes[shard],
                after=after[shard],
                shards=range(shard, shard + 1),
                reduces=False,
            )
