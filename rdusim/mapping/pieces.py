"""Which tier serves which repeat: a buffer of a repeated block may lie partly in one tier and partly in the next."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping as PyMapping
from dataclasses import replace

from rdusim.mapping.types import Allocation, Launch, Mapping
from rdusim.program.types import Section
from rdusim.units import Bytes


def places_at(allocations: PyMapping[str, Allocation], repeat: int) -> dict[str, Allocation]:
    """Where each buffer lies for one repeat: of buffers with a part for each, that part alone."""
    return {name: place if _alone(place) else part_at(place, repeat) for name, place in allocations.items()}


def places_of(mapping: Mapping, entry: Launch) -> dict[str, Allocation]:
    """Where each buffer lies for the executions of one entry of the schedule: the parts of its first repeat."""
    return places_at(mapping.allocations, mapping.program.sections[entry.section].own(entry.first))


def part_at(place: Allocation, repeat: int) -> Allocation:
    """The part of one repeat; beyond the last repeat, the last part."""
    piece = next((each for each in reversed(place.pieces) if each.first <= repeat), place)
    number = min(max(0, repeat - piece.first), piece.repeats - 1)
    size = piece.size // max(1, piece.repeats)
    return Allocation(
        buffer=piece.buffer,
        tier=piece.tier,
        offset=Bytes(piece.offset + number * size),
        size=Bytes(size),
        first=piece.first + number,
    )


def boundaries(section: Section, allocations: PyMapping[str, Allocation]) -> set[int]:
    """Repeats of a section from which on a part of some buffer of it lies in another tier than before."""
    used = {stream.buffer for stream in (*section.loads, *section.stores)}
    first = {piece.first for name in used if name in allocations for piece in allocations[name].further}
    return {section.own(number - 1) for number in first} if section.backwards else first


def joined(pieces: Iterable[Allocation]) -> Allocation:
    """The pieces of one buffer, nearest first, as one allocation."""
    nearest, *further = pieces
    return replace(nearest, further=tuple(further))


def _alone(place: Allocation) -> bool:
    return place.repeats == 1 and not place.further
