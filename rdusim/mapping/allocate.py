"""Ranges of off-chip memory for all buffers, static, by lifetime (MICRO'24 sec. V-A).

Nothing is allocated while a program runs and nothing is aliased, so lifetimes are known, and buffers that never live
at the same time may share addresses. The nearest tier is filled first. What does not fit goes one tier further: the
symbol with the smallest aggregate transfer first, weights last, and of the last one only as many parts as must; or, if
asked for, the symbol with the least traffic for each byte.
docs/model.md, "Memory allocation".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from rdusim.arch.types import MemoryTier
from rdusim.graph.types import Role
from rdusim.mapping.no_room import hint_too_large, too_large
from rdusim.mapping.pack import ALIGNMENT, Lifetimes, Share, aligned, lifetimes_of, pack, profile
from rdusim.mapping.pieces import joined
from rdusim.mapping.types import Allocation, SpillOrder
from rdusim.program.types import Buffer
from rdusim.units import Bytes


def allocate(
    buffers: Sequence[Buffer],
    tiers: Sequence[MemoryTier],
    pinned: Mapping[str, str] | None = None,
    order: SpillOrder = SpillOrder.TRANSFER,
) -> tuple[dict[str, Allocation], dict[str, Bytes]]:
    """Allocations by buffer, and the most bytes that live at the same time, by tier.

    `pinned`: buffer -> the tier where all of it must lie. Raises MappingError for what finds no place, with sizes.
    """
    pinned, worth = pinned or {}, _WORTH[order]
    lifetimes = lifetimes_of(buffers)
    pieces: dict[str, list[Allocation]] = {buffer.name: [] for buffer in buffers}
    peaks: dict[str, Bytes] = {}
    left = sorted((Share(buffer=buffer, first=0, parts=buffer.repeats) for buffer in buffers), key=worth)
    for tier in tiers:
        fixed = [share for share in left if pinned.get(share.buffer.name) == tier.name]
        elsewhere = [share for share in left if pinned.get(share.buffer.name, tier.name) != tier.name]
        free = [share for share in left if share.buffer.name not in pinned]
        if profile(fixed, lifetimes).max(initial=0) > tier.capacity:
            raise hint_too_large(fixed, tier)
        kept, offsets, gone = _fill(free, fixed, lifetimes, tier)
        for share in kept:
            pieces[share.buffer.name].append(_piece(share, tier, offsets))
        peaks[tier.name] = Bytes(int(profile(kept, lifetimes).max(initial=0)))
        left = sorted([*gone, *elsewhere], key=worth)
    if left:
        raise too_large(buffers, left, tiers, peaks)
    return {name: joined(found) for name, found in pieces.items()}, peaks


def _piece(share: Share, tier: MemoryTier, offsets: Mapping[str, int]) -> Allocation:
    name = share.buffer.name
    whole = share.parts == share.buffer.repeats
    return Allocation(
        buffer=name,
        tier=tier.name,
        offset=Bytes(offsets[name]),
        size=share.buffer.size if whole else Bytes(share.size),
        first=share.first,
        repeats=share.parts,
    )


def _worth(share: Share) -> tuple[bool, int, int, str]:
    """What is worth least in the near tier comes first. Among equals the largest: it frees most."""
    buffer = share.buffer
    return buffer.role == Role.WEIGHT, buffer.transfer_bytes, -buffer.size, buffer.name


def _density(share: Share) -> tuple[float, int, str]:
    """The same by traffic for each byte of room."""
    buffer = share.buffer
    return buffer.transfer_bytes / max(1, buffer.size), -buffer.size, buffer.name


_WORTH: Final[Mapping[SpillOrder, Callable[[Share], tuple[Any, ...]]]] = {
    SpillOrder.TRANSFER: _worth,
    SpillOrder.DENSITY: _density,
}


def _fill(
    free: Sequence[Share], fixed: Sequence[Share], lifetimes: Lifetimes, tier: MemoryTier
) -> tuple[list[Share], dict[str, int], list[Share]]:
    """What stays in a tier, its offsets, and what goes on. `free`: in order of worth; `fixed` may not leave."""
    kept = _spill(free, fixed, lifetimes, tier.capacity)
    while True:
        offsets, stuck = pack([*kept, *fixed], lifetimes, tier.capacity)
        if stuck is None:
            return [*kept, *fixed], offsets, _gone(free, kept)
        # Gaps too small to use: room is made by the least worth of all that live beside the one without a place.
        life = lifetimes[stuck.buffer.name]
        beside = (number for number, share in enumerate(kept) if lifetimes[share.buffer.name].meets(life))
        victim = next(beside, None)
        if victim is None:
            raise hint_too_large(fixed, tier)
        less = _fewer(kept[victim], aligned(stuck.size))
        kept[victim : victim + 1] = [less] if less.parts else []


def _spill(free: Sequence[Share], fixed: Sequence[Share], lifetimes: Lifetimes, capacity: int) -> list[Share]:
    """What stays, so that at no time more lives than the tier holds.

    What is worth least goes first, as many parts as must. Then what has become room again, as a later one went, is
    given back: to the one worth most first, and to those that went wholly only if all of it fits.
    """
    alive = profile([*free, *fixed], lifetimes)
    kept = list(free)
    for number, share in enumerate(free):
        life = lifetimes[share.buffer.name]
        span = alive[life.first : life.last + 1]
        # Where it lives nothing is short: to send it away would help nobody.
        if (short := int(span.max(initial=0)) - capacity) > 0:
            kept[number] = _fewer(share, short)
            span -= aligned(share.size) - aligned(kept[number].size)
    for number in reversed(range(len(free))):
        share, less = free[number], kept[number]
        if less.parts < share.parts:
            life = lifetimes[share.buffer.name]
            span = alive[life.first : life.last + 1]
            more = _fitting(share, aligned(less.size) + capacity - int(span.max(initial=0)))
            if more.parts > less.parts and (less.parts or more.parts == share.parts):
                kept[number] = more
                span += aligned(more.size) - aligned(less.size)
    return [share for share in kept if share.parts]


def _fewer(share: Share, freed: int) -> Share:
    """The most parts whose absence frees at least `freed` bytes; the nearest repeats stay."""
    return _fitting(share, aligned(share.size) - freed)


def _fitting(share: Share, room: int) -> Share:
    """As many parts as whole pages of `room` bytes hold."""
    pages = max(0, room) // ALIGNMENT * ALIGNMENT
    parts = share.parts if share.size <= pages else pages // share.part
    return Share(buffer=share.buffer, first=share.first, parts=parts)


def _gone(before: Sequence[Share], kept: Sequence[Share]) -> list[Share]:
    """What of `before` is not among `kept`."""
    parts = {share.buffer.name: share.parts for share in kept}
    rest = (
        Share(buffer=share.buffer, first=share.first + there, parts=share.parts - there)
        for share in before
        for there in [parts.get(share.buffer.name, 0)]
    )
    return [share for share in rest if share.parts]
