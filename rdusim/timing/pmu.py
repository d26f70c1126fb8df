"""Pattern memory unit: how many of them a buffer takes, and how fast they move vectors. docs/model.md, "PMU"."""

from __future__ import annotations

from math import ceil

from rdusim.arch.types import Pmu
from rdusim.units import Cycles


def units(size: float, streams: int, pmu: Pmu) -> int:
    """PMUs for `size` bytes that `streams` vector streams read or write at once: the larger of two counts wins.

    A tensor too large or too hot for one PMU is interleaved over several (MICRO'24 sec. IV-B).
    """
    return max(ceil(size / pmu.capacity), streams)


def read_cycles(size: float, pmus: int, pmu: Pmu) -> Cycles:
    """Cycles to read `size` bytes spread evenly over `pmus`; a transposed read costs the same (diagonal stripes)."""
    return Cycles(size / (max(1, pmus) * pmu.read_bytes_per_cycle))


def write_cycles(size: float, pmus: int, pmu: Pmu) -> Cycles:
    """Cycles to write `size` bytes spread evenly over `pmus`."""
    return Cycles(size / (max(1, pmus) * pmu.write_bytes_per_cycle))
