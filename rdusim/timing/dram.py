"""Off-chip memory: the share of its peak that an access pattern reaches, and the cycles that follow.

docs/model.md, "HBM, DDR".

This is the only place where a tier's bandwidth becomes cycles.
"""

from __future__ import annotations

from dataclasses import dataclass

from rdusim.arch.types import MemoryTier
from rdusim.units import Bytes, Cycles, Hertz, Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Efficiency:
    """Factors between peak and achieved bandwidth; `total` is their product."""

    refresh: float
    rows: float
    turnaround: float

    @property
    def total(self) -> float:
        return self.refresh * self.rows * self.turnaround


def efficiency(tier: MemoryTier, contiguous: Bytes, written_share: float) -> Efficiency:
    """Share of peak for accesses of `contiguous` bytes each, `written_share` of the bytes written.

    refresh: 1 - refresh_time / refresh_interval (all banks wait).
    rows: a channel must open rows at contiguous/row bytes each; a bank can do so once in row_cycle and `banks` of them
    overlap, so opening is hidden while banks x time-of-a-row's-bytes >= row_cycle. An access shorter than a burst
    still takes a burst.
    turnaround: the bus turns twice for each batch of writes; a controller gathers a row of every bank into a batch
    (`turn_cycles` is the same for one write). Where writes are the most, reads are gathered.
    """
    timing, channel = tier.timing, tier.bandwidth / tier.channels
    useful = min(timing.row, max(1, contiguous))
    bursts = -(-useful // timing.burst) * timing.burst
    opened = bursts / channel  # seconds of data from one opened row
    rows = (
        min(1.0, timing.banks * opened / timing.row_cycle) * (useful / bursts) if timing.row_cycle else useful / bursts
    )
    refresh = 1.0 - (timing.refresh_time / timing.refresh_interval if timing.refresh_interval else 0.0)
    batch = timing.row * timing.banks
    mixed = min(written_share, 1.0 - written_share)
    lost = 2 * timing.turnaround * mixed * channel * rows / batch
    return Efficiency(refresh=refresh, rows=rows, turnaround=1.0 / (1.0 + lost))


def bytes_per_cycle(tier: MemoryTier, clock: Hertz, contiguous: Bytes, written_share: float) -> float:
    """Bytes per cycle that the tier sustains for a pattern (see `efficiency`)."""
    return tier.bandwidth * efficiency(tier, contiguous, written_share).total / clock


def turn_cycles(tier: MemoryTier, clock: Hertz, written: float | None) -> float:
    """Cycles that a tier loses when its bus turns twice; for `written` bytes, their part of a batch."""
    timing = tier.timing
    batch = timing.row * timing.banks * tier.channels
    return float(2 * timing.turnaround * clock * (1.0 if written is None else written / batch))


def latency(tier: MemoryTier, clock: Hertz) -> Cycles:
    """Cycles from a request to its first byte, idle memory."""
    return to_cycles(tier.latency, clock)


def to_cycles(seconds: Seconds, clock: Hertz) -> Cycles:
    """Seconds of a unit with a clock of its own, in cycles of the socket."""
    return Cycles(seconds * clock)
