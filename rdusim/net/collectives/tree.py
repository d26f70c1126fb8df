"""Binomial tree: a broadcast in ceil(log2 n) steps, each of everything.

ceil(log2 n) (latency + size / bandwidth) (Thakur, Rabenseifner, Gropp: Optimization of collective communication
operations in MPICH, 2005).
"""

from __future__ import annotations

from rdusim.net.draft import plan
from rdusim.net.types import Send, Steps, Topology, TransferPlan


def broadcast(participants: tuple[int, ...], topology: Topology) -> TransferPlan:
    """Whoever has it sends it on, half the remaining distance away."""
    return plan(1, _steps(len(participants)))


def _steps(count: int) -> Steps:
    distance = 1 << ((count - 1).bit_length() - 1) if count > 1 else 0
    while distance:
        yield [
            Send(rank, rank + distance, (0,), False)
            for rank in range(0, count, 2 * distance)
            if rank + distance < count
        ]
        distance //= 2
