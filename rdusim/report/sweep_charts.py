"""Charts of a sweep's objective: lines along one axis, a grid over two, one for each choice of the others, scatter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, product
from typing import TYPE_CHECKING, Final

import numpy as np

from rdusim.report.html.axes import Axis, chosen, linear, logarithmic
from rdusim.report.html.charts import Chart
from rdusim.report.html.grid import grid
from rdusim.report.html.page import figure, paragraphs, scroll, table
from rdusim.report.html.points import Cloud, Guide, Point, scatter
from rdusim.report.html.style import SERIES
from rdusim.report.html.text import plain
from rdusim.report.sweep_shape import Varied, is_grid, kind_of, numbers, said, varied, where

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rdusim.report.sweep import Goal, SweepResult

    Floats = NDArray[np.float64]

_MOST_PANELS: Final = 12
_MOST_CELLS: Final = 26  # of a side of a grid
_MOST_POINTS: Final = 300  # that one can go to
_MOST_AXES: Final = 8  # of scatter charts
_WIDE: Final = 30.0  # ratio of values from which an axis is logarithmic


def objective_figures(result: SweepResult, goal: Goal, key: str, best: int | None) -> str:
    """Everything about one objective. `key`: a word that no other part of the page has; `best`: the best point."""
    axes = varied(result)
    values = numbers(result, goal.name)
    if not np.isfinite(values).any():
        return paragraphs(f"No point has a value of {goal.name}.")
    if not axes:
        return paragraphs("No axis has more than one value, so there is nothing to draw.")
    if not is_grid(result, axes):
        return "\n".join(
            _against(result, goal, axis, values, f"{key}a{number}", best)
            for number, axis in enumerate(axes[:_MOST_AXES], start=1)
        )
    base = best if best is not None else int(np.flatnonzero(np.isfinite(values))[0])
    parts = [_lines(result, goal, axes, values, f"{key}l", base)]
    if len(axes) > 1 and max(len(axes[0].values), len(axes[1].values)) <= _MOST_CELLS:
        parts.append(_grids(result, goal, axes, values, f"{key}g", best))
    return "\n".join(parts)


def value_axis(title: str, values: Floats, result: SweepResult, name: str) -> Axis:
    """From 0, or logarithmic where values are far apart."""
    known, kind = values[np.isfinite(values)], kind_of(result, name)
    low, high = float(known.min()), float(known.max())
    if low > 0 and high >= _WIDE * low:
        return logarithmic(title, low, high, kind)
    return linear(title, high, kind)


def _lines(result: SweepResult, goal: Goal, axes: Sequence[Varied], values: Floats, key: str, base: int) -> str:
    """Over the first axis, a line for each value of the second; the others are as at `base`."""
    x, second, rest = axes[0], axes[1] if len(axes) > 1 else None, axes[2:]
    held = [at for at in range(len(result)) if all(axis.index[at] == axis.index[base] for axis in rest)]
    groups = _groups(second, held, base)
    kind = kind_of(result, goal.name)
    points, guides, rows = [], [], []
    for number, (name, members) in enumerate(groups, start=1):
        ordered = sorted((at for at in members if np.isfinite(values[at])), key=lambda at: x.index[at])
        across = tuple(x.values[x.index[at]] for at in ordered)
        guides.append(Guide(name=name, kind=number, x=across, y=tuple(float(values[at]) for at in ordered)))
        points += [
            Point(
                kind=number,
                x=x.values[x.index[at]],
                y=float(values[at]),
                says=(f"{goal.name} {said(float(values[at]), kind)}", where(result, at, axes)),
                label="best" if at == base else "",
                radius=6.5 if at == base else 4.5,
            )
            for at in ordered
        ]
        rows += [(plain(where(result, at, axes)), plain(said(float(values[at]), kind))) for at in ordered]
    seen = np.array([point.y for point in points]) if points else values
    drawn = scatter(
        Chart(key=key, title=f"{goal.name} over {x.path}", description=_range(result, goal, seen)),
        chosen(x.path, x.values, x.texts),
        value_axis(goal.name, seen, result, goal.name),
        [],
        points if len(points) <= _MOST_POINTS else [],
        guides if second is not None else [Guide(name=goal.name, kind=1, x=guides[0].x, y=guides[0].y)],
    )
    held_at = f" Other axes as at the best point: {where(result, base, rest)}." if rest else ""
    left = len(second.values) - len(groups) if second is not None else 0
    each = f", a line for each value of {second.path}" if second is not None else ""
    more = f" {left} more values of {second.path} are in the table of points." if second is not None and left else ""
    return figure(
        drawn,
        label=f"{goal.name} over {x.path}",
        caption=f"{_better(goal)} over {x.path}{each}.{held_at}{more}",
        numbers=table(["point", goal.name], rows),
        key=key,
    )


def _groups(second: Varied | None, held: Sequence[int], base: int) -> list[tuple[str, list[int]]]:
    """As many lines as there are colours, spread over the values, the best point's among them."""
    if second is None:
        return [("", list(held))]
    count = len(second.values)
    places = sorted({round(at) for at in np.linspace(0, count - 1, min(count, len(SERIES)))})
    if second.index[base] not in places:
        nearest = min(range(len(places)), key=lambda at: abs(places[at] - second.index[base]))
        places[nearest] = second.index[base]
    return [
        (f"{second.path} {second.texts[place]}", [at for at in held if second.index[at] == place])
        for place in sorted(set(places))
    ]


