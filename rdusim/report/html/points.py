"""Points that one can go to: told apart by shape and colour, and each says its numbers to a pointer and to Tab."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from rdusim.report.html.axes import Axis
from rdusim.report.html.charts import BELOW, LEFT, LETTER, RIGHT, WIDTH, Chart, dashes_of, frame
from rdusim.report.html.text import place, plain, shorten

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PLOT: Final = 340
_LINE: Final = 17  # of what a point says
_SMALL: Final = 6.1  # mean width of a letter of a label, px
_HIGH: Final = 13
_NAME: Final = 26  # letters of a label
_STEPS: Final = 4096  # in which a roof is followed from end to end
_HINT: Final = "Point at one, or go to it by Tab: its numbers then stand here."

# Shapes of radius 1 around the origin, as many as there are colours: known without their colour.
_SHAPES: Final[tuple[tuple[tuple[float, float], ...], ...]] = (
    (),  # a circle
    ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    ((0, -1.15), (1.1, 0.85), (-1.1, 0.85)),
    ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)),
    ((0, 1.15), (1.1, -0.85), (-1.1, -0.85)),
    ((-1, -0.35), (-0.35, -0.35), (-0.35, -1), (0.35, -1), (0.35, -0.35), (1, -0.35), (1, 0.35), (0.35, 0.35),
     (0.35, 1), (-0.35, 1), (-0.35, 0.35), (-1, 0.35)),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """`kind`: number of its colour and shape, from 1. `label` stands beside it, if any; `says`: lines for who asks."""

    kind: int
    x: float
    y: float
    says: tuple[str, ...]
    label: str = ""
    radius: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide:
    """A line through the chart. `kind` as of points; 0 for one in the colour of text. Drawn by dashes too.

    `roof`: straight where both axes are logarithmic, and may begin and end outside of the chart, which cuts it off.
    """

    name: str
    kind: int
    x: tuple[float, ...]
    y: tuple[float, ...]
    roof: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """Points below all others that say nothing, as many as there may be; those at one place are drawn once."""

    name: str
    x: Floats
    y: Floats


def scatter(
    chart: Chart,
    x: Axis,
    y: Axis,
    kinds: Sequence[str],
    points: Sequence[Point],
    guides: Sequence[Guide] = (),
    *,
    cloud: Cloud | None = None,
    plot: int = PLOT,
) -> str:
    """`kinds`: what each kind of point is, for the legend. Larger points lie below smaller ones.

    A kind without a name has no place in the legend.

    The drawing is a group, not an image, for its points are things of their own that a screen reader shall meet.
    """
    named, top = _legend(kinds, guides, cloud)
    spots = [_spot(point, x, y, top, plot) for point in points]
    order = sorted(range(len(points)), key=lambda at: -points[at].radius)
    below = top + plot + BELOW
    lines = max((len(point.says) for point in points), default=0)
    inside = [
        *frame(x, y, top, plot),
        *(_guide(guide, x, y, top, plot) for guide in guides),
        _cloud(cloud, x, y, top, plot) if cloud is not None else "",
        '<g class="pts">',
        *(_point(points[at], *spots[at], below) for at in order),
        "</g>",
        *_labels(points, spots, top, plot),
        f'<text class="q hint" x="{LEFT}" y="{place(below + 6)}">{plain(_HINT)}</text>',
        *named,
    ]
    body = "\n".join(inside)
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {place(below + _LINE * lines)}" role="group" '
        f'aria-labelledby="{chart.key}-t {chart.key}-d">\n<title id="{chart.key}-t">{plain(chart.title)}</title>'
        f'<desc id="{chart.key}-d">{plain(chart.description)}</desc>\n{body}\n</svg>'
    )


def marker(kind: int, x: float, y: float, radius: float, more: str = "") -> str:
    """The shape and colour of a kind."""
    shape = _SHAPES[(kind - 1) % len(_SHAPES)]
    if not shape:
        return f'<circle class="k{kind}{more}" cx="{place(x)}" cy="{place(y)}" r="{place(radius)}"/>'
    drawn = "L".join(f"{place(x + radius * across)} {place(y + radius * down)}" for across, down in shape)
    return f'<path class="k{kind}{more}" d="M{drawn}z"/>'


def _spot(point: Point, x: Axis, y: Axis, top: float, plot: int) -> tuple[float, float]:
    across = float(x.place(np.array([point.x]))[0])
    up = float(y.place(np.array([point.y]))[0])
    return LEFT + across * (WIDTH - LEFT - RIGHT), top + plot * (1.0 - up)


def _point(point: Point, across: float, down: float, below: float) -> str:
    said = "; ".join(point.says)
    told = "".join(
        f'<text x="{LEFT}" y="{place(below + _LINE * number + 6)}">{plain(line)}</text>'
        for number, line in enumerate(point.says)
    )
    ring = f'<circle class="ring" cx="{place(across)}" cy="{place(down)}" r="{place(point.radius + 4)}"/>'
    shape = marker(point.kind, across, down, point.radius, " mark")
    return (
        f'<g class="pt" tabindex="0" role="img" aria-label="{plain(said)}">{ring}{shape}<g class="says">{told}</g></g>'
    )


def _cloud(cloud: Cloud, x: Axis, y: Axis, top: float, plot: int) -> str:
    across = np.rint(LEFT + x.place(cloud.x) * (WIDTH - LEFT - RIGHT)).astype(np.int64)
    down = np.rint(top + plot * (1.0 - y.place(cloud.y))).astype(np.int64)
    places = np.unique(np.column_stack((across, down)), axis=0).tolist()
    return '<path class="cloud" d="' + "".join(f"M{left - 2} {high}h4" for left, high in places) + '"/>'


def _guide(guide: Guide, x: Axis, y: Axis, top: float, plot: int) -> str:
    xs, ys = _inside(guide, x, y) if guide.roof else (np.array(guide.x), np.array(guide.y))
    across = LEFT + x.place(xs) * (WIDTH - LEFT - RIGHT)
    down = top + plot * (1.0 - y.place(ys))
    drawn = "L".join(f"{place(left)} {place(high)}" for left, high in zip(across.tolist(), down.tolist(), strict=True))
    return f'<path {_look(guide)} d="M{drawn}"/>' if drawn else ""


def _inside(guide: Guide, x: Axis, y: Axis) -> tuple[Floats, Floats]:
    """What of a roof lies within both axes: places are cut off each by its own axis, which would bend a slope."""
    xs = np.concatenate([np.geomspace(*ends, _STEPS) for ends in pairwise(guide.x)])
    ys = np.concatenate([np.geomspace(*ends, _STEPS) for ends in pairwise(guide.y)])
    across, up = x.place(xs), y.place(ys)
    here = np.flatnonzero((across > 0) & (across < 1) & (up > 0) & (up < 1))
    corners = [at for at in range(_STEPS - 1, len(xs), _STEPS) if at in here]
    kept = sorted({*here[:1].tolist(), *corners, *here[-1:].tolist()})
    return xs[kept], ys[kept]


def _look(guide: Guide) -> str:
    return f'class="l c{guide.kind}" {dashes_of(guide.kind)}'.strip() if guide.kind else 'class="l ink"'


def _legend(kinds: Sequence[str], guides: Sequence[Guide], cloud: Cloud | None) -> tuple[list[str], int]:
    """Shapes, then lines, with their names, as many lines of text as they need."""
    parts, at, top = [], float(LEFT), 14

    def step(name: str, room: int) -> tuple[float, int]:
        nonlocal at, top
        width = room + LETTER * len(name) + 16
        if at + width > WIDTH and at > LEFT:
            at, top = float(LEFT), top + 19
        left = at
        at += width
        return left, top

    if cloud is not None:
        left, down = step(cloud.name, 18)
        parts.append(f'<path class="cloud" d="M{place(left + 4)} {down - 4}h4"/>')
        parts.append(f'<text x="{place(left + 16)}" y="{down}">{plain(cloud.name)}</text>')
    for number, name in enumerate(kinds, start=1):
        if not name:
            continue
        left, down = step(name, 18)
        parts.append(marker(number, left + 6, down - 4, 5))
        parts.append(f'<text x="{place(left + 16)}" y="{down}">{plain(name)}</text>')
    for guide in guides:
        left, down = step(guide.name, 34)
        parts.append(f'<path {_look(guide)} d="M{place(left)} {down - 4}h26"/>')
        parts.append(f'<text x="{place(left + 32)}" y="{down}">{plain(guide.name)}</text>')
    return parts, top + 16


@dataclass(frozen=True, slots=True)
class _Box:
    left: float
    top: float
    right: float
    bottom: float

    def over(self, other: _Box) -> float:
        """Area that both have."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return wide * high if wide > 0 and high > 0 else 0.0


