"""On-chip mesh of a tile: latency of a route and cycles of its most loaded link. docs/model.md, "RDN"."""

from __future__ import annotations

from rdusim.arch.types import Rdn
from rdusim.units import BytesPerSecond, Cycles, Hertz


def latency(hops: int, rdn: Rdn) -> Cycles:
    """Cycles of the first vector over `hops` switches."""
    return Cycles(hops * rdn.hop_cycles)


def link_cycles(load: float, rdn: Rdn) -> Cycles:
    """Cycles that a link needs for `load` bytes: a vector a cycle, less where credits do not cover a round trip."""
    return Cycles(load / (rdn.vector_bytes_per_cycle * min(1.0, rdn.credits / max(1.0, 2 * rdn.hop_cycles))))


def scalar_bandwidth(rdn: Rdn, clock: Hertz) -> BytesPerSecond:
    """Bytes per second of the scalar network's link, over which arguments are loaded."""
    return BytesPerSecond(rdn.scalar_bytes_per_cycle * clock)
