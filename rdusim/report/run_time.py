"""Where the time of a run goes, as figures: by cause, by section, and over the context of a generation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from rdusim.report.html.axes import chosen, linear
from rdusim.report.html.charts import Chart, Line, line_chart, stacked_bars
from rdusim.report.html.page import exact, figure, table
from rdusim.report.html.rows import LETTERS, stacked_rows
from rdusim.report.html.style import SERIES
from rdusim.report.html.text import apart, number, plain
from rdusim.report.weighted import summed
from rdusim.units import show

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rdusim.report.types import DecodeStep, Report

    Floats = NDArray[np.float64]

OTHER: Final = "other"
MOST_ROWS: Final = 14  # sections with a bar
MEANINGS: Final[Mapping[str, str]] = {
    "compute": "units compute",
    "collective": "sockets wait for each other's data",
    "launch": "sections are started: programs, arguments, the call",
    "fill_drain": "a section's first data are on their way to its last stage",
    "agcu": "address generators hand on what they can",
    "pmu": "on-chip memories are read or written",
    "rdn": "the on-chip network carries what it can",
    "tln": "the network between tiles and memories carries what it can",
    "die_to_die": "data cross between dies",
    "host": "the host is waited for",
    "pipeline_bubble": "a stage of the pipeline has nothing to do",
    "pipeline_transfer": "activations are on their way to the next stage",
}


def time_figures(report: Report) -> str:
    names = shown_causes(report.breakdown_seconds)
    parts = [_rows(report, names), _causes(report)]
    if report.decode_steps:
        parts += [_context(report.decode_steps, names), _prefill_and_decode(report)]
    return "\n".join(parts)


def shown_causes(breakdown: Mapping[str, float]) -> tuple[str, ...]:
    """As many as there are colours, the largest first; the last stands for all others."""
    found = [cause for cause, seconds in breakdown.items() if seconds > 0]
    return tuple(found) if len(found) <= len(SERIES) else (*found[: len(SERIES) - 1], OTHER)


def by_cause(breakdown: Mapping[str, float], names: Sequence[str]) -> list[float]:
    """Seconds in the order of `names`; what has no name of its own is under the last, if that is for others."""
    found = [breakdown.get(name, 0.0) for name in names]
    if names and names[-1] == OTHER:
        found[-1] = sum(seconds for cause, seconds in breakdown.items() if cause not in names)
    return found


def meaning(cause: str) -> str:
    return MEANINGS.get(cause, f"waits for data from {cause}, or to it")


def decode_breakdown(steps: Sequence[DecodeStep]) -> dict[str, float]:
    """Of all decode steps together."""
    return summed((step.steps, step.breakdown_seconds) for step in steps)


def prefill_breakdown(report: Report) -> dict[str, float]:
    """Of what a generation does before its steps."""
    later = decode_breakdown(report.decode_steps or ())
    return {cause: max(0.0, all_of - later.get(cause, 0.0)) for cause, all_of in report.breakdown_seconds.items()}


def _rows(report: Report, names: Sequence[str]) -> str:
    total = report.latency.total_seconds
    rows: list[tuple[str, float, Mapping[str, float]]] = [("all", total, report.breakdown_seconds)]
    if report.decode_steps:
        first, later = prefill_breakdown(report), decode_breakdown(report.decode_steps)
        rows += [("prefill", sum(first.values()), first), ("all decode steps", sum(later.values()), later)]
    ordered = sorted(report.sections, key=lambda section: -section.seconds)
    rows += [(section.name, section.seconds, section.breakdown_seconds) for section in ordered[:MOST_ROWS]]
    values = np.array([by_cause(breakdown, names) for _, _, breakdown in rows])
    shown = min(MOST_ROWS, len(ordered))
    drawn = stacked_rows(
        Chart(
            key="time",
            title="Time by cause",
            description=f"{show(total, 'time')} in all: {_said(report.breakdown_seconds, total)}",
        ),
        names,
        linear("time", float(values.sum(axis=1).max(initial=0.0)), "time"),
        [*(name for name, _, _ in rows[:-shown]), *apart([name for name, _, _ in rows[-shown:]], LETTERS)],
        values,
        [f"{show(seconds, 'time')}, {show(seconds / total, 'share')}" for _, seconds, _ in rows],
    )
    left = len(ordered) - MOST_ROWS
    several = "sections run beside each other on other sockets" if report.setting.parallelism.get("pp", 1) > 1 else ""
    caption = "Every second has one cause. All of the run, then sections, those that take most first"
    caption += f" ({left} more are in the table of sections)" if left > 0 else ""
    heads = ["part", "seconds", *names]
    numbers = table(
        heads,
        (
            (plain(name), number(seconds, "time"), *(number(each, "time") for each in by_cause(breakdown, names)))
            for name, seconds, breakdown in rows
        ),
    )
    return figure(
        drawn, label="time by cause", caption=f"{caption}{f'; {several}' if several else ''}.", numbers=numbers
    )


def _said(breakdown: Mapping[str, float], total: float) -> str:
    most = [(cause, seconds) for cause, seconds in breakdown.items() if seconds >= 0.005 * total][:6]
    return ", ".join(f"{cause} {show(seconds / total, 'share')}" for cause, seconds in most)


def _causes(report: Report) -> str:
    total = report.latency.total_seconds
    rows = (
        (
            plain(cause),
            plain(meaning(cause)),
            exact(seconds, number(seconds, "time"), f"b-{cause}"),
            number(share, "share"),
        )
        for cause, seconds in report.breakdown_seconds.items()
        for share in (seconds / total,)
    )
    return table(["cause", "meaning", "time", "share"], rows, caption="All of the run by cause", words=2)


def _context(steps: Sequence[DecodeStep], names: Sequence[str]) -> str:
    """A step's time over the context, simulated points joined."""
    contexts = np.array([float(step.context_tokens) for step in steps])
    causes = np.array([by_cause(step.breakdown_seconds, names) for step in steps])
    seconds = np.array([step.seconds for step in steps])
    lines = [Line(name="step", x=contexts, y=seconds)]
    lines += [
        Line(name=name, x=contexts, y=causes[:, at])
        for at, name in enumerate(names[: len(SERIES) - 1])
        if name != OTHER
    ]
    drawn = line_chart(
        Chart(
            key="context",
            title="Time of a decode step over its context",
            description=f"{show(seconds[0], 'time')} at {steps[0].context_tokens:,} tokens, "
            f"{show(seconds[-1], 'time')} at {steps[-1].context_tokens:,}.",
        ),
        chosen("context (tokens)", contexts.tolist(), [f"{step.context_tokens:,}" for step in steps]),
        linear("time of a step", float(seconds.max()), "time"),
        lines,
    )
    rows = (
        (f"{step.context_tokens:,}", number(step.steps, "count"), number(step.seconds, "time"), *map(_time, each))
        for step, each in zip(steps, causes.tolist(), strict=True)
    )
    return figure(
        drawn,
        label="time over the context",
        caption="A decode step and its largest causes over the tokens that it reads. The contexts of the table were "
        "simulated; the others lie on straight lines between them.",
        numbers=table(["context", "stands for steps", "step", *names], rows),
    )


