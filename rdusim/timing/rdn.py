"""On-chip mesh of a tile: latency of a route and cycles of its most loaded link. docs/model.md, "RDN"."""

from __future__ import annotations

from rdusim.arch.types import Rdn
from rdusim.units import Cycles


def latency(hops: int, rdn: Rdn) -> Cycles:
    """Cycles of the first vector over `hops` switches."""
    return Cycles(hops * rdn.hop_cycles)


def link_cycles(load: float, rdn: Rdn) -> Cycles:
    """Cycles that a link needs for `load` bytes, one vector a cycle."""
    return Cycles(load / rdn.vector_bytes_per_cycle)


def flow_rate(hops: int, rdn: Rdn) -> float:
    """Bytes per cycle of one flow: a vector a cycle, less where the credits do not cover a hop's round trip."""
    round_trip = max(1.0, 2 * rdn.hop_cycles)  # credits are per hop: a longer route does not need more of them
    return (
        rdn.vector_bytes_per_cycle * min(1.0, rdn.credits / round_trip) if hops else float(rdn.vector_bytes_per_cycle)
    )
