"""A sweep as a picture: lines over one axis, a heat map over two, a scatter with the front. SVG, equal bytes each time.

Colours are Okabe and Ito's, told apart by colour-blind people, and no line is told by its colour alone.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from rdusim.errors import OptionError, Problem
from rdusim.report.render_sweep import kind_of
from rdusim.report.sweep import Scalar, SweepResult
from rdusim.units import show

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
_MARKERS: Final = "os^DvP*X"
_USUAL: Final = "latency.total_seconds"
_CELLS: Final = 400  # of a heat map that still has its numbers written in
_WIDE: Final = 20.0  # ratio of largest to smallest beyond which a scale is logarithmic


def check_plottable() -> None:
    """Raises OptionError where the package for pictures is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        message, hint = "a picture needs the package matplotlib", "pip install 'rdusim[plot]'"
        raise OptionError(Problem(field="--plot", message=message, hint=hint)) from None


def sweep_svg(result: SweepResult) -> bytes:
    """The picture that fits the sweep: of its front, or of its first objective over the first two axes.

    Further axes are lines of their own where there are few enough, else points above one another.
    """
    import matplotlib as mpl

    mpl.use("svg")
    with mpl.rc_context({"svg.hashsalt": "rdusim", "svg.fonttype": "none"}):
        from matplotlib import pyplot as plt

        figure, axes = plt.subplots(figsize=(7.5, 5.0))
        try:
            if result.front is not None:
                _front(result, axes)
            else:
                name = result.best[0].goal.name if result.best else _USUAL
                _over_axes(result, name, axes)
            axes.set_title(result.title)
            figure.tight_layout()
            out = io.BytesIO()
            figure.savefig(out, format="svg", metadata={"Date": None})
        finally:
            plt.close(figure)
    return out.getvalue()


def _front(result: SweepResult, axes: Axes) -> None:
    assert result.front is not None
    first, second = result.front.goals[:2]
    xs, ys = result.column(first.name), result.column(second.name)
    pairs = [(x, y, member) for x, y, member in zip(xs, ys, result.front.member, strict=True) if _real(x) and _real(y)]
    others = [(x, y) for x, y, member in pairs if not member]
    members = sorted((x, y) for x, y, member in pairs if member)
    axes.scatter(*_columns(others), s=14, color="#999999", label=f"{len(others):,} other points")
    label = f"front: {len(members)} points"
    axes.plot(*_columns(members), color=COLOURS[1], marker="o", markersize=5, drawstyle="default", label=label)
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    _scale(axes, "x", first.name, [x for x, _, _ in pairs], result)
    _scale(axes, "y", second.name, [y for _, y, _ in pairs], result)


def _over_axes(result: SweepResult, name: str, axes: Axes) -> None:
    """Lines over one axis, numbers first; a heat map where two axes are crossed."""
    paths = [axis.path for axis in result.axes]
    numeric = [path for path in paths if all(_real(value) for value in result.points[path])]
    across = max(numeric or paths, key=lambda path: len(set(result.points[path])))
    rest = [path for path in paths if path != across]
    crossed = len(rest) == 1 and len({*zip(result.points[across], result.points[rest[0]], strict=True)}) == len(result)
    full = crossed and len(set(result.points[across])) * len(set(result.points[rest[0]])) == len(result)
    if full and len(set(result.points[rest[0]])) > len(COLOURS):
        _heat(result, name, across, rest[0], axes)
    else:
        _lines(result, name, across, rest, axes)


def _lines(result: SweepResult, name: str, across: str, rest: Sequence[str], axes: Axes) -> None:
    xs, ys = result.points[across], result.column(name)
    told: dict[str, list[tuple[Any, float]]] = {}
    for point in range(len(result)):
        label = ", ".join(f"{path.rpartition('.')[2]} {result.texts[path][point]}" for path in rest)
        if _real(value := ys[point]):
            told.setdefault(label, []).append((xs[point], float(value or 0.0)))
    numeric = all(_real(x) for x in xs)
    if len(told) > len(COLOURS):
        pairs = [pair for line in told.values() for pair in line]
        axes.scatter(*_columns(pairs), s=14, color=COLOURS[0], alpha=0.6)
    else:
        for number, (label, pairs) in enumerate(told.items()):
            ordered = sorted(pairs, key=lambda pair: pair[0]) if numeric else pairs
            colour, marker = COLOURS[number], _MARKERS[number]
            axes.plot(*_columns(ordered), label=label or None, color=colour, marker=marker, markersize=4)
        if len(told) > 1:
            axes.legend(frameon=False, fontsize=8)
    axes.grid(alpha=0.3)
    _scale(axes, "x", across, xs if numeric else (), result)
    _scale(axes, "y", name, [y for pairs in told.values() for _, y in pairs], result)


def _heat(result: SweepResult, name: str, across: str, along: str, axes: Axes) -> None:
    import numpy as np

    columns = _ordered(result, across)
    rows = _ordered(result, along)
    cells = np.full((len(rows), len(columns)), np.nan)
    for point, value in enumerate(result.column(name)):
        if _real(value):
            row, column = rows.index(result.texts[along][point]), columns.index(result.texts[across][point])
            cells[row, column] = value
    image = axes.imshow(cells, cmap="cividis", aspect="auto", origin="lower")
    axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    axes.set(xlabel=across, ylabel=along)
    bar = axes.figure.colorbar(image, ax=axes, label=name)
    kind = kind_of(name) or "count"
    bar.ax.yaxis.set_major_formatter(lambda value, _: show(value, kind))
    if cells.size <= _CELLS:
        middle = (np.nanmin(cells) + np.nanmax(cells)) / 2 if np.isfinite(cells).any() else 0.0
        for (row, column), value in np.ndenumerate(cells):
            if np.isfinite(value):
                colour = "white" if value < middle else "black"
                said = show(float(value), kind)
                axes.text(column, row, said, ha="center", va="center", fontsize=6, color=colour)


def _ordered(result: SweepResult, path: str) -> list[str]:
    """Texts of an axis by their values."""
    values = dict(zip(result.texts[path], result.points[path], strict=True))
    numeric = all(_real(value) for value in values.values())
    return sorted(values, key=lambda text: float(values[text])) if numeric else list(values)


def _scale(axes: Axes, which: str, name: str, values: Sequence[Scalar | None], result: SweepResult) -> None:
    """Name and units of an axis of the picture; a logarithmic scale where values are far apart."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    numbers = [float(value) for value in values if _real(value) and value is not None]
    dimension = next((each.dimension for each in result.axes if each.path == name), None)
    axes.set(**{f"{which}label": name})
    if numbers and min(numbers) > 0 and max(numbers) / min(numbers) > _WIDE:
        axes.set(**{f"{which}scale": "log"})
        axis.set_minor_formatter(lambda value, _: "")
    if (kind := kind_of(name, dimension)) is not None and numbers:
        axis.set_major_formatter(lambda value, _: show(value, kind))


def _columns(pairs: Sequence[tuple[Any, Any]]) -> tuple[list[Any], list[Any]]:
    return [x for x, _ in pairs], [y for _, y in pairs]


def _real(value: Scalar | None) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
