"""A pattern of accesses run through one DRAM channel, which is kept full: the share of its peak that it reaches.

What `timing/dram.py:efficiency` is checked against. docs/model.md, "HBM, DDR".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from rdusim.arch.types import DramTiming
from rdusim.sim.cycle.channel import Access, Channel
from rdusim.timing.dram import Order, Pattern, access_of, coalesced, place, step_of, streams_of
from rdusim.units import BytesPerSecond, Hertz

CLOCK: Final = Hertz(1e9 / 16)  # commands keep their own times: a coarse clock only asks the channel less often
ROWS: Final = 1 << 14  # of a bank
SPAN: Final = 20_000  # bursts at the peak that are looked at, at least
VISITS: Final = 500  # rows at the peak that are looked at, at least
TILE: Final = 8  # rows of data after which a stream goes on somewhere else
LEAST: Final = 4  # refresh intervals that are looked at, at least


def share_of_peak(timing: DramTiming, bandwidth: BytesPerSecond, pattern: Pattern) -> float:
    """Useful bytes over what a channel of `bandwidth` could move, over whole refresh intervals after the first."""
    run = _Run(timing, bandwidth, pattern)
    interval = timing.refresh_interval * CLOCK
    span = max(SPAN, VISITS * min(pattern.piece, timing.row) // timing.burst)
    count = max(LEAST, round(span * run.channel.burst_cycles / interval))
    begin, end = run.busy_until(interval), run.busy_until((1 + count) * interval)
    bursts = -(-run.size // timing.burst)
    return (end - begin) / (count * interval) * run.size / (bursts * timing.burst)


class _Run:
    """Reads and writes in the pattern's proportion, in order, as many under way as queues and batches hold."""

    def __init__(self, timing: DramTiming, bandwidth: BytesPerSecond, pattern: Pattern) -> None:
        self.channel = Channel(timing, bandwidth / CLOCK, CLOCK)
        self.written = pattern.written
        pattern = coalesced(pattern)
        self.size = access_of(timing, pattern)
        self.sources = [_accesses(timing, pattern, self.size, written) for written in (False, True)]
        self.most = timing.queue + 2 * max(1, timing.batch // max(self.size, timing.burst))
        self.flying = [0, 0]
        self.owed = 0.0
        self.now = 0
        self._fill(0.0)

    def busy_until(self, cycle: float) -> float:
        """Cycles in which data has passed up to then."""
        while self.now < cycle:
            self.channel.serve(self.now)
            self.now += 1
        return self.channel.busy

    def _fill(self, at: float) -> None:
        while self.flying[written := self.owed + self.written >= 1.0] < self.most:
            self.owed += self.written - written
            self.flying[written] += 1
            bank, row, bursts = next(self.sources[written])
            done = self._wrote if written else self._read
            self.channel.add(Access(bank=bank, row=row, bursts=bursts, written=written, arrived=at, done=done))

    def _read(self, at: float) -> None:
        self.flying[False] -= 1
        self._fill(at)

    def _wrote(self, at: float) -> None:
        self.flying[True] -= 1
        self._fill(at)


def _accesses(timing: DramTiming, pattern: Pattern, size: int, written: bool) -> Iterator[tuple[int, int, int]]:
    """Bank, row and bursts of one access after the other."""
    bursts = -(-size // timing.burst)
    for address in _addresses(timing, pattern, written):
        for first in range(address, address + pattern.piece, size):
            yield (*place(timing, first), bursts)


def _addresses(timing: DramTiming, pattern: Pattern, written: bool) -> Iterator[int]:
    """Where the pieces lie, the streams in turn; each starts in a row somewhere. The same in every run."""
    random = np.random.default_rng(2 * pattern.streams + written)
    count = ROWS * timing.banks
    if pattern.order is Order.RANDOM:
        while True:
            yield from (random.integers(count * timing.row // pattern.piece, size=4096) * pattern.piece).tolist()
    streams = streams_of(pattern)[written]
    step = step_of(timing, pattern)
    length = max(1, TILE * timing.row // pattern.piece)
    while True:
        places = random.integers(count, size=streams) * timing.row
        for turn in range(length):
            yield from (places + turn * step).tolist()
