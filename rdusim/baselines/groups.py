"""What many predictions must satisfy together for `rdusim validate` to accept them: the limits of groups of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rdusim.baselines.agreement import BAND, Agreement
from rdusim.units import show


@dataclass(frozen=True, slots=True)
class MedianError:
    """Half of the rows have at most this absolute error."""

    most: float

    def value(self, found: Agreement) -> float | None:
        return found.median_absolute_error

    def holds(self, found: Agreement) -> bool:
        value = self.value(found)
        return value is not None and value <= self.most

    def __str__(self) -> str:
        return f"median error at most {show(self.most, 'share')}"


@dataclass(frozen=True, slots=True)
class RankCorrelation:
    """Spearman's: what was measured to gain more is predicted to gain more."""

    least: float

    def value(self, found: Agreement) -> float | None:
        return found.rank_correlation

    def holds(self, found: Agreement) -> bool:
        value = self.value(found)
        return value is not None and value >= self.least

    def __str__(self) -> str:
        return f"rank correlation at least {self.least:g}"


@dataclass(frozen=True, slots=True)
class ShareWithinBand:
    """So many of the rows are within a factor of BAND."""

    least: float

    def value(self, found: Agreement) -> float | None:
        return found.share_within_band

    def holds(self, found: Agreement) -> bool:
        value = self.value(found)
        return value is not None and value >= self.least

    def __str__(self) -> str:
        return f"at least {100 * self.least:.3g}% within a factor of {BAND:g}"


GroupLimit = MedianError | RankCorrelation | ShareWithinBand


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Main rows of the set `set` (""  - of all), and of these only the calibrated ones where `calibrated` says so.

    `explained`: a row outside of the band needs a reason in `explanations.py`.
    """

    name: str
    set: str = ""
    calibrated: bool = False
    limits: tuple[GroupLimit, ...]
    explained: bool = False


GROUPS: Final[tuple[Group, ...]] = (
    Group(name="calibrated targets", calibrated=True, limits=(MedianError(0.10),)),
    Group(
        name="bars of MICRO Fig. 10",
        set="fusion",
        limits=(RankCorrelation(0.85), ShareWithinBand(2 / 3)),
        explained=True,
    ),
)
