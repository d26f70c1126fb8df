"""The closed form of a memory's efficiency against its commands, over a grid of patterns for every preset."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from rdusim.arch.presets import preset_timing, presets
from rdusim.report.dram_check import DramCheck, Measured
from rdusim.sim.cycle.pattern import share_of_peak
from rdusim.timing.dram import REQUEST, Order, Pattern, of_channel
from rdusim.units import Bytes, BytesPerSecond

STREAMS: Final = (1, 4, 16, 64)
PIECES: Final = tuple(Bytes(size) for size in (32, 64, 256, 1024, 8192, 65536))
WRITTEN: Final = (0.0, 0.25, 0.5)


def _silent(_: str) -> None:
    pass


def dram_check(*, observe: Callable[[str], None] = _silent) -> DramCheck:
    """All of it; `observe` hears which preset is in work."""
    rows = []
    for name in presets():
        for index, pattern in enumerate(patterns()):
            if index % 20 == 0:
                observe(f"{name}, {pattern.order.value}, {pattern.streams} streams")
            rows.append(measure(name, pattern))
    return DramCheck(rows=tuple(rows))


def patterns() -> Iterator[Pattern]:
    """The grid. Pieces at random need no number of streams; what follows each other comes in whole requests."""
    for written in WRITTEN:
        for order in Order:
            for streams in STREAMS[:1] if order is Order.RANDOM else STREAMS:
                for piece in PIECES:
                    if order is not Order.SEQUENTIAL or piece >= REQUEST:
                        yield Pattern(piece=piece, order=order, streams=streams, written=written)
    # Strides that end in the middle of a row, and powers of two that would meet one bank without permutation.
    for stride in (512, 2048, 16384, 1 << 18, 1 << 22):
        yield Pattern(piece=Bytes(64), order=Order.STRIDED, streams=4, stride=Bytes(stride))


def measure(preset: str, pattern: Pattern) -> Measured:
    """One pattern on one channel of a preset, at the bandwidth that its bursts need at the peak."""
    timing, bandwidth = preset_timing(preset)
    found = of_channel(timing, BytesPerSecond(bandwidth), pattern)
    return Measured(
        preset=preset,
        pattern=pattern,
        factors=found.factors(),
        closed_form=found.total,
        commands=share_of_peak(timing, BytesPerSecond(bandwidth), pattern),
    )
