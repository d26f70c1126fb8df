"""Ranges of off-chip memory for all buffers, static, by lifetime (MICRO'24 sec. V-A).

Nothing is allocated while a program runs and nothing is aliased, so lifetimes are known, and buffers that never live
at the same time may share addresses. The nearest tier is filled first. What does not fit goes one tier further: the
symbol with the smallest aggregate transfer first, weights last.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import numpy as np

from rdusim.arch.types import MemoryTier
from rdusim.errors import MappingError, Problem
from rdusim.graph.types import Role
from rdusim.mapping.mesh import Ints
from rdusim.mapping.types import Allocation
from rdusim.program.types import Buffer
from rdusim.units import Bytes, show

# A small page, the unit in which the AGCUs would translate addresses, and a multiple of every DRAM row and request.
ALIGNMENT: Final = 1 << 12


@dataclass(frozen=True, slots=True)
class Lifetime:
    """First and last section, both included, while a buffer lives."""

    first: int
    last: int


def allocate(buffers: Sequence[Buffer], tiers: Sequence[MemoryTier]) -> tuple[dict[str, Allocation], dict[str, Bytes]]:
    """Allocations by buffer, and the most bytes that live at the same time, by tier. Raises MappingError."""
    lifetimes = lifetimes_of(buffers)
    allocations: dict[str, Allocation] = {}
    peaks: dict[str, Bytes] = {}
    left = sorted(buffers, key=_worth)
    for tier in tiers:
        kept, offsets, left = _fill(left, lifetimes, tier.capacity)
        for buffer in kept:
            allocations[buffer.name] = Allocation(
                buffer=buffer.name, tier=tier.name, offset=Bytes(offsets[buffer.name]), size=buffer.size
            )
        peaks[tier.name] = Bytes(int(_profile(kept, lifetimes).max(initial=0)))
    if left:
        raise _too_large(buffers, left, tiers, peaks)
    return {buffer.name: allocations[buffer.name] for buffer in buffers}, peaks


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


def aligned(size: int) -> int:
    """`size` rounded up to whole pages."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def _worth(buffer: Buffer) -> tuple[bool, int, int, str]:
    """What is worth least in the near tier comes first. Among equals the largest: it frees most."""
    return buffer.role == Role.WEIGHT, buffer.transfer_bytes, -buffer.size, buffer.name


def _fill(
    buffers: Sequence[Buffer], lifetimes: dict[str, Lifetime], capacity: int
) -> tuple[list[Buffer], dict[str, int], list[Buffer]]:
    """Of `buffers`, in order of worth: those that stay in a tier, their offsets, and those that go on."""
    kept, gone = _spill(buffers, lifetimes, capacity)
    while True:
        offsets, stuck = _pack(kept, lifetimes, capacity)
        if stuck is None:
            return kept, offsets, sorted(gone, key=_worth)
        # Gaps too small to use: room is made by the least worth of all that live beside the one without a place.
        victim = next(other for other in kept if _meet(lifetimes[other.name], lifetimes[stuck.name]))
        kept.remove(victim)
        gone.append(victim)


def _spill(
    buffers: Sequence[Buffer], lifetimes: dict[str, Lifetime], capacity: int
) -> tuple[list[Buffer], list[Buffer]]:
    """Those that stay and those that go, until at no time more lives than the tier holds."""
    profile = _profile(buffers, lifetimes)
    kept, gone = [], []
    for buffer in buffers:
        life = lifetimes[buffer.name]
        span = profile[life.first : life.last + 1]
        # Where it lives nothing is short: to send it away would help nobody.
        if span.max(initial=0) <= capacity:
            kept.append(buffer)
        else:
            span -= aligned(buffer.size)
            gone.append(buffer)
    return kept, gone


def _profile(buffers: Iterable[Buffer], lifetimes: dict[str, Lifetime]) -> Ints:
    """Bytes alive in each section."""
    sections = 1 + max((life.last for life in lifetimes.values()), default=0)
    steps = np.zeros(sections + 1, dtype=np.int64)
    for buffer in buffers:
        life = lifetimes[buffer.name]
        steps[life.first] += aligned(buffer.size)
        steps[life.last + 1] -= aligned(buffer.size)
    return np.cumsum(steps)[:sections]


def _pack(
    buffers: Iterable[Buffer], lifetimes: dict[str, Lifetime], capacity: int
) -> tuple[dict[str, int], Buffer | None]:
    """Offsets by greedy best fit, the largest first, and the first buffer that found no place, if any.

    What lives through the whole run is stacked at the bottom: no address of it can be shared.
    """
    ordered = sorted(buffers, key=lambda buffer: (not buffer.resident, -buffer.size, buffer.name))
    residents = [buffer for buffer in ordered if buffer.resident]
    tops = list(accumulate((aligned(buffer.size) for buffer in residents), initial=0))
    offsets = {buffer.name: top for buffer, top in zip(residents, tops, strict=False)}
    if tops[-1] > capacity:
        return offsets, residents[-1]
    floor = tops[-1]
    placed: list[tuple[int, int, int, int]] = []  # begin, end, first, last; ascending
    for buffer in ordered[len(residents) :]:
        size, life = aligned(buffer.size), lifetimes[buffer.name]
        begin = _best_gap(placed, size, life, floor, capacity)
        if begin is None:
            return offsets, buffer
        offsets[buffer.name] = begin
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


def _meet(one: Lifetime, other: Lifetime) -> bool:
    return one.first <= other.last and other.first <= one.last


def _too_large(
    buffers: Sequence[Buffer], left: Sequence[Buffer], tiers: Sequence[MemoryTier], peaks: dict[str, Bytes]
) -> MappingError:
    roles = {buffer.role for buffer in buffers}
    sums = {role: sum(buffer.size for buffer in buffers if buffer.role == role) for role in roles}
    needed = ", ".join(f"{role} {show(size, 'size')}" for role, size in sorted(sums.items(), key=lambda of: -of[1]))
    available = ", ".join(
        f"{tier.name} {show(tier.capacity, 'size')} ({show(peaks[tier.name], 'size')} used)" for tier in tiers
    )
    largest = max(left, key=lambda buffer: buffer.size)
    return MappingError(
        Problem(
            message=f"a socket needs {show(sum(sums.values()), 'size')} ({needed}) and has {available}; "
            f"{len(left)} of {len(buffers)} buffers found no place, the largest is {largest.name!r} of "
            f"{show(largest.size, 'size')}",
            hint="shard over more sockets, or make batch or context smaller",
        )
    )