def _time(seconds: float) -> str:
    return number(seconds, "time")


def _prefill_and_decode(report: Report) -> str:
    first, later = prefill_breakdown(report), decode_breakdown(report.decode_steps or ())
    names = shown_causes(report.breakdown_seconds)
    values = np.array([by_cause(first, names), by_cause(later, names)])
    sums = values.sum(axis=1)
    shares = np.divide(values, sums[:, None], out=np.zeros_like(values), where=sums[:, None] > 0)
    says = [f"{show(each, 'time')}, {show(each / sums.sum(), 'share')}" for each in sums.tolist()]
    drawn = stacked_bars(
        Chart(
            key="phases",
            title="Causes within prefill and within decode",
            description=f"Prefill takes {says[0]} of the time, all decode steps {says[1]}.",
        ),
        names,
        linear("share of the phase", 1.0, "share"),
        ["prefill", "decode"],
        shares,
        "",
        says,
    )
    rows = (
        (plain(name), *map(_time, values[:, at].tolist()), *(number(each, "share") for each in shares[:, at].tolist()))
        for at, name in enumerate(names)
    )
    return figure(
        drawn,
        label="prefill and decode",
        caption="What each phase spends its own time on, and on top how much time that is.",
        numbers=table(["cause", "prefill", "decode", "of prefill", "of decode"], rows),
    )
