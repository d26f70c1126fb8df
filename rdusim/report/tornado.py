"""Tornado plots: a bar for each field that moves a figure, the longest on top; the same values give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rdusim.errors import OptionError, Problem
from rdusim.report.render_sensitivity import said

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from rdusim.report.sensitivity import Influence, Sensitivity

MOST: Final = 14  # bars of a panel
SEEN: Final = 0.005  # of the longest bar
LOW, HIGH = "#0072B2", "#E69F00"  # Okabe and Ito: told apart by colour-blind people, and in grey
_STYLE: Final[Mapping[Any, Any]] = {
    "svg.hashsalt": "rdusim",  # names of clip paths come of it, not of chance
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
}
_BAR: Final = 0.27  # inches
_WIDTH: Final = 9.0


def tornado(found: Sequence[Sensitivity], title: str = "") -> bytes:
    """One panel below the other, as SVG. Raises OptionError where matplotlib is missing."""
    check_plot()
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context():
        mpl.rcdefaults()  # not what the user's matplotlibrc says
        mpl.rcParams.update(_STYLE)
        heights = [max(1, len(_bars(each))) * _BAR + 0.9 for each in found]
        figure = Figure(figsize=(_WIDTH, sum(heights) + 0.5), layout="constrained")
        panels = figure.subplots(len(found), 1, squeeze=False, height_ratios=heights)
        for axes, each in zip(panels[:, 0], found, strict=True):
            _panel(axes, each)
        figure.supxlabel(
            "blue: the lower value; orange and hatched: the higher one; *: the value is assumed", fontsize=9
        )
        if title:
            figure.suptitle(title, fontsize=11, fontweight="bold")
        out = io.BytesIO()
        metadata = {"Date": None, "Creator": "rdusim", "Title": title or found[0].name}
        figure.savefig(out, format="svg", metadata=metadata)
        return out.getvalue()


def check_plot() -> None:
    """Raises OptionError, before the work rather than after it, where nothing can be drawn."""
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        message = "needs matplotlib, which is not installed"
        raise OptionError(Problem(field="--plot", message=message, hint="pip install 'rdusim[plot]'"))


def _panel(axes: Axes, found: Sensitivity) -> None:
    shown = _bars(found)
    for place, each in enumerate(shown):
        for end, colour, hatch in ((each.low, LOW, ""), (each.high, HIGH, "///")):
            if end is not None:
                change = 100.0 * (end.metric - each.base) / abs(each.base) if each.base else end.metric
                axes.barh(place, change, height=0.7, color=colour, hatch=hatch, edgecolor="white", linewidth=0.0)
    axes.axvline(0.0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(shown)), [_label(each) for each in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.margins(x=0.08)
    axes.set_xlabel(f"change in percent of {said(found.metric, found.base)}")
    axes.set_title(found.name, loc="right", fontsize=10)  # grows to the left, over the names of the fields


def _bars(found: Sensitivity) -> tuple[Influence, ...]:
    """Fields with a bar that can be seen."""
    return tuple(each for each in found.shown()[:MOST] if each.swing > SEEN * found.parameters[0].swing)


def _label(each: Influence) -> str:
    ends = " .. ".join(end.text for end in (each.low, each.high) if end is not None)
    return f"{each.path}{'*' if each.assumed else ''}  ({ends})"
