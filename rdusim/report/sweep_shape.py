"""The points of a sweep along their axes: which vary, whether every combination is there, how numbers are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, prod
from typing import TYPE_CHECKING, Final

import numpy as np

from rdusim.report.html.text import NOTHING, plain
from rdusim.report.html.text import number as shown
from rdusim.report.sweep import Scalar, SweepResult
from rdusim.units import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FIRST: Final = "latency.total_seconds"  # what is drawn where no objective is named


@dataclass(frozen=True, slots=True, kw_only=True)
class Varied:
    """An axis with more than one value. `values`: numbers ascending, or places of names; `index`: of each point."""

    path: str
    texts: tuple[str, ...]
    values: tuple[float, ...]
    index: tuple[int, ...]
    numeric: bool


def varied(result: SweepResult) -> tuple[Varied, ...]:
    """Axes that vary, those of numbers with most values first."""
    found = [each for axis in result.axes if len((each := _varied(result, axis.path)).values) > 1]
    return tuple(sorted(found, key=lambda each: (not each.numeric, -len(each.values))))


def _varied(result: SweepResult, path: str) -> Varied:
    points, texts = result.points[path], result.texts[path]
    written = dict(zip(points, texts, strict=True))
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in written)
    order: list[Scalar] = sorted(written, key=float) if numeric else list(written)
    places = {value: at for at, value in enumerate(order)}
    return Varied(
        path=path,
        texts=tuple(written[value] for value in order),
        values=tuple(float(value) for value in order) if numeric else tuple(map(float, range(len(order)))),
        index=tuple(places[value] for value in points),
        numeric=numeric,
    )


def is_grid(result: SweepResult, axes: Sequence[Varied]) -> bool:
    """Whether every combination of values is there, once."""
    combined = set(zip(*(axis.index for axis in axes), strict=True)) if axes else set()
    return prod(len(axis.values) for axis in axes) == len(combined) == len(result)


def numbers(result: SweepResult, name: str) -> Floats:
    """A column, NaN where a point has no number."""
    return np.array(
        [
            float(value) if isinstance(value, int | float) and not isinstance(value, bool) else np.nan
            for value in result.column(name)
        ]
    )


def kind_of(result: SweepResult, name: str) -> Kind:
    """How the numbers of a column are written: an axis by its dimension, a metric by the words of its name."""
    for axis in result.axes:
        if axis.path == name:
            return axis.dimension or "count"
    words = name.split(".")
    if any(word.endswith("seconds") for word in words):
        return "time"
    if any(word.endswith("bytes_per_second") for word in words):
        return "bandwidth"
    if any(word.endswith("bytes") for word in words):
        return "size"
    if any(word.endswith("flops_per_second") for word in words):
        return "flops"
    if words[-1] == "flops":
        return "flop"
    if any(word.endswith(("utilization", "share", "busy", "configured")) for word in words):
        return "share"
    return "count"


def said(value: float | None, kind: Kind) -> str:
    """As in tables: plain numbers with four digits."""
    if value is None or not isfinite(value):
        return NOTHING
    if kind == "count":
        return f"{value:,.0f}" if value == round(value) or 1e3 <= abs(value) < 1e12 else f"{value:,.4g}"
    return shown(value, kind)


def cell(result: SweepResult, name: str, value: Scalar | None) -> str:
    """A value of a column as HTML."""
    if value is None:
        return NOTHING
    if isinstance(value, bool | str):
        return plain(value)
    return plain(said(float(value), kind_of(result, name)))


def where(result: SweepResult, point: int, axes: Sequence[Varied]) -> str:
    """The values of a point, as written."""
    return ", ".join(f"{axis.path} {result.texts[axis.path][point]}" for axis in axes)
