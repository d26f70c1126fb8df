from __future__ import annotations

import sys
from math import exp, inf, log

import numpy as np
import pytest

from rdusim.errors import OptionError
from rdusim.explore.calibration import Bounded, Fit, Profile, Vector, directions, fit, profile

TWO = (Bounded(name="a", low=0.1, high=10.0, start=1.0), Bounded(name="b", low=0.1, high=10.0, start=1.0))


def apart(logarithms: Vector) -> Vector:
    """a is 2 to 10%, b is 3 to 50%."""
    a, b = logarithms
    return np.array([(a - log(2.0)) / 0.1, (b - log(3.0)) / 0.5])


def only_the_product(logarithms: Vector) -> Vector:
    return np.array([(float(np.sum(logarithms)) - log(6.0)) / 0.1])


def test_a_fit_finds_the_values_that_the_data_were_made_from() -> None:
    found = fit(apart, TWO)
    assert found.values == pytest.approx((2.0, 3.0), rel=1e-4)
    assert found.misfit == pytest.approx(0.0, abs=1e-6)


def test_a_fit_stays_between_the_bounds() -> None:
    narrow = (TWO[0], Bounded(name="b", low=0.1, high=1.5, start=1.0))
    found = fit(apart, narrow)
    assert found.values[1] == pytest.approx(1.5, rel=1e-3) and found.values[1] <= 1.5
    assert found.misfit == pytest.approx((log(2.0) / 0.5) ** 2, rel=1e-2)


def test_a_fit_leaves_a_hollow_that_it_starts_in() -> None:
    """Two minima, the nearer to the start one is not the deeper."""
    ridge = (Bounded(name="a", low=exp(-3.0), high=exp(3.0), start=exp(-1.8)),)
    found = fit(lambda at: np.array([(at[0] ** 2 - 4.0) * 2.0, at[0] - 2.0]), ridge)
    assert found.values[0] == pytest.approx(exp(2.0), rel=1e-3)


def test_the_interval_of_a_parabola_is_its_uncertainty() -> None:
    best = fit(apart, TWO)
    low, high = profile(apart, TWO, best, 0, 200).interval(best.misfit)
    assert (low, high) == pytest.approx((2.0 * exp(-0.1), 2.0 * exp(0.1)), rel=2e-3)


def test_what_the_data_do_not_tell_apart_has_a_flat_profile() -> None:
    best = fit(only_the_product, TWO)
    found = profile(only_the_product, TWO, best, 0, 60)
    assert all(point.misfit < 1e-6 for value, point in found.points if value >= 0.61)
    low, high = found.interval(best.misfit)
    assert high == pytest.approx(10.0)
    assert low < 0.62, "below 0.6 the other one is at its bound"


def test_a_profile_fits_the_others_anew_at_each_value() -> None:
    best = fit(only_the_product, TWO)
    for value, point in profile(only_the_product, TWO, best, 0, 5).points:
        assert point.values[0] == pytest.approx(value)
        assert point.values[1] == pytest.approx(min(6.0 / value, 10.0), rel=1e-3)


def test_the_interval_ends_between_grid_points_and_at_the_bounds() -> None:
    points = tuple(
        (value, Fit(values=(value,), misfit=misfit)) for value, misfit in ((1.0, 4.0), (2.0, 0.0), (3.0, 0.5))
    )
    assert Profile(at=0, points=points).interval(0.0) == (1.75, 3.0)
    assert Profile(at=0, points=points[:1]).interval(0.0) == (1.0, 1.0)


def test_directions_say_which_combination_is_determined() -> None:
    determined, free = directions(only_the_product, (2.0, 3.0))
    assert determined.parts == pytest.approx((0.5**0.5, 0.5**0.5))
    assert determined.spread == pytest.approx(exp(0.1 / 2**0.5), rel=1e-6)
    assert free.spread > 1e6 or free.spread == inf
    assert abs(sum(free.parts)) < 1e-6


def test_without_scipy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(OptionError, match=r"rdusim\[calibrate\]"):
        fit(apart, TWO)
