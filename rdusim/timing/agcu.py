"""AGCU: the rate at which a tile's door to memory moves a stream. docs/model.md, "AGCU"."""

from __future__ import annotations

from math import ceil

from rdusim.arch.types import Agcu
from rdusim.units import Bytes, Cycles


def rate(latency: Cycles, contiguous: Bytes, agcu: Agcu) -> float:
    """Bytes per cycle of one AGCU: its port, or Little's law with its outstanding requests over the memory's latency.

    A request carries at most `contiguous` bytes: a gather of short rows cannot fill it.
    """
    request = min(agcu.request_size, max(1, contiguous))
    return min(float(agcu.bytes_per_cycle), agcu.outstanding_requests * request / max(1.0, latency))


def count(bytes_per_cycle: float, latency: Cycles, contiguous: Bytes, agcu: Agcu) -> int:
    """AGCUs that a stream of `bytes_per_cycle` needs."""
    return max(1, ceil(bytes_per_cycle / rate(latency, contiguous, agcu)))
