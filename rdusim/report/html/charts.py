"""Charts as inline SVG: lines, stacked bars and areas; a title and a description for those who do not see them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from rdusim.report.html.axes import Axis
from rdusim.report.html.style import DASHES
from rdusim.report.html.text import place, plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

WIDTH: Final = 720
LEFT: Final = 76
RIGHT: Final = 16
_TOP: Final = 30  # room for the legend
PLOT: Final = 230
BELOW: Final = 46
LETTER: Final = 7.2  # mean width, px; a legend too wide goes on in a second line


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Points of equal number; NaN in `y` is a gap. `steps`: y holds from its x to the next."""

    name: str
    x: Floats
    y: Floats
    steps: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A value that should not be passed, drawn across the chart: on x, or on y."""

    name: str
    value: float
    on_x: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What every chart says about itself. `key`: a word that no other chart of the page has."""

    key: str
    title: str
    description: str


def line_chart(
    chart: Chart, x: Axis, y: Axis, lines: Sequence[Line], limits: Sequence[Limit] = (), *, plot: int = PLOT
) -> str:
    """Lines by colour and by dashes, in the order given."""
    named, top = legend([line.name for line in lines], filled=False)
    drawn = [
        f'<path class="l c{number}" {dashes_of(number)}d="{_path(line, x, y, top, plot)}"/>'
        for number, line in enumerate(lines, start=1)
    ]
    return svg(chart, top + plot + BELOW, [*frame(x, y, top, plot), *_limits(limits, x, y, top, plot), *drawn, named])


def stacked_bars(
    chart: Chart, names: Sequence[str], y: Axis, labels: Sequence[str], values: Floats, title: str, says: Sequence[str]
) -> str:
    """Bars beside each other, `values` by (bar, name) on each other. `labels` below, `says`: a bar's text on top."""
    named, top = legend(names, filled=True)
    top += 16  # the texts on top of the bars
    wide = (WIDTH - LEFT - RIGHT) / max(len(labels), 1)
    none = Axis(title=title, place=lambda given: given, ticks=())
    drawn = [*frame(none, y, top, PLOT), *_bars(y, values, top, wide)]
    every = max(round(len(labels) / 12), 1)
    for number in range(0, len(labels), every):
        middle = place(LEFT + (number + 0.5) * wide)
        drawn.append(f'<text class="q m s" x="{middle}" y="{top + PLOT + 16}">{plain(labels[number])}</text>')
        drawn.append(f'<text class="q m s" x="{middle}" y="{top - 5}">{plain(says[number])}</text>' if says else "")
    return svg(chart, top + PLOT + BELOW, [*drawn, named])


def stacked_areas(chart: Chart, x: Axis, y: Axis, lines: Sequence[Line], limits: Sequence[Limit] = ()) -> str:
    """Steps on each other; the x of all lines are the same, the last is where the last step ends."""
    named, top = legend([line.name for line in lines], filled=True)
    below = np.zeros(len(lines[0].x) - 1)
    drawn = []
    for number, line in enumerate(lines, start=1):
        above = below + line.y[:-1]
        across = _pixels_x(x, np.repeat(line.x, 2)[1:-1])
        up = _pixels_y(y, np.repeat(above, 2), top, PLOT)
        down = _pixels_y(y, np.repeat(below, 2), top, PLOT)
        points = "L".join(_points(across, up) + _points(across, down)[::-1])
        drawn.append(f'<path {fill_of(number)} d="M{points}z"/>')
        below = above
    return svg(chart, top + PLOT + BELOW, [*drawn, *frame(x, y, top, PLOT), *_limits(limits, x, y, top, PLOT), named])


def svg(chart: Chart, height: float, inside: Sequence[str], *, width: int = WIDTH) -> str:
    """The drawing with its title and description. No namespace: HTML knows what an svg element is."""
    body = "\n".join(each for each in inside if each)
    return (
        f'<svg class="chart" viewBox="0 0 {width} {place(height)}" role="img" '
        f'aria-labelledby="{chart.key}-t {chart.key}-d">\n<title id="{chart.key}-t">{plain(chart.title)}</title>'
        f'<desc id="{chart.key}-d">{plain(chart.description)}</desc>\n{body}\n</svg>'
    )


def time_ticks(x: Axis, top: float, left: int = LEFT, right: int = RIGHT) -> Iterator[str]:
    """Texts below a horizontal axis whose line is at `top`, between `left` and `right` px from the edges; its title."""
    last = -WIDTH
    for share, text in x.ticks:
        at = left + share * (WIDTH - left - right)
        yield f'<path class="x" d="M{place(at)} {place(top)}v5"/>'
        if at - last < LETTER * (len(text) + 1):
            continue  # no room for its text
        last = round(at)
        anchor = "e" if at > WIDTH - right - 4 * len(text) else "m"
        yield f'<text class="q {anchor}" x="{place(at)}" y="{place(top + 17)}">{plain(text)}</text>'
    middle = place((left + WIDTH - right) / 2)
    yield f'<text class="q m" x="{middle}" y="{place(top + 36)}">{plain(x.title)}</text>'


