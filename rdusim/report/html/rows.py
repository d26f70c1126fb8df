"""Bars that lie: a row for each thing, its parts behind each other by hatching, and what it says at its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from rdusim.report.html.axes import Axis
from rdusim.report.html.charts import LEFT, LETTER, RIGHT, WIDTH, Chart, fill_of, legend, svg, time_ticks
from rdusim.report.html.text import apart, paths, place, plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NAMES: Final = LEFT + 130  # px from the left to the bars
_ROW: Final = 26
_BAR: Final = 18
_PATHS: Final = 50  # px more where rows are paths of a machine
_SAID: Final = 84  # px at the right for what a row says
LETTERS: Final = 26


def stacked_rows(
    chart: Chart, names: Sequence[str], x: Axis, rows: Sequence[str], values: Floats, says: Sequence[str]
) -> str:
    """`values` by (row, name), behind each other in the order of the names."""
    named, top = legend(names, filled=True)
    high = _ROW * len(rows)
    ends = _across(x, np.column_stack((np.zeros(len(rows)), np.nan_to_num(values).cumsum(axis=1))))
    drawn = [*_grid(x, top, high)]
    for number in range(1, ends.shape[1]):
        if shapes := "".join(_bars(ends[:, number - 1 : number + 1], top)):
            drawn.append(f'<path class="b" {fill_of(number)} d="{shapes}"/>')
    drawn += _names(apart(rows, LETTERS), top)
    drawn += [
        f'<text class="q s" x="{place(float(ends[at, -1]) + 5)}" y="{_middle(at, top)}">{plain(said)}</text>'
        for at, said in enumerate(says)
    ]
    return svg(chart, top + high + 46, [*drawn, *_axis(x, top + high), named])


def swings(
    chart: Chart, names: tuple[str, str], x: Axis, rows: Sequence[str], pairs: Floats, says: Sequence[tuple[str, str]]
) -> str:
    """From a middle line at 0 to two values of each row, such as those of a parameter's two ends: a tornado.

    `x` holds both signs; `pairs` by (row, 2). `says` by row: beside the left end and beside the right one.
    """
    named, top = legend(names, filled=True)
    high = _ROW * len(rows)
    names_end = NAMES + _PATHS
    left_end = names_end + _SAID
    zero = float(_across(x, np.zeros(1), left_end)[0])
    at = _across(x, pairs, left_end)
    apart = bool((pairs[:, 0] * pairs[:, 1] <= 0).all())  # else one bar would lie over the other
    drawn = [*_grid(x, top, high, left_end)]
    for number in (1, 2):
        ends = np.sort(np.column_stack((np.full(len(rows), zero), at[:, number - 1])), axis=1)
        shift = 0 if number == 1 or apart else _BAR // 2
        if shapes := "".join(_bars(ends, top, shift=shift, high=_BAR if apart else _BAR // 2)):
            drawn.append(f'<path class="b" {fill_of(number)} d="{shapes}"/>')
    drawn += _names(paths(rows, LETTERS + int(_PATHS / LETTER)), top, names_end)
    for row, (left, right) in enumerate(says):
        low, up = min(zero, float(at[row].min())), max(zero, float(at[row].max()))
        drawn.append(f'<text class="q s e" x="{place(low - 5)}" y="{_middle(row, top)}">{plain(left)}</text>')
        drawn.append(f'<text class="q s" x="{place(up + 5)}" y="{_middle(row, top)}">{plain(right)}</text>')
    drawn.append(f'<path class="x" d="M{place(zero)} {top}v{high}"/>')
    return svg(chart, top + high + 46, [*drawn, *_axis(x, top + high, left_end), named])


def _across(x: Axis, values: Floats, left: int = NAMES) -> Floats:
    return left + x.place(values) * (WIDTH - left - RIGHT - _SAID)


def _middle(row: int, top: float) -> str:
    return place(top + _ROW * row + _ROW / 2 + 4)


def _bars(ends: Floats, top: float, *, shift: int = 0, high: int = _BAR) -> list[str]:
    return [
        f"M{place(left)} {place(top + _ROW * row + (_ROW - _BAR) / 2 + shift)}H{place(right)}v{high}H{place(left)}z"
        for row, (left, right) in enumerate(ends.tolist())
        if right - left >= 0.05
    ]


def _names(rows: Sequence[str], top: float, end: int = NAMES) -> list[str]:
    return [
        f'<text class="e" x="{end - 6}" y="{_middle(at, top)}">{plain(name)}</text>' for at, name in enumerate(rows)
    ]


def _grid(x: Axis, top: float, high: float, left: int = NAMES) -> list[str]:
    wide = WIDTH - left - RIGHT - _SAID
    return [f'<path class="g" d="M{place(left + share * wide)} {top}v{high}"/>' for share, _ in x.ticks]


def _axis(x: Axis, top: float, left: int = NAMES) -> list[str]:
    """As under every chart, but it ends before what the rows say."""
    return list(time_ticks(x, top, left=left, right=RIGHT + _SAID))
