"""What the nodes did over time: requests and tokens a second, the running batch, the KV cache; and the footprint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from rdusim.report.html.axes import Axis, linear, span
from rdusim.report.html.charts import Chart, Limit, Line, line_chart, stacked_areas
from rdusim.report.html.page import figure, paragraphs, table
from rdusim.report.html.text import number, plain
from rdusim.report.serve_series import edges_of, load, rates
from rdusim.serve.types import ServeResult
from rdusim.units import Kind, show

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

TIME: Final = "time of the run"


def load_figures(result: ServeResult) -> str:
    """Requests and tokens a second, the running batch, and the KV cache by tier, over the time of the run."""
    edges = edges_of(result)
    if not edges[-1] > 0:
        return paragraphs("The run took no time.")
    rate, busy = rates(result, edges), load(result, edges)
    every = f"Means over {number(float(edges[1]), 'time')} each."
    time = span(TIME, float(edges[-1]), "time")
    requests = {"arrived": rate.arrived, "finished": rate.finished}
    parts = [
        series("requests", "Requests per second", time, edges, requests, "count", f"{every} Where more come "
                "than finish, the queue grows."),
        series("tokens", "Output tokens per second", time, edges, {"output tokens/s": rate.tokens}, "count",
                f"{every} Tokens of a request are spread evenly from its first to its last; of an unfinished request "
                "only the first is counted."),
        series("running", "Running batch", time, edges,
                {"all nodes, mean": busy.running, "one node, largest": busy.most_running}, "count",
                f"Sequences that run at once: mean of the sum over nodes, and the largest batch of any node, in each "
                f"{number(float(edges[1]), 'time')}; as recorded, which in long runs is by samples."),
    ]  # fmt: skip
    kv = {"near (HBM)": busy.kv_near, "far (DDR)": busy.kv_far}
    if busy.kv_near.any() or busy.kv_far.any():
        parts.append(_kv(result, time, edges, kv, every))
    else:
        parts.append(paragraphs("KV use by tier: no memory for KV was limited or recorded in this run."))
    return "\n".join(parts)


def footprint_figure(footprint: Mapping[str, Sequence[tuple[int, int]]]) -> str:
    """Nodes by number of experts, a line for each machine or way."""
    lines = [
        Line(
            name=name,
            x=np.array([float(experts) for experts, _ in points]),
            y=np.array([float(nodes) for _, nodes in points]),
        )
        for name, points in footprint.items()
        if points
    ]
    if not lines:
        return paragraphs("No footprint was given.")
    told = "; ".join(f"{line.name}: {line.y[-1]:,.0f} nodes for {line.x[-1]:,.0f} experts" for line in lines)
    rows = (
        (plain(name), f"{experts:,}", f"{nodes:,}") for name, points in footprint.items() for experts, nodes in points
    )
    return figure(
        line_chart(
            Chart(key="footprint", title="Nodes by number of experts", description=told),
            linear("experts", max(float(line.x.max()) for line in lines), "count"),
            linear("nodes", max(float(line.y.max()) for line in lines), "count"),
            lines,
        ),
        label="nodes by number of experts",
        caption="How many nodes hold so many experts.",
        numbers=table(["", "experts", "nodes"], rows),
    )


def series(
    key: str, title: str, time: Axis, edges: Floats, columns: Mapping[str, Floats], kind: Kind, caption: str
) -> str:
    most = max(float(values.max(initial=0.0)) for values in columns.values())
    told = "; ".join(f"{name}: at most {number(float(values.max()), kind)}" for name, values in columns.items())
    drawing = line_chart(
        Chart(key=key, title=title, description=told),
        time,
        linear(title.lower(), most, kind),
        [Line(name=name, x=edges, y=_held(values), steps=True) for name, values in columns.items()],
        plot=160,
    )
    return figure(drawing, label=title.lower(), caption=caption, numbers=_time_table(edges, columns, kind))


def _kv(result: ServeResult, time: Axis, edges: Floats, kv: Mapping[str, Floats], every: str) -> str:
    most = float(sum(kv.values()).max())  # type: ignore[union-attr]
    limits = _kv_limits(result, most)
    drawing = stacked_areas(
        Chart(
            key="kv",
            title="KV cache by tier",
            description="; ".join(f"{name}: at most {number(float(each.max()), 'size')}" for name, each in kv.items()),
        ),
        time,
        linear("KV cache", max([most, *(limit.value for limit in limits)]), "size"),
        [Line(name=name, x=edges, y=_held(values)) for name, values in kv.items()],
        limits,
    )
    return figure(
        drawing,
        label="KV cache by tier",
        caption=f"Bytes of keys and values over all nodes, on each other. {every}",
        numbers=_time_table(edges, kv, "size"),
    )


def _kv_limits(result: ServeResult, most: float) -> list[Limit]:
    """The near tier's room for KV, if the settings say it and it is not far above all that is drawn."""
    memory = result.settings.get("kv")
    near = memory.get("near") if isinstance(memory, Mapping) else getattr(memory, "near", None)
    if not isinstance(near, int) or near * result.nodes > 4 * most:
        return []
    return [Limit(name=f"near memory for KV, {show(near * result.nodes, 'size')}", value=float(near * result.nodes))]


def _held(values: Floats) -> Floats:
    """With the end of the last bin, where its value ends."""
    return np.concatenate((values, values[-1:]))


def _time_table(edges: Floats, columns: Mapping[str, Floats], kind: Kind) -> str:
    rows = (
        (number(float(edge), "time"), *(number(_three(float(values[row])), kind) for values in columns.values()))
        for row, edge in enumerate(edges[:-1])
    )
    return table(["from", *columns], rows)


def _three(value: float) -> float:
    """Means of counts to a tenth, where they are not whole; sizes are rounded where they are shown."""
    return round(value, 1) if value < 1000 else float(round(value))
