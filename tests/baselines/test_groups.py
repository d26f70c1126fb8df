from __future__ import annotations

import pytest

from rdusim.baselines.agreement import Agreement
from rdusim.baselines.explanations import EXPLAINED
from rdusim.baselines.groups import GROUPS, GroupLimit, MedianError, RankCorrelation, ShareWithinBand
from rdusim.baselines.published import SETS, load_targets


def found(value: float | None) -> Agreement:
    return Agreement(
        rows=9,
        median_absolute_error=value,
        largest_absolute_error=value,
        largest_factor=value,
        share_within_band=value,
        rank_correlation=value,
    )


@pytest.mark.parametrize(
    ("limit", "value", "holds"),
    [
        (MedianError(0.1), 0.1, True),
        (MedianError(0.1), 0.1001, False),
        (RankCorrelation(0.85), 0.85, True),
        (RankCorrelation(0.85), 0.849, False),
        (ShareWithinBand(2 / 3), 10 / 15, True),
        (ShareWithinBand(2 / 3), 10 / 16, False),
        (MedianError(0.1), None, False),
        (RankCorrelation(0.85), None, False),
        (ShareWithinBand(0.5), None, False),
    ],
    ids=str,
)
def test_limits_of_groups_hold_up_to_their_edge(limit: GroupLimit, value: float | None, holds: bool) -> None:
    assert limit.holds(found(value)) is holds
    assert limit.value(found(value)) == value


def test_the_accepted_limits_are_those_of_the_project() -> None:
    """Issue 6: calibrated targets and the bars of Fig. 10."""
    assert {group.name: group.limits for group in GROUPS} == {
        "calibrated targets": (MedianError(0.10),),
        "bars of MICRO Fig. 10": (RankCorrelation(0.85), ShareWithinBand(2 / 3)),
    }
    assert {group.set for group in GROUPS} <= {"", *SETS}
    assert [group.name for group in GROUPS if group.explained] == ["bars of MICRO Fig. 10"]


def test_an_explanation_is_of_a_target_and_says_how_far_it_reaches() -> None:
    assert EXPLAINED.keys() <= load_targets().keys()
    assert all(bound > 1.5 and cause for bound, cause in EXPLAINED.values())
