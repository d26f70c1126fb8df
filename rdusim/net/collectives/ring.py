"""Ring: shards go round, n - 1 steps to be added up and n - 1 to be handed out.

2 (n - 1) (latency + size / (n bandwidth)) for all-reduce, whatever n: the fewest bytes that are possible over one link
per participant (Patarasuk, Yuan: Bandwidth optimal all-reduce algorithms for clusters of workstations, 2009).
"""

from __future__ import annotations

from collections.abc import Sequence

from rdusim.net.draft import plan
from rdusim.net.topology import routes
from rdusim.net.types import Send, Steps, Topology, TransferPlan


def reduce_scatter(participants: tuple[int, ...], topology: Topology) -> TransferPlan:
    """Shard j starts one ahead of its owner and collects once round; participant j ends with shard j."""
    ranks = ring_order(range(len(participants)), participants, topology)
    return plan(len(ranks), scattered(ranks, [(rank,) for rank in ranks]))


def all_gather(participants: tuple[int, ...], topology: Topology) -> TransferPlan:
    """Shard j starts at participant j and is copied once round."""
    ranks = ring_order(range(len(participants)), participants, topology)
    return plan(len(ranks), gathered(ranks, [(rank,) for rank in ranks]))


def all_reduce(participants: tuple[int, ...], topology: Topology) -> TransferPlan:
    """Reduce-scatter, then all-gather by the same ring."""
    ranks = ring_order(range(len(participants)), participants, topology)
    owned = [(rank,) for rank in ranks]
    return plan(len(ranks), scattered(ranks, owned), gathered(ranks, owned))


def scattered(ring: Sequence[int], owned: Sequence[Sequence[int]]) -> Steps:
    """Reduce-scatter of some shards round a ring of ranks: the one in place j ends with `owned[j]`."""
    return _round(ring, owned, ahead=1, reduces=True)


def gathered(ring: Sequence[int], owned: Sequence[Sequence[int]]) -> Steps:
    """All-gather round a ring of ranks: the one in place j begins with `owned[j]`."""
    return _round(ring, owned, ahead=0, reduces=False)


def _round(ring: Sequence[int], owned: Sequence[Sequence[int]], *, ahead: int, reduces: bool) -> Steps:
    """Every owner's shards along all of the ring but one link, from the place `ahead` of its own."""
    count = len(ring)
    for step in range(count - 1):
        yield [
            Send(ring[(place + ahead + step) % count], ring[(place + ahead + step + 1) % count], shards, reduces)
            for place, shards in enumerate(owned)
            if shards
        ]


def ring_order(ranks: Sequence[int], participants: tuple[int, ...], topology: Topology) -> tuple[int, ...]:
    """Ranks so that followers are near each other: always on to the nearest one left, of equals the first."""
    ways = routes(topology)
    order, left = [ranks[0]], list(ranks[1:])
    while left:
        at = participants[order[-1]]
        # A neighbour cannot be bettered: on a regular topology nobody looks further.
        nearest = min(left, key=lambda rank: len(ways.path(at, participants[rank]) or ()))
        order.append(nearest)
        left.remove(nearest)
    return tuple(order)
