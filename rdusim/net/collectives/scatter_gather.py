"""Scatter, then all-gather: a broadcast in which everyone's links carry a share.

van de Geijn's broadcast (Thakur, Rabenseifner, Gropp 2005). The root sends each its shard; then everyone sends his to
everyone. On a full mesh 2 (latency + size / (n bandwidth)): n / 2 times as fast as from the root alone.
"""

from __future__ import annotations

from rdusim.net.collectives import direct
from rdusim.net.draft import plan
from rdusim.net.types import Send, Topology, TransferPlan


def broadcast(participants: tuple[int, ...], topology: Topology) -> TransferPlan:
    """Nobody sends the root anything: it has it all."""
    ranks = range(len(participants))
    gather = ([send for send in step if send.target] for step in direct.gathered(ranks, [(rank,) for rank in ranks]))
    return plan(len(ranks), [[Send(0, rank, (rank,), False) for rank in ranks[1:]]], gather)
