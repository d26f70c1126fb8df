"""What a prediction must satisfy for `rdusim validate` to accept it: data in a row of published results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from rdusim.units import show


@dataclass(frozen=True, slots=True)
class Within:
    """At most `share` of the published value away from it."""

    share: float

    def holds(self, predicted: float, published: float, others: Mapping[str, float]) -> bool:
        return abs(predicted - published) <= self.share * abs(published)

    def __str__(self) -> str:
        return f"within {show(self.share, 'share')}"


@dataclass(frozen=True, slots=True)
class Printed:
    """Equal to every digit that was printed: `digits` of them behind the point."""

    digits: int

    def holds(self, predicted: float, published: float, others: Mapping[str, float]) -> bool:
        return round(predicted, self.digits) == round(published, self.digits)

    def __str__(self) -> str:
        return "exact"


@dataclass(frozen=True, slots=True)
class AtLeast:
    """Not less than what was published."""

    def holds(self, predicted: float, published: float, others: Mapping[str, float]) -> bool:
        return predicted >= published

    def __str__(self) -> str:
        return "at least as published"


@dataclass(frozen=True, slots=True)
class Shares:
    """The prediction, a share, lies between `low` and `high`."""

    low: float
    high: float = inf

    def holds(self, predicted: float, published: float, others: Mapping[str, float]) -> bool:
        return self.low <= predicted <= self.high

    def __str__(self) -> str:
        if self.high == inf:
            return f"at least {show(self.low, 'share')}"
        return f"{show(self.low, 'share')} to {show(self.high, 'share')}"


@dataclass(frozen=True, slots=True)
class Above:
    """More than the prediction for another target; holds if that one was not asked for."""

    other: str

    def holds(self, predicted: float, published: float, others: Mapping[str, float]) -> bool:
        return self.other not in others or predicted > others[self.other]

    def __str__(self) -> str:
        return f"above {self.other}"


@dataclass(frozen=True, slots=True)
class Near:
    """At most `share` away from the prediction for another target; holds if that one was not asked for."""

    other: str
    share: float

    def holds(self, predicted: float, published: float, others: Mapping[str, float]) -> bool:
        return self.other not in others or abs(predicted / others[self.other] - 1) <= self.share

    def __str__(self) -> str:
        return f"within {show(self.share, 'share')} of {self.other}"


Limit = Within | Printed | AtLeast | Shares | Above | Near
