"""Piecewise-linear functions, and their sums over runs of whole steps in closed form."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt


@dataclass(frozen=True, slots=True)
class Line:
    """A piecewise-linear function; beyond its last knot and before its first the slopes there go on.

    `slopes[i]` holds from `knots[i]` to the next knot. Equations: docs/model.md, "Runs of decode steps".
    """

    knots: Sequence[float]
    values: Sequence[float]
    slopes: Sequence[float]

    def at(self, x: float) -> float:
        i = max(bisect_right(self.knots, x) - 1, 0)
        return self.values[i] + self.slopes[i] * (x - self.knots[i])

    def total(self, start: float, steps: int) -> float:
        """Sum of the function at start, start + 1, ... over `steps` places."""
        total = 0.0
        while True:
            first, slope, here = self._piece(start, steps)
            total += here * (first + slope * (here - 1) / 2)
            if here == steps:
                return total
            start += here
            steps -= here

    def steps_until(self, start: float, amount: float, most: int) -> int:
        """Fewest places, at least 1 and at most `most`, whose sum from `start` on reaches `amount`."""
        done = 0
        while True:
            first, slope, here = self._piece(start, most - done)
            if here * (first + slope * (here - 1) / 2) >= amount or done + here == most:
                return done + _reach(first, slope, amount, here)
            amount -= here * (first + slope * (here - 1) / 2)
            start += here
            done += here

    def most(self, start: float, steps: int) -> float:
        """The largest value among those that `total` adds up."""
        largest = 0.0
        while True:
            first, slope, here = self._piece(start, steps)
            largest = max(largest, first, first + slope * (here - 1))
            if here == steps:
                return largest
            start += here
            steps -= here

    def plus(self, at: float, offset: float, slope: float) -> Line:
        """This function and an affine one: `offset` at `at`, growing by `slope`."""
        return Line(
            self.knots,
            [value + offset + slope * (knot - at) for knot, value in zip(self.knots, self.values, strict=True)],
            [own + slope for own in self.slopes],
        )

    def _piece(self, start: float, steps: int) -> tuple[float, float, int]:
        """Value at `start`, slope there, and how many of the `steps` places lie on that slope."""
        knots = self.knots
        i = bisect_right(knots, start) - 1
        if i < 0:
            i = 0
        slope = self.slopes[i]
        if i + 1 < len(knots) and start + steps - 1 > knots[i + 1]:
            steps = int(knots[i + 1] - start) + 1
        return self.values[i] + slope * (start - knots[i]), slope, steps


def _reach(first: float, slope: float, amount: float, most: int) -> int:
    """Fewest k with k first + slope k (k - 1) / 2 >= amount, in 1..most: the root of a parabola, then put right."""
    half = slope / 2
    linear = first - half
    root = 2 * amount / (linear + sqrt(max(linear * linear + 4 * half * amount, 0.0))) if linear > 0 else 1.0
    k = min(max(int(root), 1), most)
    while k < most and k * (first + half * (k - 1)) < amount:
        k += 1
    while k > 1 and (k - 1) * (first + half * (k - 2)) >= amount:
        k -= 1
    return k


def line_through(knots: Sequence[float], values: Sequence[float]) -> Line:
    """The line through points; through a single one it is level."""
    slopes = [
        (high - low) / (right - left)
        for left, right, low, high in zip(knots, knots[1:], values, values[1:], strict=False)
    ]
    return Line(list(knots), list(values), [*slopes, slopes[-1] if slopes else 0.0])
