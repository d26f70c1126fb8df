"""Which experts were in near memory when, and when they were switched to: charts by expert and time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from rdusim.report.html.axes import span
from rdusim.report.html.charts import Chart
from rdusim.report.html.heat import count_levels, even_levels, heat_map
from rdusim.report.html.page import figure, paragraphs, table
from rdusim.report.html.text import number, plain
from rdusim.report.serve_load import TIME, series
from rdusim.report.serve_residency import Residency, busiest_nodes, residency_of, switch_counts
from rdusim.report.serve_series import edges_of
from rdusim.serve.types import ServeResult

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_FINE: Final = 240  # bins: two pixels each
_SLICES: Final = 12  # times in the tables
_ROWS: Final = 40  # experts in a heat map
_NODES: Final = 8  # with a timeline of their own; they share the rows


def residency_figures(result: ServeResult) -> str:
    """Node by node, which experts were in near memory."""
    edges = edges_of(result, _FINE)
    if not edges[-1] > 0:
        return paragraphs("The run took no time.")
    if not len(result.switches.begin) and not result.occupancy.resident.any():
        return paragraphs(f"There was no expert cache: all experts ({len(result.experts)}) were resident throughout.")
    nodes = busiest_nodes(result, _NODES)
    parts = []
    if result.nodes > len(nodes):
        parts.append(paragraphs(f"The {len(nodes)} nodes with most requests, of {result.nodes}."))
    for node in nodes:
        parts.append(_node(result, residency_of(result, node, edges, max(_ROWS // len(nodes), 8)), edges))
    return "\n".join(parts)


def switch_figure(result: ServeResult) -> str:
    """Time by expert: how often its weights were copied in."""
    edges = edges_of(result, _FINE // 2)
    counted = switch_counts(result, edges, _ROWS)
    if not len(counted.experts) or not edges[-1] > 0:
        return paragraphs("No expert was switched to: nothing had to be copied.")
    names = [result.experts[expert].name for expert in counted.experts.tolist()]
    rows, counts, total = list(names), counted.counts, [*counted.total.tolist()]
    seconds = [number(value, "time") for value in counted.seconds.tolist()]
    if counted.others:
        rows.append(f"{counted.others} others")
        counts = np.vstack((counts, counted.rest))
        total.append(int(counted.rest.sum()))
        seconds.append("")
    levels, scale = count_levels(counts)
    every = number(float(edges[1]), "time")
    drawing = heat_map(
        Chart(
            key="switches",
            title="Switches by expert and time",
            description=f"{sum(total):,} switches; most, {total[0]:,}, to {names[0]}.",
        ),
        span(TIME, float(edges[-1]), "time"),
        rows,
        levels,
        scale,
    )
    slices = _sliced(counts).sum(axis=2).tolist()
    cells = (
        [plain(name), f"{count:,}", spent, *(f"{value:,}" for value in row)]
        for name, count, spent, row in zip(rows, total, seconds, slices, strict=True)
    )
    return figure(
        drawing,
        label="switches by expert and time",
        caption=f"How often an expert was copied into near memory in {every}, over all nodes; the most switched first.",
        numbers=table(
            ["expert", "switches", "copying", *_slice_heads(edges)],
            cells,
            caption="Switches by expert: all, seconds spent copying, and by time from",
        ),
    )


def _node(result: ServeResult, found: Residency, edges: Floats) -> str:
    names = [result.experts[expert].name for expert in found.experts.tolist()]
    levels, scale = even_levels(found.share)
    count = found.count
    told = (
        f"{found.used} of {len(result.experts)} experts were used on node {found.node}; "
        f"{count.mean():.1f} resident on average, at most {count.max():.1f} over one part of the time."
    )
    heat = heat_map(
        Chart(key=f"node{found.node}", title=f"Experts in near memory, node {found.node}", description=told),
        span(TIME, float(edges[-1]), "time"),
        names,
        levels,
        scale,
    )
    cells = (
        [plain(name), f"{requests:,}", *(number(value, "share") for value in [whole, *slices])]
        for name, requests, whole, slices in zip(
            names,
            found.requests.tolist(),
            found.share.mean(axis=1).tolist(),
            _sliced(found.share).mean(axis=2).tolist(),
            strict=True,
        )
    )
    heads = ["expert", "requests", "resident", *_slice_heads(edges)]
    shown = f"The {len(names)} most used of {found.used} experts" if found.used > len(names) else "All experts used"
    line = series(
        f"count{found.node}", f"Experts resident, node {found.node}", span(TIME, float(edges[-1]), "time"),
        edges[:: _FINE // 120], {"experts": count.reshape(120, -1).mean(axis=1)}, "count",
        f"How many experts are in near memory, of {len(result.experts)}; mean by time.",
    )  # fmt: skip
    return (
        f"<h3>Node {found.node}</h3>\n"
        + figure(
            heat,
            label=f"experts in near memory, node {found.node}",
            caption=f"{shown}, by requests. Darkness (on a dark page: brightness): which part of each "
            f"{number(float(edges[1]), 'time')} an expert was in near memory; copies count from their end. What was "
            "there from the start is told from its use and from its being put out.",
            numbers=table(heads, cells, caption="Share of the time resident: whole run, and by time from"),
        )
        + line
    )


def _sliced(values: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64] | NDArray[np.int64]:
    """Bins in fewer, longer times: (row, slice, bin of it)."""
    return values.reshape(len(values), _SLICES, -1)


def _slice_heads(edges: Floats) -> list[str]:
    step = (len(edges) - 1) // _SLICES
    return [number(float(edge), "time") for edge in edges[:-1:step]]
