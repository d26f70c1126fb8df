"""Max-min fairness: hand-computed cases and the laws that define it."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdusim.kernel.resource import max_min_rates

Problem = tuple[list[float], list[list[tuple[int, float]]], list[float], list[float]]


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    size = st.floats(0.01, 100.0)
    streams, resources = draw(st.integers(1, 8)), draw(st.integers(1, 5))
    weights = draw(st.lists(size, min_size=streams, max_size=streams))
    crossed = st.lists(st.integers(0, resources - 1), unique=True, max_size=resources)
    usage = [[(resource, draw(size)) for resource in draw(crossed)] for _ in range(streams)]
    capacities = draw(st.lists(st.floats(0.1, 1e3), min_size=resources, max_size=resources))
    caps = draw(st.lists(st.one_of(st.just(inf), size), min_size=streams, max_size=streams))
    return weights, usage, capacities, caps


def test_a_stream_stopped_elsewhere_leaves_its_share_to_the_others() -> None:
    # 0 and 1 share resource 0 (10); 1 is held to 2 by resource 1, so 0 takes 8.
    shares = max_min_rates([1.0, 1.0], [[(0, 1.0)], [(0, 1.0), (1, 1.0)]], [10.0, 2.0])
    assert shares.rates == pytest.approx((8.0, 2.0))
    assert shares.limits == (0, 1)


def test_rates_on_one_resource_are_in_the_ratio_of_the_bytes_per_tile() -> None:
    shares = max_min_rates([3.0, 1.0], [[(0, 1.0)], [(0, 2.0)]], [10.0])
    assert shares.rates == pytest.approx((6.0, 2.0))  # 6 + 2 x 2 = 10


def test_an_own_cap_limits_and_is_reported_as_no_resource() -> None:
    shares = max_min_rates([1.0, 1.0], [[(0, 1.0)], [(0, 1.0)]], [10.0], [1.0, inf])
    assert shares.rates == pytest.approx((1.0, 9.0))
    assert shares.limits == (-1, 0)


def test_a_stream_that_nothing_bounds_is_infinitely_fast() -> None:
    assert max_min_rates([1.0], [[]], [5.0]).rates == (inf,)


@given(problems())
def test_no_capacity_and_no_cap_is_exceeded(problem: Problem) -> None:
    weights, usage, capacities, caps = problem
    rates = max_min_rates(weights, usage, capacities, caps).rates
    assert all(rate <= cap * (1 + 1e-9) for rate, cap in zip(rates, caps, strict=True))
    for resource, capacity in enumerate(capacities):
        assert _load(resource, usage, rates) <= capacity * (1 + 1e-9)


@given(problems())
def test_every_stream_is_at_its_cap_or_fastest_on_a_full_resource(problem: Problem) -> None:
    weights, usage, capacities, caps = problem
    shares = max_min_rates(weights, usage, capacities, caps)
    paces = [rate / weight for rate, weight in zip(shares.rates, weights, strict=True)]
    for stream, limit in enumerate(shares.limits):
        if limit < 0:
            assert shares.rates[stream] == pytest.approx(caps[stream])
            continue
        assert _load(limit, usage, shares.rates) == pytest.approx(capacities[limit])
        rivals = [pace for pace, parts in zip(paces, usage, strict=True) if limit in dict(parts)]
        assert paces[stream] == pytest.approx(max(rivals))


@given(problems(), st.floats(0.1, 10.0))
def test_capacities_times_a_factor_are_rates_times_that_factor(problem: Problem, factor: float) -> None:
    weights, usage, capacities, caps = problem
    rates = max_min_rates(weights, usage, capacities, caps).rates
    scaled = max_min_rates(weights, usage, [c * factor for c in capacities], [c * factor for c in caps]).rates
    assert scaled == pytest.approx([rate * factor for rate in rates])


def _load(resource: int, usage: list[list[tuple[int, float]]], rates: tuple[float, ...]) -> float:
    uses = ((rate, dict(parts)) for rate, parts in zip(rates, usage, strict=True))
    return sum(rate * parts[resource] for rate, parts in uses if resource in parts)
