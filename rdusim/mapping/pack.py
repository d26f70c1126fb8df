"""Addresses within one tier: greedy best fit over lifetimes, the largest first."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import numpy as np

from rdusim.mapping.mesh import Ints
from rdusim.program.types import Buffer

# A small page, the unit in which the AGCUs would translate addresses, and a multiple of every DRAM row and request.
ALIGNMENT: Final = 1 << 12


@dataclass(frozen=True, slots=True)
class Lifetime:
    """First and last section, both included, while a buffer lives."""

    first: int
    last: int

    def meets(self, other: Lifetime) -> bool:
        return self.first <= other.last and other.first <= self.last


Lifetimes = Mapping[str, Lifetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """`parts` parts of a buffer, those from `first` on: what one tier holds of it."""

    buffer: Buffer
    first: int
    parts: int

    @property
    def part(self) -> int:
        """Bytes of one part."""
        return self.buffer.size // max(1, self.buffer.repeats)

    @property
    def size(self) -> int:
        return self.part * self.parts


def aligned(size: int) -> int:
    """`size` rounded up to whole pages."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def lifetimes_of(buffers: Iterable[Buffer]) -> dict[str, Lifetime]:
    """Lifetimes by name. Resident buffers live from the first to the last use of any.

    A buffer written late and read early in the next repeat lives from the earlier to the later of both.
    """
    found = {
        buffer.name: Lifetime(min(buffer.first_use, buffer.last_use), max(buffer.first_use, buffer.last_use))
        for buffer in buffers
    }
    run = Lifetime(0, max((life.last for life in found.values()), default=0))
    return found | {buffer.name: run for buffer in buffers if buffer.resident}


def profile(shares: Iterable[Share], lifetimes: Lifetimes) -> Ints:
    """Bytes alive in each section."""
    sections = 1 + max((life.last for life in lifetimes.values()), default=0)
    steps = np.zeros(sections + 1, dtype=np.int64)
    for share in shares:
        life = lifetimes[share.buffer.name]
        steps[life.first] += aligned(share.size)
        steps[life.last + 1] -= aligned(share.size)
    return np.cumsum(steps)[:sections]


def pack(shares: Iterable[Share], lifetimes: Lifetimes, capacity: int) -> tuple[dict[str, int], Share | None]:
    """Offsets by buffer, and the first share that found no place, if any.

    What lives through the whole run is stacked at the bottom: no address of it can be shared.
    """
    ordered = sorted(shares, key=lambda share: (not share.buffer.resident, -share.size, share.buffer.name))
    residents = [share for share in ordered if share.buffer.resident]
    tops = list(accumulate((aligned(share.size) for share in residents), initial=0))
    offsets = {share.buffer.name: top for share, top in zip(residents, tops, strict=False)}
    if tops[-1] > capacity:
        return offsets, residents[-1]
    floor = tops[-1]
    placed: list[tuple[int, int, int, int]] = []  # begin, end, first, last; ascending
    for share in ordered[len(residents) :]:
        size, life = aligned(share.size), lifetimes[share.buffer.name]
        begin = _best_gap(placed, size, life, floor, capacity)
        if begin is None:
            return offsets, share
        offsets[share.buffer.name] = begin
        insort(placed, (begin, begin + size, life.first, life.last))
    return offsets, None


def _best_gap(
    placed: Sequence[tuple[int, int, int, int]], size: int, life: Lifetime, floor: int, capacity: int
) -> int | None:
    """Where the smallest hole that holds `size` begins, between those that live at the same time or above them."""
    best, smallest, top = None, capacity + 1, floor
    first, last = life.first, life.last
    for begin, end, other_first, other_last in placed:
        if other_first > last or other_last < first:
            continue
        if size <= begin - top < smallest:
            best, smallest = top, begin - top
        if end > top:
            top = end
    if best is None and top + size <= capacity:
        best = top
    return best
