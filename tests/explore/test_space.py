from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdusim.errors import OptionError
from rdusim.explore.space import LHS, RANDOM, Space, Wanted, draw, space_of
from rdusim.pipeline import RunRequest
from rdusim.units import parse

BASE = RunRequest(model="llama-3.2-1b")
BANDWIDTH = "socket.memory.hbm.bandwidth"


def space(*axes: tuple[str, str], **options: object) -> Space:
    wanted = [Wanted(path=path, text=text) for path, text in axes]
    return space_of(BASE, wanted, **options)  # type: ignore[arg-type]


def texts(made: Space) -> list[tuple[str, ...]]:
    return [tuple(value.text for _, value in made.at(point)) for point in range(len(made.points))]


def test_axes_are_crossed_and_the_last_one_runs_fastest() -> None:
    made = space(("batch", "1,2"), (BANDWIDTH, "1 TB/s,2 TB/s"))
    assert texts(made) == [("1", "1 TB/s"), ("1", "2 TB/s"), ("2", "1 TB/s"), ("2", "2 TB/s")]


def test_zipped_axes_go_together_and_are_crossed_with_the_others() -> None:
    made = space(
        ("batch", "1,2"), ("kernel-looping", "true,false"), ("context-tokens", "64,128"),
        zipped=[("batch", "context-tokens")],
    )  # fmt: skip
    assert texts(made) == [("1", "true", "64"), ("1", "false", "64"), ("2", "true", "128"), ("2", "false", "128")]


@given(samples=st.integers(1, 60), axes=st.integers(1, 4), seed=st.integers(0, 99))
def test_a_latin_hypercube_has_one_point_in_every_slice_of_every_axis(samples: int, axes: int, seed: int) -> None:
    points = draw(samples, axes, sampling=LHS, rng=np.random.default_rng(seed))
    for column in points.T:
        assert sorted(np.floor(column * samples).astype(int).tolist()) == list(range(samples))


@pytest.mark.parametrize("sampling", [LHS, RANDOM])
def test_equal_seeds_draw_equal_points_within_the_axes(sampling: str) -> None:
    axes = (("batch", "1..64@log"), (BANDWIDTH, "1 TB/s..3 TB/s"), ("fusion", "fused,unfused"))
    made = [space(*axes, samples=20, sampling=sampling, seed=seed) for seed in (7, 7, 8)]
    assert texts(made[0]) == texts(made[1]) != texts(made[2])
    assert len(made[0].points) == 20
    for batch, bandwidth, fusion in texts(made[0]):
        assert 1 <= int(batch) <= 64
        assert 1.0 <= float(bandwidth.removesuffix(" TB/s")) <= 3.0
        assert fusion in ("fused", "unfused")


def test_zipped_axes_are_drawn_as_one() -> None:
    axes = (("batch", "1..10"), ("context_tokens", "101..110"))
    made = space(*axes, samples=10, zipped=[("batch", "context_tokens")])
    assert {int(context) - int(batch) for batch, context in texts(made)} == {100}


@pytest.mark.parametrize(
    ("axes", "options", "said"),
    [
        ((), {}, "nothing to vary"),
        ((("batch", "8..1:1"),), {}, "batch: '8..1:1' is an empty range"),
        ((("batch", "1..8"),), {}, "batch: is an interval without values"),
        ((("batch", "1"), ("batch", "2")), {}, "batch: is varied twice"),
        (((BANDWIDTH, "1 TB/s..4 TB/s:4"),), {}, "has one value only"),
        ((("batch", "1.5..4@3"),), {}, "whole numbers at its ends"),
        ((("bach", "1"),), {}, "did you mean batch"),
        (((BANDWIDTH, "3 GiB"),), {}, "a bandwidth is wanted, such as '1.8 TB/s'"),
        (((BANDWIDTH, "3..4 GiB:1"),), {}, "a bandwidth is wanted"),
        ((("batch", "1,2"), ("sockets", "1,2,4")), {"zipped": [("batch", "sockets")]}, "batch has 2, sockets has 3"),
        ((("batch", "1,2"),), {"zipped": [("batch", "sockets")]}, "'sockets' is not varied"),
        ((("batch", "1,2"),), {"samples": 0}, "0 is not a number of points"),
        ((("batch", "1,2"),), {"samples": 3, "sampling": "sobol"}, "unknown value 'sobol'"),
    ],
)
def test_wrong_axes_are_refused_before_any_work(
    axes: tuple[tuple[str, str], ...], options: dict[str, object], said: str
) -> None:
    with pytest.raises(OptionError) as caught:
        space(*axes, **options)
    assert said in str(caught.value)


def test_everything_wrong_with_all_axes_is_said_at_once() -> None:
    with pytest.raises(OptionError) as caught:
        space(("bach", "1"), ("batch", "x,0"), (BANDWIDTH, "3 GiB"))
    assert len(caught.value.problems) == 4


def test_a_range_without_a_unit_is_one_problem() -> None:
    with pytest.raises(OptionError, match="'1' has no unit: a bandwidth is written like") as caught:
        space((BANDWIDTH, "1..8@8"))
    assert len(caught.value.problems) == 1


def test_one_value_in_several_spellings_is_one_point() -> None:
    made = space((BANDWIDTH, "10GB/s,10 GB/s,10000MB/s,20 GB/s"), ("batch", "1,01"))
    assert texts(made) == [("10GB/s", "1"), ("20 GB/s", "1")]


def test_sizes_that_are_drawn_lie_in_their_interval() -> None:
    made = space(("socket.memory.hbm.capacity", "1.4..1.6 GiB"), samples=8)
    sizes = [parse(text, "size") for (text,) in texts(made)]
    assert len(set(sizes)) == 8
    assert all(1.4 * 2**30 <= size <= 1.6 * 2**30 for size in sizes)


def test_what_is_set_cannot_be_varied_as_well() -> None:
    fixed = replace(BASE, overrides=(f"{BANDWIDTH}=1 TB/s",))
    with pytest.raises(OptionError, match="is varied, and set as well"):
        space_of(fixed, [Wanted(path=BANDWIDTH, text="1 TB/s,2 TB/s")])
