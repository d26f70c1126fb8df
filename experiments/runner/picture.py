"""results.svg: predictions, what was published beside them, and how far the open conditions move them.

Bars lie and have a diamond where the published value is; lines have points. The same results give the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from itertools import cycle
from textwrap import wrap
from typing import TYPE_CHECKING, Final

from rdusim.errors import OptionError, Problem
from runner.results import error, published_value
from runner.types import Experiment, Outcome, Panel, said

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Okabe and Ito: told apart by colour-blind people.
_COLOURS: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
_MARKERS: Final = "os^Dvp"
_STYLE: Final[Mapping[str, object]] = {
    "svg.hashsalt": "rdusim",  # names of clip paths come of it, not of chance
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_BAR: Final = 0.24  # inches
_BESIDE: Final = 2  # panels of lines side by side
_LETTERS: Final = 11  # of the title in an inch


def check_plot() -> None:
    """Raises OptionError before the work rather than after it."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        message, hint = "matplotlib is not installed", "pip install 'rdusim[plot]', or --no-plot"
        raise OptionError(Problem(message=message, hint=hint)) from None


def picture(experiment: Experiment, outcomes: Sequence[Outcome]) -> bytes:
    """The picture as SVG."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()  # not what the user's matplotlibrc says
        mpl.use("svg")
        mpl.rcParams.update(_STYLE)  # type: ignore[arg-type]  # its keys are a type of their own
        figure = _bars(experiment, outcomes) if experiment.picture.kind == "bars" else _lines(experiment, outcomes)
        title = wrap(experiment.title, int(_LETTERS * figure.get_figwidth()))
        figure.suptitle("\n".join(title), fontsize=11, fontweight="bold")
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": "rdusim", "Title": experiment.title})
        return out.getvalue()


def _looks(panel: Panel) -> dict[str, tuple[str, str]]:
    """Colour and marker of each series, by its place: series in the same place of two panels look alike."""
    looks = cycle(zip(_COLOURS, _MARKERS, strict=True))
    return dict(zip(panel.series, looks, strict=False))


# ---- bars ----


def _bars(experiment: Experiment, outcomes: Sequence[Outcome]) -> Figure:
    from matplotlib.figure import Figure

    panels = experiment.picture.panels
    shown = [[outcome for outcome in outcomes if outcome.asked.series in panel.series] for panel in panels]
    most = max(len([outcome for outcome in each if outcome.asked.main]) for each in shown)
    figure = Figure(figsize=(8.5 * len(panels), 1.5 + most * _BAR * 1.25), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for panel, place, each in zip(panels, axes, shown, strict=True):
        _bar_panel(place, experiment, panel, each, _looks(panel))
    _bar_legend(figure, experiment, outcomes)
    return figure


def _bar_panel(
    axes: Axes,
    experiment: Experiment,
    panel: Panel,
    outcomes: Sequence[Outcome],
    colours: Mapping[str, tuple[str, str]],
) -> None:
    groups = list(dict.fromkeys(said(outcome.asked.x) for outcome in outcomes))
    below, ticks = 0.0, []
    for group in groups:
        members = [outcome for outcome in outcomes if said(outcome.asked.x) == group]
        bars = [outcome for outcome in members if outcome.asked.main]
        ticks.append(below + (len(bars) - 1) / 2)
        for bar in bars:
            others = [o for o in members if not o.asked.main and o.asked.series == bar.asked.series]
            _bar(axes, experiment, bar, others, below, colours[bar.asked.series][0])
            below += 1.0
        below += 0.45
    axes.set_yticks(ticks, groups)
    axes.set_ylim(below - 0.2, -0.8)
    axes.tick_params(axis="y", length=0)
    axes.set(xlabel=panel.y, title=panel.title)
    _scale(axes, experiment, outcomes)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)


def _scale(axes: Axes, experiment: Experiment, outcomes: Sequence[Outcome]) -> None:
    """Room for the text beside the longest bar."""
    values = [value for o in outcomes for value in (o.value, published_value(experiment, o)) if value]
    if experiment.picture.scale == "log":
        axes.set_xscale("log")
        _log_ticks(axes.xaxis)
        if values:
            low, high = min(values), max(values)
            axes.set_xlim(low / 1.6, high * (high / low) ** 0.3 * 1.4)
    elif values:
        axes.set_xlim(0, 1.35 * max(values))


def _bar(
    axes: Axes, experiment: Experiment, outcome: Outcome, others: Sequence[Outcome], at: float, colour: str
) -> None:
    published, off = published_value(experiment, outcome), error(experiment, outcome)
    if outcome.value is None:
        start = 0.01
        text = f"no result: {outcome.problem}"
        axes.text(start, at, text[:80], transform=axes.get_yaxis_transform(), va="center", fontsize=7, color="#666666")
    else:
        axes.barh(at, outcome.value, height=0.82, color=colour)
    moved = [other.value for other in others if other.value is not None]
    if moved and outcome.value is not None:
        ends = [*moved, outcome.value]
        axes.plot([min(ends), max(ends)], [at, at], color="#555555", linewidth=0.8)
        axes.plot(moved, [at] * len(moved), "o", color="#555555", markerfacecolor="white", markersize=4)
    if published is not None:
        axes.plot([published], [at], "D", color="black", markeredgecolor="white", markersize=7)
    if outcome.value is not None:
        end = max([outcome.value, *moved, *([published] if published is not None else [])])
        text = f"{outcome.value:.3g}" + ("" if off is None else f"  ({off:+.0%})")
        axes.annotate(text, (end, at), xytext=(7, 0), textcoords="offset points", va="center", fontsize=8)


def _bar_legend(figure: Figure, experiment: Experiment, outcomes: Sequence[Outcome]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Patch | Line2D] = []
    first = experiment.picture.panels[0]
    if len(first.series) > 1:
        handles += [Patch(color=colour, label=name) for name, (colour, _) in _looks(first).items()]
    if any(published_value(experiment, outcome) is not None for outcome in outcomes):
        handles.append(Line2D([], [], marker="D", color="black", linestyle="", label="published"))
    if any(not outcome.asked.main for outcome in outcomes):
        label = "under other conditions"
        mark = Line2D([], [], marker="o", color="#555555", markerfacecolor="white", linewidth=0.8, label=label)
        handles.append(mark)
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)


def _log_ticks(axis: Axis) -> None:
    """1, 2, 5, 10, ... written out."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