def _labels(points: Sequence[Point], spots: Sequence[tuple[float, float]], top: float, plot: int) -> Iterator[str]:
    """Each beside its point, on the side where it covers least; the largest points choose first."""
    taken = [
        _Box(across - point.radius, down - point.radius, across + point.radius, down + point.radius)
        for point, (across, down) in zip(points, spots, strict=True)
    ]
    for at in sorted(range(len(points)), key=lambda at: -points[at].radius):
        text = shorten(points[at].label, _NAME)
        if not text:
            continue
        best = min(_sides(text, points[at].radius, *spots[at]), key=lambda side: _cost(side, taken, top, plot))
        taken.append(best)
        yield f'<text class="h s" x="{place(best.left)}" y="{place(best.bottom - 3)}">{plain(text)}</text>'


def _sides(text: str, radius: float, across: float, down: float) -> Iterator[_Box]:
    wide = _SMALL * len(text)
    for step in (4.0, 18.0, 32.0):
        away = radius + step
        yield _Box(across + away, down - _HIGH / 2, across + away + wide, down + _HIGH / 2)
        yield _Box(across - away - wide, down - _HIGH / 2, across - away, down + _HIGH / 2)
        yield _Box(across - wide / 2, down - away - _HIGH, across + wide / 2, down - away)
        yield _Box(across - wide / 2, down + away, across + wide / 2, down + away + _HIGH)
        yield _Box(across + radius, down - away - _HIGH, across + radius + wide, down - away)
        yield _Box(across + radius, down + away, across + radius + wide, down + away + _HIGH)


def _cost(box: _Box, taken: Sequence[_Box], top: float, plot: int) -> float:
    out = max(0.0, LEFT - box.left) + max(0.0, box.right - WIDTH + RIGHT)
    out += max(0.0, top - box.top) + max(0.0, box.bottom - top - plot)
    return sum(box.over(other) for other in taken) + 100.0 * out
