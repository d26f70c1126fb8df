"""A copy beside a running model: both want the bandwidth of the nearest tier, and get max-min fair shares of it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple


class Beside(NamedTuple):
    """`seconds`: until the model is done. `copied`: until the copy is. `marks`: (nominal, actual) seconds of the model.

    Between marks time passes evenly; `actual` of any nominal time follows by `at`.
    """

    seconds: float
    copied: float
    marks: tuple[tuple[float, float], ...]

    @property
    def slowest(self) -> float:
        """The most that a nominal second takes."""
        pairs = zip(self.marks, self.marks[1:], strict=False)
        return max(((y1 - y0) / (x1 - x0) for (x0, y0), (x1, y1) in pairs if x1 > x0), default=1.0)

    def at(self, nominal: float) -> float:
        """When the model has come as far as it would come in `nominal` seconds alone."""
        right = min(bisect_right(self.marks, (nominal, float("inf"))), len(self.marks) - 1)
        (x0, y0), (x1, y1) = self.marks[right - 1], self.marks[right]
        return y1 if x1 == x0 else y0 + (nominal - x0) * (y1 - y0) / (x1 - x0)


def shares(first: float, second: float, capacity: float) -> tuple[float, float]:
    """Max-min fair rates of two users of one resource (kernel/resource.py has it for many)."""
    if first + second <= capacity:
        return first, second
    half = 0.5 * capacity
    if first <= half:
        return first, capacity - first
    if second <= half:
        return capacity - second, second
    return half, half


def beside(phases: Sequence[tuple[float, float]], copy: float, copy_rate: float, capacity: float) -> Beside:
    """A model that runs through `phases` of (seconds, bytes) alone, beside a copy that takes `copy` seconds alone.

    Each phase wants its bytes evenly over its seconds, and slows down in proportion to what it does not get: as if it
    waited for memory throughout. The copy starts with the first phase and ends at full speed if it outlasts them.
    docs/model.md, "Copies beside steps".
    """
    nominal, now, left = 0.0, 0.0, copy
    marks = [(0.0, 0.0)]
    copied = 0.0
    for seconds, size in phases:
        if seconds <= 0.0:
            continue
        rest = seconds
        if left > 0.0:
            wanted = size / seconds
            given, copying = shares(wanted, copy_rate, capacity)
            pace = given / wanted if wanted > 0.0 else 1.0
            copy_pace = copying / copy_rate
            together = min(left / copy_pace, seconds / pace)
            now += together
            done = min(seconds, pace * together)
            nominal, rest = nominal + done, seconds - done
            left -= copy_pace * together
            if left <= 1e-12 * copy:
                left, copied = 0.0, now
            marks.append((nominal, now))
            if left > 0.0:
                rest = 0.0
        if rest > 0.0:
            nominal, now = nominal + rest, now + rest
            marks.append((nominal, now))
    if left > 0.0:
        copied = now + left
    return Beside(now, copied, tuple(marks))
