"""Predictions over published values as a picture: both logarithmic, with the band of a factor of 1.5."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rdusim.baselines.agreement import BAND
from rdusim.baselines.published import SETS, UNITS
from rdusim.errors import OptionError, Problem

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from rdusim.report.validation import Outcome, Validation

# Role -> marker and colour (Okabe and Ito): told apart by colour-blind people, and in print.
_STYLES: Final = {"calibrated": ("s", "#0072B2"), "predicted": ("o", "#D55E00")}
_PANELS: Final = {"ratio": "Ratios (speedups, kernel counts)", "s": "Times, seconds"}


def check_plot(path: Path) -> None:
    """Raises OptionError before the work rather than after it."""
    if path.suffix != ".svg":
        raise OptionError(Problem(field="--plot", message=f"{path} is no .svg", hint="give a name that ends in .svg"))
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        message, hint = "matplotlib is not installed", "pip install 'rdusim[plot]'"
        raise OptionError(Problem(field="--plot", message=message, hint=hint)) from None


def validation_svg(validation: Validation) -> bytes:
    """Main rows: times and ratios as points, and below, for every row, how many times the published value it is.

    The same bytes for the same validation.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    shown = [outcome for outcome in validation.outcomes if outcome.row.main and outcome.pair.factor is not None]
    with mpl.rc_context({"svg.hashsalt": "rdusim", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure = Figure(figsize=(12, 10), layout="constrained")
        grid = figure.add_gridspec(2, 2, height_ratios=(3, 2))
        for column, (unit, title) in enumerate(_PANELS.items()):
            axes = figure.add_subplot(grid[0, column])
            _scatter(axes, [outcome for outcome in shown if UNITS[outcome.target.unit][0] == unit], title)
        _strip(figure.add_subplot(grid[1, :]), shown)
        figure.suptitle(f"Predicted by rdusim on {validation.arch} over published")
        out = BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def _role(outcome: Outcome) -> str:
    return "calibrated" if outcome.chosen else "predicted"


def _scatter(axes: Axes, outcomes: Sequence[Outcome], title: str) -> None:
    axes.set(xscale="log", yscale="log", xlabel="published", ylabel="predicted", title=title)
    if not outcomes:
        axes.text(0.5, 0.5, "none asked for", transform=axes.transAxes, ha="center")
        return
    values = [value for outcome in outcomes for value in (outcome.published, outcome.predicted or 0.0)]
    ends = [min(values) / 2, max(values) * 2]
    axes.fill_between(ends, [end / BAND for end in ends], [end * BAND for end in ends], color="0.9", linewidth=0)
    axes.plot(ends, ends, color="0.5", linewidth=1)
    for role, (marker, colour) in _STYLES.items():
        here = [outcome for outcome in outcomes if _role(outcome) == role]
        xs, ys = [outcome.published for outcome in here], [outcome.predicted or 0.0 for outcome in here]
        axes.plot(xs, ys, marker, color=colour, fillstyle="none" if role == "calibrated" else "full", label=role)
    for number, outcome in enumerate(outcome for outcome in outcomes if not outcome.pair.near):
        at, aside = (outcome.published, outcome.predicted or 0.0), (5, 3 if number % 2 else -9)
        axes.annotate(outcome.target.id, at, xytext=aside, textcoords="offset points", fontsize=8)
    axes.set(xlim=ends, ylim=ends)
    axes.legend(frameon=False, title=f"band: factor {BAND:g}", loc="upper left")


def _strip(axes: Axes, outcomes: Sequence[Outcome]) -> None:
    """Every row side by side, set after set."""
    axes.axhspan(1 / BAND, BAND, color="0.9", linewidth=0)
    axes.axhline(1.0, color="0.5", linewidth=1)
    for role, (marker, colour) in _STYLES.items():
        here = [(at, outcome) for at, outcome in enumerate(outcomes) if _role(outcome) == role]
        ys = [(outcome.predicted or 0.0) / outcome.published for _, outcome in here]
        fill = "none" if role == "calibrated" else "full"
        axes.plot([at for at, _ in here], ys, marker, color=colour, fillstyle=fill)
    axes.set(yscale="log", ylabel="predicted over published", xlim=(-1, max(len(outcomes), 1)))
    axes.set_yticks([0.25, 0.5, 1 / BAND, 1, BAND, 2, 4], ["1/4", "1/2", "1/1.5", "1", "1.5", "2", "4"])
    axes.minorticks_off()
    axes.set_xticks(range(len(outcomes)), [outcome.target.id for outcome in outcomes], rotation=90, fontsize=7)
    for name in SETS:
        places = [at for at, outcome in enumerate(outcomes) if outcome.row.set == name]
        if places:
            axes.text(places[0] - 0.4, 1.01, name, transform=axes.get_xaxis_transform(), fontsize=8, rotation=20)
            axes.axvline(places[0] - 0.5, color="0.8", linewidth=0.8)