def _grids(result: SweepResult, goal: Goal, axes: Sequence[Varied], values: Floats, key: str, best: int | None) -> str:
    """A grid over the first two axes; with more axes, one for each choice of the others."""
    x, y, rest = axes[0], axes[1], axes[2:]
    known = values[np.isfinite(values)]
    ends = (float(known.min()), float(known.max()))
    choices = list(product(*(range(len(axis.values)) for axis in rest)))
    shown = _with_best(choices, rest, best)
    panels, rows = [], []
    for number, choice in enumerate(shown, start=1):
        members = [at for at in range(len(result)) if all(a.index[at] == c for a, c in zip(rest, choice, strict=True))]
        cells = np.full((len(y.values), len(x.values)), np.nan)
        for at in members:
            cells[y.index[at], x.index[at]] = values[at]
        name = ", ".join(f"{axis.path} {axis.texts[place]}" for axis, place in zip(rest, choice, strict=True))
        kind = kind_of(result, goal.name)
        drawn = grid(
            Chart(
                key=f"{key}{number}",
                title=f"{goal.name} over {x.path} and {y.path}{f', {name}' if name else ''}",
                description=_range(result, goal, cells),
            ),
            x.texts,
            y.texts,
            cells,
            [[said(float(cell), kind) for cell in line] for line in cells],
            (x.path, y.path),
            (y.index[best], x.index[best]) if best is not None and best in members else None,
            ends=ends,
            small=bool(rest),
        )
        panels.append(f"<div>{paragraphs(name)}{scroll(drawn, name)}</div>" if rest else drawn)
        rows += [
            (*([plain(name)] if rest else []), plain(text), *(plain(said(float(cell), kind)) for cell in line))
            for text, line in zip(y.texts, cells, strict=True)
        ]
    caption = f"{_better(goal)} over {x.path} (across) and {y.path} (down): the stronger the colour, the larger."
    caption += " The best is ringed." if best is not None else ""
    if rest:
        caption += f" One grid for each choice of {' and '.join(axis.path for axis in rest)}"
        caption += (
            f"; {len(choices) - len(shown)} more are in the table of points." if len(choices) > len(shown) else "."
        )
    numbers_ = table([*(["choice"] if rest else []), f"{y.path} / {x.path}", *x.texts], rows, words=2 if rest else 1)
    body = f'<div class="mini">{"".join(panels)}</div>' if rest else panels[0]
    return figure(body, label=f"{goal.name} over {x.path} and {y.path}", caption=caption, numbers=numbers_)


def _with_best(choices: Sequence[tuple[int, ...]], rest: Sequence[Varied], best: int | None) -> list[tuple[int, ...]]:
    """The first choices, that of the best point among them."""
    found = list(choices[:_MOST_PANELS])
    if best is not None and (own := tuple(axis.index[best] for axis in rest)) not in found:
        found[-1] = own
    return found


def _against(result: SweepResult, goal: Goal, axis: Varied, values: Floats, key: str, best: int | None) -> str:
    """Every point over one axis, where not every combination is there."""
    kind = kind_of(result, goal.name)
    known = [at for at in range(len(result)) if np.isfinite(values[at])]
    across = np.array([axis.values[axis.index[at]] for at in known])
    few = len(known) <= _MOST_POINTS
    axes = varied(result)
    named = known if few else [at for at in known if at == best]
    points = [
        Point(
            kind=2 if at == best else 1,
            x=axis.values[axis.index[at]],
            y=float(values[at]),
            says=(f"{goal.name} {said(float(values[at]), kind)}", *_wrapped(where(result, at, axes))),
            label="best" if at == best else "",
            radius=6.5 if at == best else 4.0,
        )
        for at in named
    ]
    drawn = scatter(
        Chart(key=key, title=f"{goal.name} over {axis.path}", description=_range(result, goal, values)),
        chosen(axis.path, axis.values, axis.texts),
        value_axis(goal.name, values, result, goal.name),
        ["a point" if few else "", "the best"],
        points,
        cloud=None if few else Cloud(name="a point", x=across, y=values[known]),
        plot=230,
    )
    return figure(
        drawn,
        label=f"{goal.name} over {axis.path}",
        caption=f"{_better(goal)} over {axis.path}; the other axes vary too.",
        numbers=table([axis.path, goal.name], islice(_pairs(axis, known, values, kind), _MOST_POINTS)),
        key=key,
    )


def _pairs(axis: Varied, known: Sequence[int], values: Floats, kind: str) -> Iterator[tuple[str, str]]:
    for at in known:
        yield plain(axis.texts[axis.index[at]]), plain(said(float(values[at]), kind))  # type: ignore[arg-type]


def _wrapped(text: str) -> list[str]:
    """At most two lines."""
    if len(text) <= 88:
        return [text]
    cut = text.rfind(", ", 0, 88) + 1 or 88
    return [text[:cut], text[cut:].strip()[:92]]


def _better(goal: Goal) -> str:
    return f"{goal.name} ({'less' if goal.sense == 'min' else 'more'} is better)"


def _range(result: SweepResult, goal: Goal, values: Floats) -> str:
    known, kind = values[np.isfinite(values)], kind_of(result, goal.name)
    if not len(known):
        return f"No value of {goal.name}."
    return f"{goal.name} from {said(float(known.min()), kind)} to {said(float(known.max()), kind)}."
