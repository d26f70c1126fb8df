"""Direct: every participant sends to every other at once. One hop where all are neighbours.

With n participants, each joined to each by a link of its own, reduce-scatter, all-gather and all-to-all take
latency + size / (n bandwidth) each, a broadcast latency + size / bandwidth.
"""

from __future__ import annotations

from collections.abc import Sequence

from rdusim.net.draft import plan
from rdusim.net.types import Send, Steps, Topology, TransferPlan


def reduce_scatter(participants: tuple[int, ...], topology: Topology) -> TransferPlan:
    """Everyone sends each shard to its owner, who adds them up."""
    ranks = range(len(participants))
    return plan(len(ranks), scattered(ranks, [(rank,) for rank in ranks]))


def all_gather(participants: tuple[int, ...], topology: Topology) -> TransferPlan:
    """Every owner sends its shard to everyone."""
    ranks = range(len(participants))
    return plan(len(ranks), gathered(ranks, [(rank,) for rank in ranks]))


def all_reduce(participants: tuple[int, ...], topology: Topology) -> TransferPlan:
    """Reduce-scatter; an owner who has added up its shard sends it to everyone."""
    ranks = range(len(participants))
    owned = [(rank,) for rank in ranks]
    return plan(len(ranks), scattered(ranks, owned), gathered(ranks, owned))


def all_to_all(participants: tuple[int, ...], topology: Topology) -> TransferPlan:
    """Everyone sends everyone what is for him."""
    ranks = range(len(participants))
    shards = [[(source * len(ranks) + target,) for target in ranks] for source in ranks]
    return plan(len(ranks), exchanged(ranks, shards))


def broadcast(participants: tuple[int, ...], topology: Topology) -> TransferPlan:
    """The root sends everything to everyone."""
    return plan(1, [[Send(0, rank, (0,), False) for rank in range(1, len(participants))]])


def send_receive(participants: tuple[int, ...], topology: Topology) -> TransferPlan:
    """Everyone sends to the next, the last to the first: what stages of a pipeline that is full do."""
    count = len(participants)
    return plan(1, [[Send(rank, (rank + 1) % count, (rank,), False) for rank in range(count)]])


def scattered(ranks: Sequence[int], owned: Sequence[Sequence[int]]) -> Steps:
    """Reduce-scatter of some shards between some ranks: the one in place j ends with `owned[j]`."""
    yield [Send(ranks[at], ranks[to], owned[to], True) for at, to in _pairs(len(ranks)) if owned[to]]


def gathered(ranks: Sequence[int], owned: Sequence[Sequence[int]]) -> Steps:
    """All-gather between some ranks: the one in place j begins with `owned[j]`."""
    yield [Send(ranks[at], ranks[to], owned[at], False) for at, to in _pairs(len(ranks)) if owned[at]]


def exchanged(ranks: Sequence[int], shards: Sequence[Sequence[Sequence[int]]]) -> Steps:
    """All-to-all between some ranks: `shards[i][j]` go from the one in place i to that in place j."""
    yield [Send(ranks[at], ranks[to], shards[at][to], False) for at, to in _pairs(len(ranks))]


def _pairs(count: int) -> list[tuple[int, int]]:
    """Everyone with everyone else. Distance first: where links are shared, no target is then everyone's first."""
    return [(at, (at + distance) % count) for distance in range(1, count) for at in range(count)]
