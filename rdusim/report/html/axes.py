"""Axes: where a value stands between two ends, and which values are written beside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log2, log10
from typing import TYPE_CHECKING, Final

import numpy as np

from rdusim.report.html.text import tick
from rdusim.units import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_FEW: Final = 24  # values that may all have a tick
_APART: Final = (0.02, 0.15)  # of an axis: ticks at values are no nearer, where they are few and where they are many


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """`place`: values to shares 0..1 of the axis, clipped to it. `ticks`: share and text."""

    title: str
    place: Callable[[Floats], Floats]
    ticks: tuple[tuple[float, str], ...]


def linear(title: str, high: float, kind: Kind) -> Axis:
    """From 0 to at least `high`; steps of 1, 2 or 5, or of powers of two for sizes."""
    step = _step(high if high > 0 else 1.0, kind)
    top = step * ceil(round((high if high > 0 else 1.0) / step, 9))
    return _axis(title, kind, lambda values: values / top, (step * each for each in range(round(top / step) + 1)))


def span(title: str, high: float, kind: Kind) -> Axis:
    """From 0 to exactly `high`: for time, where beyond the end there is nothing."""
    high = high if high > 0 else 1.0
    step = _step(high, kind)
    return _axis(title, kind, lambda values: values / high, (step * each for each in range(floor(high / step) + 1)))


def logarithmic(title: str, low: float, high: float, kind: Kind) -> Axis:
    """Decades around `low`..`high`, both above 0; what lies below, zero too, stands at the lower end."""
    bottom = floor(log10(low) + 1e-9)
    top = max(ceil(log10(high) - 1e-9), bottom + 1)
    steps = (1, 2, 5) if top - bottom <= 2 else (1,)
    every = max((top - bottom) // 8, 1)
    values = [float(f"{step}e{power}") for power in range(bottom, top, every) for step in steps]

    def place(given: Floats) -> Floats:
        return (np.log10(np.maximum(given, float(f"1e{bottom}"))) - bottom) / (top - bottom)

    return _axis(title, kind, place, [*values, float(f"1e{top}")])


def both_ways(title: str, low: float, high: float, kind: Kind) -> Axis:
    """From at most `low` <= 0 to at least `high` >= 0, for changes."""
    low, high = min(low, 0.0), max(high, 0.0)
    reach = (high - low) or 1.0
    step = _step(reach, kind)
    bottom, top = floor(low / step + 1e-9), max(ceil(high / step - 1e-9), floor(low / step + 1e-9) + 1)
    values = (step * each for each in range(bottom, top + 1))
    return _axis(title, kind, lambda given: (given / step - bottom) / (top - bottom), values)


def chosen(title: str, values: Sequence[float], texts: Sequence[str]) -> Axis:
    """Ticks at values themselves, each with its text; in equal ratios where the largest is eight times the least.

    `values` ascend; of many only some have a tick. A single one stands in the middle.
    """
    low, high = values[0], values[-1]
    ratios = low > 0 and high >= 8 * low

    def place(given: Floats) -> Floats:
        if high == low:
            return np.full(given.shape, 0.5)
        shares = np.log(np.maximum(given, low) / low) / np.log(high / low) if ratios else (given - low) / (high - low)
        return np.minimum(np.maximum(shares, 0.0), 1.0)

    apart, ticks = _APART[len(values) > _FEW], list[tuple[float, str]]()
    for share, text in zip(place(np.array(values, dtype=np.float64)).tolist(), texts, strict=True):
        if not ticks or share - ticks[-1][0] >= apart:
            ticks.append((share, text))
    return Axis(title=title, place=place, ticks=tuple(ticks))


def tail(title: str, most: float) -> Axis:
    """Shares of requests, stretched towards 1: x = -log10(1 - share), up to the share `most` < 1."""
    end = -log10(1.0 - most)

    def place(given: Floats) -> Floats:
        return -np.log10(np.maximum(1.0 - given, (1.0 - most))) / end

    shares = [0.0, 0.5, *(1.0 - 10.0**-power for power in range(1, floor(end + 1e-9) + 1))]
    return _axis(title, "share", place, [share for share in shares if share <= most + 1e-12])


def _axis(title: str, kind: Kind, place: Callable[[Floats], Floats], values: Iterable[float]) -> Axis:
    def clipped(given: Floats) -> Floats:
        return np.clip(place(given), 0.0, 1.0)

    written = [float(f"{value:.10g}") for value in values]
    places = clipped(np.array(written)).tolist()
    return Axis(
        title=title,
        place=clipped,
        ticks=tuple((share, tick(value, kind)) for share, value in zip(places, written, strict=True)),
    )


def _step(high: float, kind: Kind) -> float:
    """About five of it make `high`."""
    rough = high / 5
    if kind == "size":
        return float(2.0 ** ceil(log2(rough)))
    power = floor(log10(rough))
    factor = next(factor for factor in (1, 2, 5, 10) if factor >= rough / 10.0**power - 1e-9)
    return float(f"{factor}e{power}")
