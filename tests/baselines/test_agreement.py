from __future__ import annotations

from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdusim.baselines.agreement import Pair, agreement, rank_correlation


def pairs(*values: tuple[float, float | None], kind: str = "time") -> list[Pair]:
    return [Pair(kind=kind, published=published, predicted=predicted) for published, predicted in values]


def test_a_factor_is_the_same_above_and_below() -> None:
    above, below, exact = pairs((2.0, 3.0), (3.0, 2.0), (5.0, 5.0))
    assert above.factor == below.factor == 1.5
    assert above.near and below.near
    assert (above.error, exact.factor) == (0.5, 1.0)


def test_a_prediction_of_nothing_or_none_is_not_near() -> None:
    zero, missing, far = pairs((1.0, 0.0), (1.0, None), (1.0, 1.51))
    assert (zero.factor, missing.factor, missing.error) == (None, None, None)
    assert not (zero.near or missing.near or far.near)


def test_the_agreement_of_some_rows_counts_what_could_not_be_predicted_as_far() -> None:
    found = agreement(pairs((1.0, 1.1), (1.0, 0.6), (1.0, 4.0), (1.0, None)))
    assert found.rows == 4
    assert found.median_absolute_error == pytest.approx(0.4)
    assert found.largest_absolute_error == pytest.approx(3.0)
    assert found.largest_factor == pytest.approx(4.0)
    assert found.share_within_band == 1 / 4


def test_the_agreement_of_nothing_is_nothing() -> None:
    found = agreement([])
    assert (found.rows, found.median_absolute_error, found.share_within_band) == (0, None, None)


def test_ranks_correlate_as_spearman_computed_by_hand() -> None:
    """Ranks 1 2 3 4 5 against 2 1 4 3 5: 1 - 6 x (1 + 1 + 1 + 1) / (5 x 24)."""
    values = zip((10.0, 20.0, 30.0, 40.0, 50.0), (0.2, 0.1, 4.0, 3.0, 500.0), strict=True)
    assert rank_correlation(pairs(*values)) == pytest.approx(0.8)


def test_equal_values_share_their_ranks() -> None:
    """Ranks 1.5 1.5 3 against 1 2 3: Pearson of them is sqrt(3)/2."""
    assert rank_correlation(pairs((1.0, 1.0), (1.0, 2.0), (2.0, 3.0))) == pytest.approx(3**0.5 / 2)


def test_two_points_or_equal_predictions_have_no_rank_correlation() -> None:
    assert rank_correlation(pairs((1.0, 1.0), (2.0, 2.0))) is None
    assert rank_correlation(pairs((1.0, 7.0), (2.0, 7.0), (3.0, 7.0))) is None


def test_kinds_are_ranked_apart() -> None:
    """Times that fall where they should rise are not hidden by rates that are a million times as large."""
    times = [(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)]
    mixed = [*pairs(*times), *pairs(*((1e6 * one, 1e6 * other) for one, other in times), kind="rate")]
    assert rank_correlation(mixed) == pytest.approx(-1.0)


@given(st.lists(st.tuples(st.floats(0.1, 1e3), st.floats(0.1, 1e3)), min_size=3, max_size=12))
def test_ranks_do_not_change_with_the_scale_of_predictions(values: list[tuple[float, float]]) -> None:
    found = rank_correlation(pairs(*values)) or nan
    # Powers of two, so that values which are equal stay so and others stay apart.
    scaled = rank_correlation(pairs(*((published, 8.0 * predicted) for published, predicted in values))) or nan
    assert scaled == pytest.approx(found, nan_ok=True)
    assert not abs(found) > 1 + 1e-12
