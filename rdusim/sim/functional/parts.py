"""Which part of a tensor each socket of a tensor-parallel group holds.

A tensor cut along several axes is cut the first axis first: of 8 sockets, axes cut in 4 and 2 give socket r the parts
r // 2 and r % 2, and an axis cut in 4 alone gives it part r // 2, which two sockets then hold.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rdusim.sim.functional.storage import Array, Box


def places(rank: int, ways: int, cuts: Sequence[int]) -> list[int]:
    """The part along each axis that socket `rank` of `ways` holds."""
    found = []
    for cut in cuts:
        ways //= cut
        found.append(rank // ways % cut)
    return found


def part_box(shape: Sequence[int], whole: Sequence[int], rank: int, ways: int) -> Box:
    """Where the part of `shape` that a socket holds lies in a tensor that is `whole` (padding lies behind its end)."""
    cuts = [-(-full // own) for full, own in zip(whole, shape, strict=True)]
    starts = [place * own for place, own in zip(places(rank, ways, cuts), shape, strict=True)]
    return tuple(
        slice(min(start, full), min(start + own, full)) for start, own, full in zip(starts, shape, whole, strict=True)
    )


def part_of(array: Array, shape: Sequence[int], rank: int, ways: int) -> Array:
    """The part of `shape` that a socket holds of a whole array, with zeros where the array is padded."""
    found = array[part_box(shape, array.shape, rank, ways)]
    missing = [(0, own - extent) for own, extent in zip(shape, found.shape, strict=True)]
    return np.pad(found, missing) if any(behind for _, behind in missing) else found


def whole_of(parts: Sequence[Array], shape: Sequence[int]) -> Array:
    """The whole array, without padding. Where sockets that hold the same part differ, the result is NaN."""
    found = np.full(tuple(shape), np.nan)
    seen = np.zeros(tuple(shape), dtype=bool)
    for rank, part in enumerate(parts):
        box = part_box(part.shape, shape, rank, len(parts))
        mine = part[tuple(slice(0, side.stop - side.start) for side in box)]
        same = ~seen[box] | np.isclose(found[box], mine, rtol=1e-9, atol=1e-12)
        found[box] = np.where(same, mine, np.nan)
        seen[box] = True
    return found