def frame(x: Axis, y: Axis, top: float, plot: int) -> Iterator[str]:
    right = WIDTH - RIGHT
    for share, text in y.ticks:
        at = place(top + plot * (1 - share))
        yield f'<path class="g" d="M{LEFT} {at}H{right}"/>'
        yield f'<text class="q e" x="{LEFT - 6}" y="{place(float(at) + 4)}">{plain(text)}</text>'
    yield f'<path class="x" d="M{LEFT} {place(top + plot)}H{right}"/>'
    yield from time_ticks(x, top + plot)
    middle = place(top + plot / 2)
    yield f'<text class="q m" transform="translate(13 {middle}) rotate(-90)">{plain(y.title)}</text>'


def _limits(limits: Sequence[Limit], x: Axis, y: Axis, top: float, plot: int) -> Iterator[str]:
    for number, limit in enumerate(limits):
        value = np.array([limit.value])
        if limit.on_x:
            at = float(_pixels_x(x, value)[0])
            yield f'<path class="lim" d="M{place(at)} {top}V{top + plot}"/>'
            side, shift = ("e", -4) if at > WIDTH / 2 else ("", 4)
            spot = f'x="{place(at + shift)}" y="{top + 14 + 15 * number}"'
            yield f'<text class="h {side}" {spot}>{plain(limit.name)}</text>'
        else:
            at = float(_pixels_y(y, value, top, plot)[0])
            yield f'<path class="lim" d="M{LEFT} {place(at)}H{WIDTH - RIGHT}"/>'
            beside = at - 4 if at > top + 16 else at + 14
            yield f'<text class="h" x="{LEFT + 4}" y="{place(beside)}">{plain(limit.name)}</text>'


def _bars(y: Axis, values: Floats, top: float, wide: float) -> Iterator[str]:
    """One shape for each name: hundreds of hatched shapes would make a printed page megabytes."""
    gap = min(wide * 0.15, 6)
    heights = np.nan_to_num(values).cumsum(axis=1)  # a bar of NaN has no height
    ends = _pixels_y(y, np.column_stack((np.zeros(len(values)), heights)), top, PLOT)
    for number in range(1, ends.shape[1]):
        shapes = [
            f"M{place(left)} {place(low)}V{place(high)}h{place(wide - gap)}V{place(low)}z"
            for left, low, high in zip(
                (LEFT + gap / 2 + wide * np.arange(len(ends))).tolist(),
                ends[:, number - 1].tolist(),
                ends[:, number].tolist(),
                strict=True,
            )
            if low - high >= 0.05
        ]
        if shapes:
            yield f'<path class="b" {fill_of(number)} d="' + "".join(shapes) + '"/>'


def legend(names: Sequence[str], *, filled: bool) -> tuple[str, int]:
    """The names with their colours in lines across the chart, and where the chart begins below them."""
    parts, at, top = [], float(LEFT), 14
    for number, name in enumerate(names, start=1):
        width = 34 + LETTER * len(name) + 16
        if at + width > WIDTH and at > LEFT:
            at, top = float(LEFT), top + 19
        if filled:
            parts.append(f'<rect {fill_of(number)} x="{place(at)}" y="{top - 10}" width="26" height="12"/>')
        else:
            parts.append(f'<path class="l c{number}" {dashes_of(number)}d="M{place(at)} {top - 4}h26"/>')
        parts.append(f'<text x="{place(at + 32)}" y="{top}">{plain(name)}</text>')
        at += width
    return "\n".join(parts), top + _TOP - 14


def fill_of(number: int) -> str:
    """By hatching; the first has none, and as a plain colour takes less room where a page is printed to a file."""
    return f'fill="url(#p{number})"' if number > 1 else 'style="fill:var(--s1)"'


def dashes_of(number: int) -> str:
    pattern = DASHES[number - 1]
    return f'stroke-dasharray="{pattern}" ' if pattern else ""


def _path(line: Line, x: Axis, y: Axis, top: float, plot: int) -> str:
    xs, ys = line.x, line.y
    if line.steps:
        xs, ys = np.repeat(xs, 2)[1:], np.repeat(ys, 2)[:-1]
    known = np.isfinite(ys)
    across, up = _pixels_x(x, xs), _pixels_y(y, np.where(known, ys, 0.0), top, plot)
    parts, pen = [], "M"
    for point, there in zip(_points(across, up), known.tolist(), strict=True):
        if there:
            parts.append(pen + point)
        pen = "L" if there else "M"
    return "".join(parts)


def _points(across: Floats, up: Floats) -> list[str]:
    return [f"{place(left)} {place(top)}" for left, top in zip(across.tolist(), up.tolist(), strict=True)]


def _pixels_x(x: Axis, values: Floats) -> Floats:
    return LEFT + x.place(values) * (WIDTH - LEFT - RIGHT)


def _pixels_y(y: Axis, values: Floats, top: float, plot: int) -> Floats:
    return top + plot * (1.0 - y.place(values))
