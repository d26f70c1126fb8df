"""Bruck: all-to-all in ceil(log2 n) messages each, where latency matters more than bytes.

log2(n) (latency + size / (2 bandwidth)) for n a power of two (Bruck et al.: Efficient algorithms for all-to-all
communications in multiport message-passing systems, 1997; the cost as in Thakur, Rabenseifner, Gropp 2005).
"""

from __future__ import annotations

from rdusim.net.draft import plan
from rdusim.net.types import Send, Steps, Topology, TransferPlan


def all_to_all(participants: tuple[int, ...], topology: Topology) -> TransferPlan:
    """In step k everything whose way still to go has bit k moves 2^k ranks on."""
    return plan(len(participants), _steps(len(participants)))


def _steps(count: int) -> Steps:
    distance = 1
    while distance < count:
        # What has moved so far lies as many ranks behind where it comes from as the bits below say.
        far = [way for way in range(count) if way & distance]
        yield [
            Send(rank, (rank + distance) % count, [_shard(rank - way % distance, way, count) for way in far], False)
            for rank in range(count)
        ]
        distance *= 2


def _shard(source: int, way: int, count: int) -> int:
    """What goes from `source` to the rank that is `way` further on."""
    return source % count * count + (source + way) % count
