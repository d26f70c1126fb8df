"""A grid of cells over two axes of choices: lightness by value, the value written in it, the best one ringed."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING, Final

import numpy as np

from rdusim.report.html.charts import LEFT, RIGHT, WIDTH, Chart, svg
from rdusim.report.html.text import apart, place, plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_ROW: Final = 30
_NAME: Final = 50
_WIDEST: Final = 130  # of a cell
_SMALL: Final = 70
_TOP: Final = 30
CELLS: Final = (0, 1, 2, 4, 5)  # levels of lightness: neither black nor white can be read on the one in the middle


def grid(
    chart: Chart,
    columns: Sequence[str],
    rows: Sequence[str],
    values: Floats,
    texts: Sequence[Sequence[str]],
    titles: tuple[str, str],
    best: tuple[int, int] | None = None,
    *,
    ends: tuple[float, float] | None = None,
    small: bool = False,
) -> str:
    """`values` by (row, column), NaN where there is none; `texts` say them; `titles` of columns and of rows.

    `ends`: smallest and largest value that the steps of lightness are for, if not those of `values`. `small`: one of
    several beside each other, no wider than its cells need.
    """
    left = LEFT + _NAME
    wide = min(_SMALL if small else _WIDEST, (WIDTH - left - RIGHT) / max(len(columns), 1))
    high = _ROW * len(rows)
    most = max(int(wide / 6.3), 3)
    inside = [f'<text class="q" x="{left}" y="12">{plain(titles[0])}</text>']
    inside += [
        f'<text class="m s" x="{place(left + wide * (at + 0.5))}" y="{_TOP - 5}">{plain(name)}</text>'
        for at, name in enumerate(apart(columns, most))
    ]
    inside += [
        f'<text class="e s" x="{left - 6}" y="{place(_TOP + _ROW * (at + 0.5) + 4)}">{plain(name)}</text>'
        for at, name in enumerate(apart(rows, 17))
    ]
    levels = _levels(values, ends)
    for row, cells in enumerate(levels.tolist()):
        for column, level in enumerate(cells):
            at, down = left + wide * column, _TOP + _ROW * row
            box = f'x="{place(at + 1)}" y="{down + 1}" width="{place(wide - 2)}" height="{_ROW - 2}"'
            inside.append(f'<rect class="{f"f{level}" if level >= 0 else "none"}" {box}/>')
            middle = f'x="{place(at + wide / 2)}" y="{down + _ROW / 2 + 4:g}"'
            inside.append(f'<text class="m s {_ink(level)}" {middle}>{plain(texts[row][column])}</text>')
    if best is not None:
        at, down = left + wide * best[1], _TOP + _ROW * best[0]
        box = f'x="{place(at + 1)}" y="{down + 1}" width="{place(wide - 2)}" height="{_ROW - 2}"'
        inside.append(f'<rect class="best" {box}/>')
        box = f'x="{place(at + 4)}" y="{down + 4}" width="{place(wide - 8)}" height="{_ROW - 8}"'
        inside.append(f'<rect class="best inner" {box}/>')  # to be seen on dark cells too
    middle = place(_TOP + high / 2)
    inside.append(f'<text class="q m" transform="translate(13 {middle}) rotate(-90)">{plain(titles[1])}</text>')
    width = round(left + wide * len(columns) + RIGHT) if small else WIDTH
    drawn = svg(chart, max(_TOP + high + 8, 6.6 * len(titles[1]) + 20), inside, width=width)
    return drawn.replace('<svg class="chart"', f'<svg class="chart small" width="{width}"', 1) if small else drawn


def _ink(level: int) -> str:
    """Text on light cells and on dark ones; which ones are dark is turned round on a dark page."""
    return "on-low" if 0 <= level <= CELLS[2] else "on-high" if level >= 0 else ""


def _levels(values: Floats, ends: tuple[float, float] | None) -> NDArray[np.int64]:
    """Even steps of the value, or of its logarithm where the largest is more than ten times the smallest."""
    known = values[np.isfinite(values)]
    if not len(known):
        return np.full(values.shape, -1)
    low, high = ends or (float(known.min()), float(known.max()))
    if low > 0 and high > 10 * low:
        values, low, high = np.log(np.where(values > 0, values, np.nan)), float(np.log(low)), float(np.log(high))
    if not isfinite(high - low) or high == low:
        return np.where(np.isfinite(values), 0, -1)
    scaled = np.nan_to_num((values - low) / (high - low), nan=-1.0)
    steps = np.array(CELLS)
    return np.where(scaled >= 0, steps[np.clip((scaled * len(steps)).astype(np.int64), 0, len(steps) - 1)], -1)
