"""The answer to a sweep: columns over its points, what failed, the best points and the front. Made by explore/sweep.py.

Every column has one entry a point, in the order of the points, which is that of the axes and never of the computation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rdusim.units import Dimension

Scalar = str | int | float | bool


class Sense(StrEnum):
    """What is better."""

    MIN = "min"
    MAX = "max"


def points(count: int) -> str:
    """`1 point`, `2,000 points`."""
    return f"{count:,} point{'' if count == 1 else 's'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A column and what is better in it: a metric, or an axis (how little of it is enough?)."""

    name: str
    sense: Sense

    def worth(self, value: float) -> float:
        """Less is better, whatever the sense."""
        return value if self.sense is Sense.MIN else -value


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepAxis:
    """A path that was varied. `dimension`: of its quantities, None for plain numbers and names."""

    path: str
    dimension: Dimension | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The best point of an objective: its number among the points, None where no point has a value."""

    goal: Goal
    point: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """Which points no other point beats in one goal without being worse in another."""

    goals: tuple[Goal, ...]
    member: tuple[bool, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """A sweep's columns. `metrics`: all figures of all points by dotted name, None where a point has none.

    `shown`: names of the metrics that tables have; `asked`: of the columns that were asked for. `errors`: why a
    point failed, None where it did not.
    """

    title: str
    axes: tuple[SweepAxis, ...]
    points: Mapping[str, Sequence[Scalar]]  # axis path -> values in SI units
    texts: Mapping[str, Sequence[str]]  # the same as written
    metrics: Mapping[str, Sequence[Scalar | None]]
    shown: tuple[str, ...]
    errors: Sequence[str | None]
    asked: tuple[str, ...] = ()
    best: tuple[Best, ...] = ()
    front: Front | None = None

    def __len__(self) -> int:
        return len(self.errors)

    @property
    def failed(self) -> int:
        return sum(error is not None for error in self.errors)

    def column(self, name: str) -> Sequence[Scalar | None]:
        """An axis or a metric; nothing but None for one that no point has."""
        found: Sequence[Scalar | None] | None = self.points.get(name)
        return found if found is not None else self.metrics.get(name, (None,) * len(self))
