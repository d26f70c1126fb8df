"""Bounded least squares of a few parameters, and how well the data determine each of them.

Numbers only: what a model predicts is a function from the parameters' logarithms to residuals, each in units of the
uncertainty of its target. The misfit is the sum of their squares, so a rise by 1 is one standard deviation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rdusim.errors import OptionError, Problem

Vector = NDArray[np.float64]
Residuals = Callable[[Vector], Vector]  # of the logarithms of the parameters

RISE: Final = 1.0  # of the misfit up to which a value is as good as the best
_STEP: Final = 1e-4  # of a derivative, in the logarithm; what is predicted has corners, but no steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounded:
    """A parameter between its bounds, in its own unit; all three are positive. `start`: its present value."""

    name: str
    low: float
    high: float
    start: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """The values with the least misfit."""

    values: tuple[float, ...]
    misfit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Direction:
    """A combination of the parameters: the change of each one's logarithm, of length 1.

    `spread`: how far one may go along it, as a factor, until the misfit rises by 1 (a straight line taken for the
    model). Infinite: nothing changes along it.
    """

    parts: tuple[float, ...]
    spread: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Of one parameter: fixed on a grid, the least misfit there with all the others free, and their values."""

    at: int
    points: tuple[tuple[float, Fit], ...]

    def interval(self, best: float) -> tuple[float, float]:
        """Values of the grid between which the misfit rises by at most RISE over `best`, to the point before it does.

        Straight lines between points of the grid.
        """
        grid = [(value, fit.misfit - best - RISE) for value, fit in self.points]
        inside = [index for index, (_, above) in enumerate(grid) if above <= 0.0]
        if not inside:
            least = min(grid, key=lambda point: point[1])[0]
            return least, least
        return _edge(grid, inside[0], -1), _edge(grid, inside[-1], +1)


def _edge(grid: Sequence[tuple[float, float]], index: int, way: int) -> float:
    """Where the line from a point inside to its neighbour outside crosses 0; the bound, if there is none."""
    if not 0 <= index + way < len(grid):
        return grid[index][0]
    (value, above), (beyond, over) = grid[index], grid[index + way]
    return value + (beyond - value) * (-above / (over - above))


def fit(residuals: Residuals, parameters: Sequence[Bounded]) -> Fit:
    """The least misfit within the bounds, from the present values and from every corner of the inner half."""
    starts = [tuple(parameter.start for parameter in parameters), *_corners(parameters)]
    found = [_descend(residuals, parameters, start, {}) for start in starts]
    return min(found, key=lambda each: each.misfit)


def _corners(parameters: Sequence[Bounded]) -> list[tuple[float, ...]]:
    """One and two thirds of the way between the bounds, all low, all high, and each alone low or high."""
    thirds = [
        (
            parameter.low ** (2 / 3) * parameter.high ** (1 / 3),
            parameter.low ** (1 / 3) * parameter.high ** (2 / 3),
        )
        for parameter in parameters
    ]
    if len(parameters) <= 3:
        return list(product(*thirds))
    low, high = tuple(pair[0] for pair in thirds), tuple(pair[1] for pair in thirds)
    alone = [(*low[:at], high[at], *low[at + 1 :]) for at in range(len(thirds))]
    others = [(*high[:at], low[at], *high[at + 1 :]) for at in range(len(thirds))]
    return [low, high, *alone, *others]


def profile(residuals: Residuals, parameters: Sequence[Bounded], best: Fit, at: int, points: int) -> Profile:
    """The misfit over one parameter, the others fitted anew at each of `points` values from bound to bound.

    Each fit starts at the best fit and at its neighbour's on the grid, from the best value outwards both ways.
    """
    parameter = parameters[at]
    grid = sorted({*np.geomspace(parameter.low, parameter.high, points).tolist(), best.values[at], parameter.start})
    middle = grid.index(best.values[at])
    found: dict[float, Fit] = {best.values[at]: best}
    for values in (grid[middle + 1 :], grid[:middle][::-1]):
        before = best
        for value in values:
            tried = [_descend(residuals, parameters, start.values, {at: value}) for start in (before, best)]
            found[value] = before = min(tried, key=lambda each: each.misfit)
    return Profile(at=at, points=tuple((value, found[value]) for value in grid))


def directions(residuals: Residuals, values: Sequence[float]) -> tuple[Direction, ...]:
    """Which combinations the data determine, the best first: the singular vectors of the derivatives at `values`."""
    at = np.log(np.array(values, dtype=np.float64))
    steps = np.eye(len(at)) * _STEP
    slopes = np.stack([(residuals(at + step) - residuals(at - step)) / (2 * _STEP) for step in steps], axis=1)
    _, sizes, rows = np.linalg.svd(slopes, full_matrices=True)
    sizes = np.concatenate([sizes, np.zeros(len(rows) - len(sizes))])
    return tuple(
        Direction(
            parts=tuple(_signed(row).tolist()), spread=float(np.exp(min(1 / size, 700.0))) if size > 0 else np.inf
        )
        for size, row in zip(sizes, rows, strict=True)
    )


def _signed(row: Vector) -> Vector:
    """The largest part is positive: the sign of a direction means nothing, and libraries differ in it."""
    return row if row[int(np.argmax(np.abs(row)))] > 0 else -row


def _descend(
    residuals: Residuals, parameters: Sequence[Bounded], start: Sequence[float], fixed: dict[int, float]
) -> Fit:
    """One search, with the parameters `fixed` where they are."""
    least_squares = _least_squares()
    free = [at for at in range(len(parameters)) if at not in fixed]
    whole = np.log(np.array([fixed.get(at, value) for at, value in enumerate(start)], dtype=np.float64))
    low = np.log([parameters[at].low for at in free])
    high = np.log([parameters[at].high for at in free])

    def with_free(found: Vector) -> Vector:
        full = whole.copy()
        full[free] = found
        return residuals(full)

    inner = np.clip(whole[free], low + 1e-6 * (high - low), high - 1e-6 * (high - low))
    found = least_squares(with_free, inner, bounds=(low, high), method="trf", diff_step=_STEP, max_nfev=60)
    whole[free] = found.x
    return Fit(values=tuple(np.exp(whole).tolist()), misfit=float(2 * found.cost))


def _least_squares() -> Callable[..., Any]:
    try:
        from scipy.optimize import least_squares
    except ImportError:
        message, hint = "scipy is not installed", "pip install 'rdusim[calibrate]'"
        raise OptionError(Problem(field="calibration", message=message, hint=hint)) from None
    found: Callable[..., Any] = least_squares
    return found
