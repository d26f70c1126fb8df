"""The answer to a scenario for people: latency, its causes, the expert cache, memory, money. Fits 80 columns."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rdusim.report.serving import FootprintCurve, ServeReport, spreads
from rdusim.serve.coe import CurvePoint
from rdusim.serve.metrics import PERCENTILES, Spread
from rdusim.units import Seconds, show

_BAR = 24
_NAMES = {
    "ttft": "to first token (TTFT)",
    "tpot": "per further token (TPOT)",
    "tbt": "longest gap of tokens",
    "e2e": "end to end",
    "queue": "of it queueing",
}
_CURVE_ROWS = 12


def print_serving(report: ServeReport, console: Console) -> None:
    """Print all of it; bars are ASCII where the terminal cannot show more."""
    for block in blocks(report, ascii_only=not console.encoding.lower().startswith("utf")):
        console.print(block)


def blocks(report: ServeReport, *, ascii_only: bool = False) -> Iterator[RenderableType]:
    """What was asked, the answer, what was searched, and the tables behind it."""
    lines = [Text(asked(report), style="dim"), Text(headline(report), style="bold green")]
    if report.partial:
        lines.insert(0, Text("PARTIAL: interrupted before all requests were served", style="bold red"))
    if report.found is not None:
        style = "bold green" if report.found.value is not None else "bold red"
        lines.append(Text(f"{report.wanted}: {report.found.message}", style=style))
    yield Group(*lines)
    yield _titled("Latency of a request", _latencies(report))
    yield _titled("Where latency comes from", _causes(report, "#" if ascii_only else "\N{FULL BLOCK}"))
    yield _titled("Expert cache", _pairs(_cache(report)))
    yield _titled("Memory of a node", _pairs(_memory(report)))
    if money := _money(report):
        yield _titled("Cost", _pairs(money))
    for curve in report.footprint:
        yield _titled(f"Footprint: {curve.machine}", _curve(curve))
    yield Group(Text(), *(Text(line) for line in (*_basis(report), *(f"note: {note}" for note in report.notes))))


def asked(report: ServeReport) -> str:
    """The scenario in one sentence."""
    it = report.asked
    nodes = f"{it.nodes} nodes of " if it.nodes > 1 else ""
    parts = [
        f"{it.scenario}: {it.experts:,} expert{'s' if it.experts > 1 else ''}",
        f"{nodes}{it.machine} ({it.sockets})",
        f"{it.load}, routed {it.routing}",
        f"scheduler {it.scheduler}, batch {it.batch}",
        f"cache {it.cache}",
        f"seed {it.seed}",
    ]
    return ", ".join(parts)


def headline(report: ServeReport) -> str:
    """Requests served, the latencies asked for first, and the rate."""
    metrics = report.metrics
    parts = [f"{metrics.finished:,} of {metrics.requests:,} requests in {_time(metrics.seconds)}"]
    if metrics.rejected:
        parts.append(f"{metrics.rejected:,} rejected")
    if isfinite(metrics.tokens_per_second):
        parts.append(f"{metrics.tokens_per_second:,.0f} output tokens/s")
    if report.slo is not None and metrics.attained is not None:
        parts.append(f"SLO kept by {metrics.attained:.1%}, {metrics.goodput or 0.0:.3g} requests/s")
    return "   ".join(parts)


def _latencies(report: ServeReport) -> Table:
    table = _table("", "mean", *(f"p{place:g}" for place in PERCENTILES), "max")
    for name, spread in spreads(report.metrics).items():
        table.add_row(_NAMES[name], *_spread(spread))
    return table


def _spread(spread: Spread) -> Iterator[str]:
    yield _time(spread.mean)
    for place in PERCENTILES:
        yield _time(spread.percentiles[place])
    yield _time(spread.largest)


def _causes(report: ServeReport, block: str) -> Table:
    table = Table(box=None, padding=(0, 0, 0, 2), pad_edge=False, show_header=False)
    for justify in ("left", "right", "left"):
        table.add_column(justify=justify, no_wrap=True)
    for cause, share in report.metrics.causes.items():
        table.add_row(cause, show(share, "share"), Text(block * round(_BAR * share), style="blue"))
    return table


def _cache(report: ServeReport) -> Iterator[tuple[str, str]]:
    cache = report.cache
    rate = f" ({cache.hit_rate:.1%} hits)" if cache.hit_rate is not None else ""
    yield "activations", f"{cache.hits + cache.misses:,}{rate}"
    yield "misses", f"{cache.misses:,}, {cache.evictions:,} experts put out"
    back = f", {show(cache.copied_back_bytes, 'size')} back" if cache.copied_back_bytes else ""
    yield "copied in", f"{show(cache.moved_bytes, 'size')}{back}"
    yield "time copying", _time(cache.copy_seconds)


def _memory(report: ServeReport) -> Iterator[tuple[str, str]]:
    memory, occupancy = report.memory, report.result.occupancy
    yield "nearest tier", show(memory.capacity_bytes, "size")
    yield "  for experts", f"{show(memory.expert_bytes, 'size')}, {memory.resident_experts:,} at once"
    if memory.router_bytes:
        yield "  for the router", show(memory.router_bytes, "size")
    if memory.kv_bytes:
        peak = float(occupancy.kv_near_bytes.max()) if len(occupancy.kv_near_bytes) else 0.0
        used = f", at most {show(peak, 'size')} used" if peak else ""
        yield "  for KV", f"{show(memory.kv_bytes, 'size')}{used}"
    of = f" of {show(memory.home_capacity_bytes, 'size')}" if memory.home_capacity_bytes is not None else ""
    yield "experts at home", f"{show(memory.home_bytes, 'size')}{of}"
    if report.result.preemptions:
        yield "preemptions", f"{report.result.preemptions:,}"


def _money(report: ServeReport) -> list[tuple[str, str]]:
    found = []
    if (price := report.metrics.price_per_million_tokens) is not None:
        found.append(("per million output tokens", f"{price:,.4g}, in the currency of the scenario"))
    if (joules := report.metrics.joules_per_token) is not None:
        found.append(("energy per output token", f"{joules:,.4g} J"))
    return found


def _curve(curve: FootprintCurve) -> Table:
    """Some rows of it, those where something changes among them."""
    table = _table("experts", "latency", "route", "switch", "execute", "nodes", "nodes, all near")
    for point in _some(curve):
        latency = point.latency
        times = (
            [_time(part) for part in (latency.total, latency.route, latency.switch, latency.execute)]
            if latency is not None
            else ["does not fit", "", "", ""]
        )
        nodes = (-(-point.experts // held) if held else 0 for held in (curve.held, curve.resident))
        table.add_row(f"{point.experts:,}", *times, *(f"{count:,}" if count else "-" for count in nodes))
    return table


def _some(curve: FootprintCurve) -> list[CurvePoint]:
    points = curve.points
    told = {curve.resident, curve.resident + 1, curve.held, curve.held + 1}
    every = max(1, len(points) // _CURVE_ROWS)
    return [point for place, point in enumerate(points) if place % every == 0 or point.experts in told]


def _basis(report: ServeReport) -> Iterator[str]:
    for table in report.tables:
        yield (
            f"step costs of {table.shape}: {table.measured} steps, interpolated within {table.error_inside:.1%} "
            "(checked in the widest gaps)"
        )


def _time(seconds: float) -> str:
    if not isfinite(seconds):
        return "-"
    return show(Seconds(seconds if abs(seconds) > 1e-12 else 0.0), "time")  # below it: rounding of differences


def _pairs(rows: Iterator[tuple[str, str]] | list[tuple[str, str]]) -> Table:
    table = Table(box=None, padding=(0, 0, 0, 2), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 0, 0, 1), pad_edge=False, header_style="dim")
    for index, name in enumerate(columns):
        table.add_column(name, justify="right" if index else "left", no_wrap=bool(index), overflow="fold")
    return table


def _titled(title: str, table: Table) -> RenderableType:
    return Group(Text(), Text(title, style="bold cyan"), Padding(table, (0, 0, 0, 2), expand=False))
