from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdusim.errors import OptionError
from rdusim.explore.goals import best_point, front, goal_problems, read_goal
from rdusim.report.sweep import Goal, Sense

LESS, MORE = Goal(name="cost", sense=Sense.MIN), Goal(name="gain", sense=Sense.MAX)


@pytest.mark.parametrize(
    ("text", "sense"),
    [
        ("latency.total_seconds", Sense.MIN),
        ("throughput.tokens_per_second", Sense.MAX),
        ("throughput.model_flops_utilization", Sense.MAX),
        ("memory.hbm.peak_bytes", Sense.MIN),
        ("breakdown_seconds.hbm", Sense.MIN),
        ("units.pcu.busy:max", Sense.MAX),
        ("latency.total_seconds:max", Sense.MAX),
        ("socket.memory.hbm.bandwidth", Sense.MIN),
    ],
)
def test_the_sense_of_a_goal_is_known_or_said(text: str, sense: Sense) -> None:
    assert read_goal(text, flag="--pareto", axes=["socket.memory.hbm.bandwidth"]).sense is sense


@pytest.mark.parametrize("text", ["units.pcu.busy", "units.pcu.busy:more"])
def test_a_goal_of_unknown_sense_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="min"):
        read_goal(text, flag="--objective")


def test_a_goal_that_no_result_has_is_named_with_its_neighbours() -> None:
    (problem,) = goal_problems([("--objective", "latency.total_second")], ["latency.total_seconds", "bound"])
    assert "did you mean latency.total_seconds" in str(problem)


def test_the_best_point_is_the_first_of_the_best() -> None:
    assert best_point(LESS, [3.0, None, 1.0, 1.0]) == 2
    assert best_point(MORE, [3, 5, 5.0, "x"]) == 1
    assert best_point(LESS, [None, "x"]) is None


def beats(one: tuple[float, float, float], other: tuple[float, float, float]) -> bool:
    better = (one[0] < other[0], one[1] > other[1], one[2] < other[2])
    worse = (one[0] > other[0], one[1] < other[1], one[2] > other[2])
    return any(better) and not any(worse)


# Few different values, so that there are ties in every way.
points = st.lists(st.tuples(*[st.integers(0, 6).map(float)] * 3), max_size=40)


@given(points)
def test_the_front_is_what_brute_force_finds(found: list[tuple[float, float, float]]) -> None:
    columns = [[point[goal] for point in found] for goal in range(3)]
    member = front([LESS, MORE, Goal(name="loss", sense=Sense.MIN)], columns)
    assert list(member) == [not any(beats(other, point) for other in found) for point in found]


@given(points.filter(bool), st.randoms(use_true_random=False))
def test_the_front_does_not_depend_on_the_order_of_points(
    found: list[tuple[float, float, float]], random: object
) -> None:
    goals = [LESS, MORE, Goal(name="loss", sense=Sense.MIN)]
    order = list(range(len(found)))
    random.shuffle(order)  # type: ignore[attr-defined]
    straight = front(goals, [[point[goal] for point in found] for goal in range(3)])
    mixed = front(goals, [[found[number][goal] for number in order] for goal in range(3)])
    assert [mixed[order.index(number)] for number in range(len(found))] == list(straight)


def test_points_without_a_number_are_on_no_front() -> None:
    assert front([LESS, MORE], [[1.0, None, 2.0], [1.0, 9.0, 1.0]]) == (True, False, False)
