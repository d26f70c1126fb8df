"""Ring: shards go round, n - 1 steps to be added up and n - 1 to be handed out.

2 (n - 1) (latency + size / (n bandwidth)) for all-reduce, whatever n: the fewest bytes that are possible over one link
per participant (Patarasuk, Yuan: Bandwidth optimal all-reduce algorithms for clusters of workstations, 2009).
"""

from __future__ import annotations

from rdusim.net.topology import routes
from rdusim.net.types import Topology, Transfer, TransferPlan, shard_sizes
from rdusim.units import Bytes


def reduce_scatter(participants: tuple[int, ...], size: Bytes, topology: Topology) -> TransferPlan:
    """Shard j starts one ahead of its owner and collects once round; participant j ends with shard j."""
    return TransferPlan(transfers=tuple(_round(participants, size, topology, ahead=1, reduces=True)))


def all_gather(participants: tuple[int, ...], size: Bytes, topology: Topology) -> TransferPlan:
    """Shard j starts at participant j and is copied once round."""
    return TransferPlan(transfers=tuple(_round(participants, size, topology, ahead=0, reduces=False)))


def all_reduce(participants: tuple[int, ...], size: Bytes, topology: Topology) -> TransferPlan:
    """Reduce-scatter, then all-gather by the same ring."""
    scatter = _round(participants, size, topology, ahead=1, reduces=True)
    gather = _round(participants, size, topology, ahead=0, reduces=False, first=len(scatter))
    return TransferPlan(transfers=(*scatter, *gather))


def _round(
    participants: tuple[int, ...], size: Bytes, topology: Topology, *, ahead: int, reduces: bool, first: int = 0
) -> list[Transfer]:
    """Every shard along all of the ring but one link, from the place `ahead` of its owner's.

    `first`: index of the first of these transfers in the plan; a shard's transfers stand one step apart in it, so that
    each waits for the one that brought the shard here. Owners are ranked as in `participants`, not as in the ring.
    """
    ring = ring_order(participants, topology)
    rank = {socket: place for place, socket in enumerate(participants)}
    count, sizes = len(ring), shard_sizes(size, len(ring))
    transfers = []
    for step in range(count - 1):
        for place, owner in enumerate(ring):
            at = place + ahead + step
            shard = rank[owner]
            index = first + step * count + place
            transfers.append(
                Transfer(
                    source=ring[at % count],
                    target=ring[(at + 1) % count],
                    size=sizes[shard],
                    after=(index - count,) if index >= count else (),
                    shards=range(shard, shard + 1),
                    reduces=reduces,
                )
            )
    return transfers


def ring_order(participants: tuple[int, ...], topology: Topology) -> tuple[int, ...]:
    """Participants so that followers are near each other: always on to the nearest one left, of equals the first."""
    ways = routes(topology)
    order, left = [participants[0]], list(participants[1:])
    while left:
        nearest = min(left, key=lambda socket: len(ways[order[-1], socket]))
        order.append(nearest)
        left.remove(nearest)
    return tuple(order)
