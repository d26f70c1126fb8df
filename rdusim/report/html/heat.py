"""Heat maps as inline SVG: rows over time, a level of lightness for every cell; equal neighbours are one shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from rdusim.report.html.axes import Axis
from rdusim.report.html.charts import LEFT, RIGHT, WIDTH, Chart, svg, time_ticks
from rdusim.report.html.style import LEVELS
from rdusim.report.html.text import apart, place, plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

Scale = Sequence[tuple[int, str]]  # levels, and what they mean
_ROW: Final = 15
_NAME: Final = 70  # more room for names than other charts have for numbers
_LETTERS: Final = 18


def heat_map(chart: Chart, x: Axis, rows: Sequence[str], levels: Ints, scale: Scale) -> str:
    """`levels` by (row, time) from -1, nothing, to LEVELS - 1; the times are equal parts of the axis.

    `scale`: what each level means.
    """
    top, high = 26, _ROW * len(rows)
    inside = [*_scale(scale), f'<g transform="translate({LEFT + _NAME} {top})">']
    wide = (WIDTH - LEFT - _NAME - RIGHT) / max(levels.shape[1], 1)
    inside += [f'<path class="f{level}" d="{shape}"/>' for level, shape in _shapes(levels, wide)]
    inside.append("</g>")
    inside += [
        f'<text class="e" x="{LEFT + _NAME - 6}" y="{y}">{plain(name)}</text>'
        for y, name in zip(range(top + _ROW - 4, top + high + _ROW, _ROW), apart(rows, _LETTERS), strict=False)
    ]
    inside.append(f'<path class="x" d="M{LEFT + _NAME} {top + high}H{WIDTH - RIGHT}"/>')
    inside += time_ticks(x, top + high, left=LEFT + _NAME)
    return svg(chart, top + high + 46, inside)


def even_levels(shares: Floats) -> tuple[Ints, Scale]:
    """Shares 0..1 in even steps, and what each step means. -1: nothing at all."""
    levels = np.clip(np.ceil(shares * LEVELS - 1e-9).astype(np.int64), 0, LEVELS) - 1
    levels[(shares > 0) & (levels < 0)] = 0
    edges = [f"{100 * edge / LEVELS:.0f}" for edge in range(LEVELS + 1)]
    return levels, tuple((level, f"to {edge}%") for level, edge in enumerate(edges[1:]))


def count_levels(counts: Ints) -> tuple[Ints, Scale]:
    """Whole numbers in steps of equal ratio up to the largest, for few cells hold most; -1: none."""
    most = int(counts.max(initial=0))
    tops = sorted({max(round(most ** (step / LEVELS)), 1) for step in range(1, LEVELS + 1)})
    spread = [step * (LEVELS - 1) // max(len(tops) - 1, 1) for step in range(len(tops))]  # few steps, far apart
    names = [
        f"{top:,}" if top == low + 1 else f"{low + 1:,}-{top:,}" for low, top in zip([0, *tops], tops, strict=False)
    ]
    levels = np.array(spread, dtype=np.int64)[np.searchsorted(np.array(tops), counts, side="left")]
    return np.where(counts > 0, levels, -1), tuple(zip(spread, names, strict=True))


def _shapes(levels: Ints, wide: float) -> list[tuple[int, str]]:
    """By level, one path of all its cells; a run of equal cells in a row is one rectangle."""
    found: dict[int, list[str]] = {}
    for row, cells in enumerate(levels):
        starts = np.flatnonzero(np.diff(cells, prepend=-2))
        ends = [*starts[1:].tolist(), len(cells)]
        for start, end in zip(starts.tolist(), ends, strict=True):
            if (level := int(cells[start])) >= 0:
                left, right = place(start * wide), place(end * wide)
                found.setdefault(level, []).append(f"M{left} {row * _ROW}H{right}v{_ROW - 1}H{left}z")
    return [(level, "".join(found[level])) for level in sorted(found)]


def _scale(names: Scale) -> list[str]:
    parts, at = [], float(LEFT + _NAME)
    for level, name in names:
        parts.append(f'<rect class="f{level}" x="{place(at)}" y="4" width="18" height="12"/>')
        parts.append(f'<text class="q" x="{place(at + 22)}" y="14">{plain(name)}</text>')
        at += 34 + 7.2 * len(name)
    return parts
