"""Tiles by number: which part of a tensor a tile is, and which tiles a firing needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from math import prod

from rdusim.sim.functional.storage import Box

Index = Mapping[int, int]  # loop of the section -> which of its parts


def indices(parts: Sequence[int], loops: Sequence[int]) -> Iterator[Index]:
    """Every index of `loops`, the last loop fastest: the order in which a stage fires and tiles follow each other."""
    for places in product(*(range(parts[loop]) for loop in loops)):
        yield dict(zip(loops, places, strict=True))


def number_of(index: Index, parts: Sequence[int], loops: Sequence[int]) -> int:
    """The place of an index in that order."""
    found = 0
    for loop in loops:
        found = found * parts[loop] + index[loop]
    return found


def count(parts: Sequence[int], loops: Iterable[int]) -> int:
    """Indices of `loops`."""
    return prod(parts[loop] for loop in loops)


def span(extent: int, part: int, parts: int) -> tuple[int, int]:
    """First and end of one of the parts of an extent: all are equally long, but the last ones may be short or empty."""
    step = -(-extent // parts)
    return min(extent, part * step), min(extent, (part + 1) * step)


def box_of(shape: Sequence[int], axes: Iterable[tuple[int, int]], index: Index, parts: Sequence[int]) -> Box:
    """The part of a tensor that belongs to an index: cut along `axes` (axis, loop), whole along the others."""
    found = [slice(0, extent) for extent in shape]
    for axis, loop in axes:
        found[axis] = slice(*span(shape[axis], index[loop], parts[loop]))
    return tuple(found)


def needed(
    fires: Index, parts: Sequence[int], loops: Sequence[int], replaced: Sequence[int]
) -> Iterator[tuple[int, Index]]:
    """Tiles, by number and index, that a firing reads of a buffer with a tile for every index of `loops`.

    Along a loop that the stage fires along: its own tile where a tile takes the place of the one before (`replaced`),
    all up to its own where the buffer keeps what has come. Along other loops: all.
    """
    for index in indices(parts, loops):
        if all(
            loop not in fires or (index[loop] == fires[loop] if loop in replaced else index[loop] <= fires[loop])
            for loop in loops
        ):
            yield number_of(index, parts, loops), index