# ---- lines ----


def _lines(experiment: Experiment, outcomes: Sequence[Outcome]) -> Figure:
    from matplotlib.figure import Figure

    panels = experiment.picture.panels
    rows = -(-len(panels) // _BESIDE)
    figure = Figure(
        figsize=(6.5 * min(len(panels), _BESIDE) + (len(panels) == 1), 0.4 + 4.3 * rows), layout="constrained"
    )
    places = figure.subplots(rows, min(len(panels), _BESIDE), squeeze=False).flatten()
    for panel, axes in zip(panels, places, strict=False):
        for series, (colour, marker) in _looks(panel).items():
            of = [outcome for outcome in outcomes if outcome.asked.series == series]
            _line(axes, experiment, of, colour, marker)
        axes.set(xlabel=experiment.x, ylabel=panel.y, title=panel.title)
        axes.set(xscale=experiment.picture.x_scale, yscale=experiment.picture.scale)
        if experiment.picture.x_scale == "log":
            ticks = sorted({float(outcome.asked.x) for outcome in outcomes})
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.minorticks_off()
        if experiment.picture.scale == "log":
            _log_ticks(axes.yaxis)
        axes.grid(alpha=0.3)
        if any(published_value(experiment, outcome) is not None for outcome in outcomes):
            axes.plot([], [], marker="D", color="white", markeredgecolor="black", linestyle="", label="published")
        axes.legend(frameon=False)
    return figure


def _line(axes: Axes, experiment: Experiment, outcomes: Sequence[Outcome], colour: str, marker: str) -> None:
    main = [(float(o.asked.x), o.value, o) for o in outcomes if o.asked.main and o.value is not None]
    if not main:
        return
    xs, ys = [x for x, _, _ in main], [y for _, y, _ in main]
    shape = marker if len(xs) <= 12 else None
    drawn = "steps-pre" if experiment.picture.steps else "default"
    axes.plot(xs, ys, color=colour, marker=shape, drawstyle=drawn, label=outcomes[0].asked.series)
    if experiment.picture.ideal:
        axes.plot(xs, [ys[0] * x / xs[0] for x in xs], color=colour, linestyle=":", linewidth=1)
    for reading in dict.fromkeys(o.asked.reading for o in outcomes if not o.asked.main):
        other = [(float(o.asked.x), o.value) for o in outcomes if o.asked.reading == reading and o.value is not None]
        label = f"{outcomes[0].asked.series}, {reading}"
        axes.plot([x for x, _ in other], [y for _, y in other], color=colour, linestyle="--", linewidth=1, label=label)
    for x, y, outcome in main:
        if experiment.picture.bound and outcome.report is not None:
            cause = max(outcome.report.breakdown_seconds.items(), key=lambda item: item[1])[0]
            axes.annotate(cause, (x, y), xytext=(4, -11), textcoords="offset points", fontsize=8, color=colour)
        published = published_value(experiment, outcome)
        if published is not None:
            axes.plot([x], [published], marker="D", color=colour, markeredgecolor="black", markersize=8, linestyle="")
