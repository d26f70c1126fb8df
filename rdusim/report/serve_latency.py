"""How fast requests were, and where their seconds went: charts of latencies and of their causes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from rdusim.report.html.axes import Axis, linear, logarithmic, tail
from rdusim.report.html.charts import Chart, Limit, Line, line_chart, stacked_bars
from rdusim.report.html.page import figure, paragraphs, table
from rdusim.report.html.text import number, plain, tick
from rdusim.report.serve_metrics import SPREADS
from rdusim.report.serve_series import Causes, causes_by_percentile, causes_over_time, edges_of, quantiles
from rdusim.serve.metrics import latencies
from rdusim.serve.types import Cause, ServeResult
from rdusim.units import show

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rdusim.serve.slo import Slo

    Floats = NDArray[np.float64]

_WRITTEN: Final = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.0)
_RANGE: Final = 1e-7  # of the largest latency: the least that an axis shows
_ARRIVALS: Final = 48  # bars of causes over time


def latency_figures(result: ServeResult, slo: Slo | None) -> str:
    """How many requests were how fast, and how slow the slowest were."""
    shares, found = quantiles(result)
    names = {key: SPREADS[key][0] for key in found}
    known = {key: values for key, values in found.items() if np.isfinite(values).any()}
    if not known:
        return paragraphs("No request came to its first token.")
    limits = {key: limit for key, limit in (slo.limits if slo is not None else {}).items() if key in known}
    seconds = _latency_axis(known, limits.values())
    cdf = line_chart(
        Chart(key="cdf", title="Distribution of latencies", description=_spoken(shares, known, names)),
        seconds,
        linear("share of requests", 1.0, "share"),
        [Line(name=names[key], x=known[key], y=shares) for key in ("ttft", "tpot", "e2e") if key in known],
        [
            Limit(name=f"{names[key]} limit {tick(limit, 'time')}", value=limit, on_x=True)
            for key, limit in limits.items()
        ],
    )
    deep = line_chart(
        Chart(key="tail", title="Latencies by percentile", description=_spoken(shares, known, names)),
        tail("share of requests that stay below, stretched towards the slowest", float(shares[-2])),
        seconds,
        [Line(name=names[key], x=shares[:-1], y=values[:-1]) for key, values in known.items()],
        [Limit(name=f"{names[key]} limit", value=limit) for key, limit in limits.items()],
    )
    numbers = _quantile_table(result, known, names)
    return "\n".join(
        (
            figure(
                cdf,
                label="distribution of latencies",
                caption="Share of requests that are at least so fast. Times are on a logarithmic axis; what took "
                "less than it begins with stands at its left end.",
                numbers=numbers,
            ),
            figure(
                deep,
                label="latencies by percentile",
                caption="The same, looking at the slowest: each mark to the right is a tenth of the requests of the "
                "one before. A line ends where one request alone would be left.",
                numbers=numbers,
            ),
        )
    )


def cause_figures(result: ServeResult) -> str:
    """Where the seconds go, for the fast and for the slow, and for those who came early and late."""
    ranked = causes_by_percentile(result)
    if not ranked.groups:
        return paragraphs("No request finished.")
    names = [cause.name.lower() for cause in Cause]
    totals = ranked.seconds.sum(axis=1, keepdims=True)
    parts = np.divide(ranked.seconds, totals, out=np.zeros_like(ranked.seconds), where=totals > 0)
    by_rank = stacked_bars(
        Chart(
            key="ranked",
            title="Causes of latency by percentile",
            description=_worst_causes(ranked, names),
        ),
        names,
        linear("share of latency", 1.0, "share"),
        ranked.groups,
        parts,
        "requests from the fastest to the slowest, percentiles of end-to-end latency",
        [tick(float(f"{float(total):.2g}"), "time") for total in totals[:, 0]],
    )
    drawn = [
        figure(
            by_rank,
            label="causes of latency by percentile",
            caption="Of what the latency of the fastest and of the slowest requests is made. Above each bar: the mean "
            "end-to-end latency of its group.",
            numbers=_cause_table(ranked, names, "percentiles"),
        )
    ]
    edges = edges_of(result, _ARRIVALS)
    if edges[-1] > 0:
        labels = tuple(tick(float(f"{float(edge):.3g}"), "time") for edge in edges[:-1])
        timed = causes_over_time(result, edges, labels)
        most = float(np.nanmax(timed.seconds.sum(axis=1), initial=0.0))
        drawn.append(
            figure(
                stacked_bars(
                    Chart(
                        key="timed",
                        title="Causes of latency by time of arrival",
                        description=f"Mean latency by cause of the requests that came in each of {_ARRIVALS} equal "
                        f"parts of the run; at most {show(most, 'time')}.",
                    ),
                    names,
                    linear("mean end-to-end latency", most, "time"),
                    labels,
                    timed.seconds,
                    "time of arrival",
                    (),
                ),
                label="causes of latency by time of arrival",
                caption=f"Means over the finished requests that came in each of {_ARRIVALS} equal parts of the run, "
                f"{number(float(edges[1]), 'time')} long.",
                numbers=_cause_table(timed, names, "arrival from"),
            )
        )
    return "\n".join(drawn)


def _latency_axis(known: Mapping[str, Floats], limits: Iterable[float]) -> Axis:
    """From what the fastest hundredth takes, waiting apart, for that is mostly nothing or the rounding of nothing."""
    low = [float(each[1:][each[1:] > 0].min(initial=np.inf)) for key, each in known.items() if key != "queue"]
    high = max(*(float(np.nanmax(each)) for each in known.values()), *limits, 0.0)
    if not high > 0:
        return linear("latency", 0.0, "time")
    return logarithmic("latency", max(min([*low, high]), high * _RANGE), high, "time")


def _spoken(shares: Floats, known: Mapping[str, Floats], names: Mapping[str, str]) -> str:
    """The chart in words."""
    middle = int(np.searchsorted(shares, 0.5))
    parts = [
        f"{names[key]}: median {number(float(values[middle]), 'time')}, largest {number(float(values[-1]), 'time')}"
        for key, values in known.items()
    ]
    return f"{'; '.join(parts)}."


def _quantile_table(result: ServeResult, known: Mapping[str, Floats], names: Mapping[str, str]) -> str:
    columns = []
    for key, values in latencies(result).items():
        if key in known:
            columns.append(np.quantile(values[~np.isnan(values)], _WRITTEN).tolist())
    rows = (
        (f"{100 * share:g}%", *(number(column[row], "time") for column in columns))
        for row, share in enumerate(_WRITTEN)
    )
    return table(["share of requests", *(names[key] for key in known)], rows)


def _worst_causes(ranked: Causes, names: Sequence[str]) -> str:
    fast, slow = (names[int(np.argmax(ranked.seconds[row]))] for row in (0, -1))
    return f"The fastest requests spend most time on {fast}, the slowest on {slow}."


def _cause_table(causes: Causes, names: Sequence[str], first: str) -> str:
    rows = (
        (plain(group), f"{int(count):,}", *(number(value, "time") for value in [*row.tolist(), float(row.sum())]))
        for group, count, row in zip(causes.groups, causes.requests, causes.seconds, strict=True)
    )
    return table([first, "requests", *names, "together"], rows, caption="Mean seconds of a request by cause")
