"""How well predictions agree with what was published, in numbers: errors, factors, and ranks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import StatisticsError, correlation, median
from typing import Final

BAND: Final = 1.5  # the factor up to which a prediction counts as near, either way
RANKED: Final = 3  # values of one kind from which on their order says something


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A published value and its prediction; None: there is none. `kind`: only pairs of one kind are ranked together."""

    kind: str
    published: float
    predicted: float | None

    @property
    def error(self) -> float | None:
        """Share by which the prediction is above the published value."""
        return None if self.predicted is None else self.predicted / self.published - 1

    @property
    def factor(self) -> float | None:
        """The larger of the two over the smaller: 1.5 for half as much again, and for two thirds."""
        if self.predicted is None or self.predicted <= 0.0:
            return None
        return max(self.predicted / self.published, self.published / self.predicted)

    @property
    def near(self) -> bool:
        """Within the band; what could not be predicted is not."""
        return self.factor is not None and self.factor <= BAND


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Of some rows. Errors are shares without sign; `share_within_band`: rows within a factor of BAND.

    `rank_correlation` is Spearman's, over rows of one kind; of several kinds, see `rank_correlation`. None: too few.
    """

    rows: int
    median_absolute_error: float | None
    largest_absolute_error: float | None
    largest_factor: float | None
    share_within_band: float | None
    rank_correlation: float | None


def agreement(pairs: Sequence[Pair]) -> Agreement:
    errors = [abs(pair.error) for pair in pairs if pair.error is not None]
    return Agreement(
        rows=len(pairs),
        median_absolute_error=median(errors) if errors else None,
        largest_absolute_error=max(errors, default=None),
        largest_factor=max((pair.factor for pair in pairs if pair.factor is not None), default=None),
        share_within_band=sum(pair.near for pair in pairs) / len(pairs) if pairs else None,
        rank_correlation=rank_correlation(pairs),
    )


def rank_correlation(pairs: Sequence[Pair]) -> float | None:
    """Spearman's, from -1 to 1; None where no kind has RANKED pairs, or all values are equal.

    Ranks are taken within each kind, as shares of its number, from its middle, and then pooled: a time is never
    compared with a ratio, which would make any prediction of both look right.
    """
    ranked = [spread for kind in dict.fromkeys(pair.kind for pair in pairs) for spread in _spread(pairs, kind)]
    try:
        return correlation([published for published, _ in ranked], [predicted for _, predicted in ranked])
    except StatisticsError:  # fewer than two, or all the same
        return None


def _spread(pairs: Sequence[Pair], kind: str) -> Iterator[tuple[float, float]]:
    """Ranks of published and predicted values of a kind, from -1/2 to 1/2."""
    here = [(pair.published, pair.predicted) for pair in pairs if pair.kind == kind and pair.predicted is not None]
    if len(here) >= RANKED:
        ranks = zip(_ranks([one for one, _ in here]), _ranks([other for _, other in here]), strict=True)
        yield from ((one / (len(here) + 1) - 0.5, other / (len(here) + 1) - 0.5) for one, other in ranks)


def _ranks(values: Sequence[float]) -> list[float]:
    """From 1; equal values share the middle of their places."""
    order = sorted(values)
    return [order.index(value) + (order.count(value) + 1) / 2 for value in values]
