"""How wide each stage of a section is.

Balance the pipeline where tiles follow each other, shorten the chain where none do.

A section of T tiles takes about (T - 1) x the slowest stage + the sum of all stages. With work w and width p a stage
takes w / p, so the best widths are max(w / period, share x sqrt(w)): proportional to work to balance, to its root to
shorten. `rough` solves that in real numbers for the search; `exact` places whole PCUs, rounding as the units do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor

import numpy as np
from numpy.typing import NDArray

from rdusim.arch.types import Pcu
from rdusim.timing import pcu as pcu_timing
from rdusim.timing.work import SimdWork, Work

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a stage's width must respect. `cycles`: PCU-cycles of one tile; stages without PCU work have 0."""

    work: tuple[Work, ...]
    cycles: float
    least: int
    most: int


def demand(work: tuple[Work, ...], pcu: Pcu) -> Demand:
    """Work of a stage in PCU-cycles, and the widths between which it makes sense."""
    if not work:
        return Demand(work=(), cycles=0.0, least=0, most=0)
    (only,) = work
    least = pcu_timing.chain_length(only, pcu) if isinstance(only, SimdWork) else 1
    cycles = float(pcu_timing.least_cycles(only, pcu))
    return Demand(work=work, cycles=cycles, least=least, most=max(least, pcu_timing.widest(only, pcu)))


def rough(demands: Sequence[Demand], tiles: int, budget: float) -> Floats | None:
    """Real-valued widths within `budget` PCUs; None when even the least widths exceed it."""
    cycles = np.array([each.cycles for each in demands])
    least = np.array([each.least for each in demands], dtype=float)
    most = np.array([each.most for each in demands], dtype=float)
    if least.sum() > budget:
        return None
    if tiles == 1:
        return _spread(np.sqrt(cycles), least, most, budget)
    balanced = _spread(cycles, least, most, budget)
    if tiles > 16:
        return balanced
    best, best_time = balanced, _time(cycles, balanced, tiles)
    period = float(np.max(cycles / np.maximum(balanced, 1e-9), initial=0.0))
    if period == 0.0:
        return balanced
    for slack in (1.2, 1.5, 2.0, 4.0):
        floor_width = np.minimum(np.maximum(least, cycles / (period * slack)), most)
        if floor_width.sum() <= budget:
            widths = _spread(np.sqrt(cycles), floor_width, most, budget)
            if (time := _time(cycles, widths, tiles)) < best_time:
                best, best_time = widths, time
    return best


def exact(
    demands: Sequence[Demand], tiles: int, budget: int, pcu: Pcu, fits: Callable[[Sequence[int]], bool]
) -> list[int] | None:
    """Whole widths within `budget` for which `fits` holds (PMU bandwidth); None when the least widths do not fit."""
    best = _whole(demands, tiles, budget, pcu)
    if best is None or fits(best):
        return best
    low, high, best = 0.0, 1.0, None
    for _ in range(7):  # the share of the budget that the PMUs can serve
        share = (low + high) / 2
        widths = _whole(demands, tiles, floor(budget * share), pcu)
        if widths is not None and fits(widths):
            best, low = widths, share
        elif widths is None:
            low = share
        else:
            high = share
    return best


def _whole(demands: Sequence[Demand], tiles: int, budget: int, pcu: Pcu) -> list[int] | None:
    real = rough(demands, tiles, budget)
    if real is None:
        return None
    widths = [_useful(each, max(each.least, floor(width)), pcu) for each, width in zip(demands, real, strict=True)]
    left = budget - sum(widths)
    times = [_interval(each, width, pcu) for each, width in zip(demands, widths, strict=True)]
    wider = [_step(each, width, time, pcu) for each, width, time in zip(demands, widths, times, strict=True)]
    while True:  # spend what rounding left where it helps most
        period = max(times, default=0.0)
        choice, gain = -1, 0.0
        for index, (width, time) in enumerate(wider):
            extra = width - widths[index]
            if 0 < extra <= left:
                worth = (times[index] - time) / extra
                if tiles > 1 and times[index] >= period:
                    worth *= tiles
                if worth > gain:
                    choice, gain = index, worth
        if choice < 0:
            return widths
        left -= wider[choice][0] - widths[choice]
        widths[choice], times[choice] = wider[choice]
        wider[choice] = _step(demands[choice], widths[choice], times[choice], pcu)


def _interval(each: Demand, width: int, pcu: Pcu) -> float:
    return float(pcu_timing.interval(each.work[0], width, pcu)) if each.work else 0.0


def _useful(each: Demand, width: int, pcu: Pcu) -> int:
    """The least width as fast as `width`."""
    if not each.work or width <= each.least:
        return width
    time, low, high = _interval(each, width, pcu), each.least, width
    while low < high:
        middle = (low + high) // 2
        if _interval(each, middle, pcu) <= time:
            high = middle
        else:
            low = middle + 1
    return low


def _step(each: Demand, width: int, time: float, pcu: Pcu) -> tuple[int, float]:
    """The next width that is faster, and its time; the same width where there is none."""
    high = width + 1
    while high <= each.most and _interval(each, high, pcu) >= time:
        high = high + max(1, high // 16)
    if not each.work or high > each.most:
        return width, time
    found = _interval(each, high, pcu)
    return _useful(each, high, pcu), found


def _spread(weights: Floats, least: Floats, most: Floats, budget: float) -> Floats:
    """Widths proportional to weights, kept between least and most, that add up to the budget where they can.

    The sum is a rising, piecewise linear function of the factor: Newton steps reach its root in a few rounds.
    """
    total = float(weights.sum())
    if total <= 0.0 or float(most.sum()) <= budget:
        return most.copy() if total > 0.0 else least.copy()
    factor = budget / total
    for _ in range(12):
        wanted = weights * factor
        widths: Floats = np.minimum(np.maximum(wanted, least), most)
        excess = float(widths.sum()) - budget
        if abs(excess) <= 1e-6 * budget:
            break
        slope = float(weights[widths == wanted].sum())
        factor = max(0.0, factor - excess / slope) if slope > 0.0 else factor * (0.5 if excess > 0.0 else 2.0)
    if excess > 0.0:  # not quite there: take the rest from what stands above its least
        above = widths - least
        widths = least + above * max(0.0, 1.0 - excess / max(1e-12, float(above.sum())))
    return widths


def _time(cycles: Floats, widths: Floats, tiles: int) -> float:
    each = cycles / np.maximum(widths, 1e-9)
    return float((tiles - 1) * each.max(initial=0.0) + each.sum())
