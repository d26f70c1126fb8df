"""Columns of a timeline: slices in whole nanoseconds that do not overlap on their row, and steps of counters."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapreplace

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_NANOSECOND = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slices:
    """Columns of equal length, a row a slice [start, end) in ns.

    `track`, `label` and `argument` (-1 for none) number those of the timeline.
    """

    track: Ints
    label: Ints
    argument: Ints
    start: Ints
    end: Ints


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Samples:
    """Columns of equal length, ascending by track, then by time in ns: the value of a counter from then on."""

    track: Ints
    time: Ints
    value: Floats


def nanoseconds(cycles: Floats, clock: float) -> Ints:
    """The nearest whole ones."""
    return np.rint(cycles / clock / _NANOSECOND).astype(np.int64)


def joined(one: Slices, two: Slices) -> Slices:
    """The rows of `one`, then those of `two`."""
    columns = ((name, getattr(one, name), getattr(two, name)) for name in Slices.__slots__)
    return Slices(**{name: np.concatenate((first, second)) for name, first, second in columns})


def in_order(slices: Slices) -> Slices:
    """The same rows, ascending by track, then by time."""
    order = np.lexsort((slices.end, slices.start, slices.track))
    return Slices(**{name: getattr(slices, name)[order] for name in Slices.__slots__})


def lanes(track: Ints, start: Ints, end: Ints) -> Ints:
    """For every slice the lane of its track, 0 for all but those that would overlap an earlier one.

    Viewers take slices of one row that overlap to be nested. Each goes to the lane that is free for longest.
    """
    lane = np.zeros(track.size, dtype=np.int64)
    order = np.lexsort((end, start, track))
    same = track[order][1:] == track[order][:-1]
    crowded = np.unique(track[order][1:][same & (start[order][1:] < end[order][:-1])])
    for number in crowded.tolist():
        rows = order[np.searchsorted(track[order], number) : np.searchsorted(track[order], number, side="right")]
        lane[rows] = _packed(start[rows].tolist(), end[rows].tolist())
    return lane


def _packed(starts: list[int], ends: list[int]) -> list[int]:
    """Lanes of the slices of one track, which ascend by start."""
    free: list[tuple[int, int]] = []  # when a lane is free, and its number
    found = []
    for start, end in zip(starts, ends, strict=True):
        if free and free[0][0] <= start:
            lane = free[0][1]
            heapreplace(free, (end, lane))
        else:
            lane = len(free)
            free.append((end, lane))
            free.sort()
        found.append(lane)
    return found


def summed_rates(track: Ints, start: Floats, end: Floats, amount: Floats) -> tuple[Ints, Floats, Floats]:
    """By track, steps in time of the sum of all rates `amount / (end - start)` under way: track, time, sum.

    Spans without a duration are left out: they have no rate.
    """
    lasting = (end > start) & (amount > 0.0)
    track, start, end = track[lasting], start[lasting], end[lasting]
    rate = amount[lasting] / (end - start)
    tracks, times = np.concatenate((track, track)), np.concatenate((start, end))
    change = np.concatenate((rate, -rate))
    active = np.repeat(np.array([1, -1], dtype=np.int64), track.size)
    order = np.lexsort((times, tracks))
    tracks, times, change, active = tracks[order], times[order], change[order], active[order]
    # All spans of a track end within it, so that running sums over all tracks start each one at nothing.
    under_way = np.cumsum(active)
    return tracks, times, np.where(under_way > 0, np.maximum(0.0, np.cumsum(change)), 0.0)


def steps(track: Ints, time: Ints, value: Floats) -> Samples:
    """Counters, ascending; of several values at one time the last stays, of equal ones in a row the first."""
    order = np.lexsort((np.arange(time.size), time, track))
    track, time, value = track[order], time[order], value[order]
    last = np.append((track[1:] != track[:-1]) | (time[1:] != time[:-1]), np.ones(min(1, time.size), dtype=np.bool_))
    track, time, value = track[last], time[last], value[last]
    new = np.append(np.ones(min(1, time.size), dtype=np.bool_), (track[1:] != track[:-1]) | (value[1:] != value[:-1]))
    return Samples(track=track[new], time=time[new], value=value[new])
