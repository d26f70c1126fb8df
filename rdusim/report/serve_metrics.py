"""The metrics of a serving run as tables, each with what it means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rdusim.report.html.page import exact, table, tiles
from rdusim.report.html.text import number, plain
from rdusim.serve.metrics import PERCENTILES, Metrics
from rdusim.serve.slo import Slo
from rdusim.units import Kind

SPREADS: Final = {
    "ttft": ("TTFT", "time to first token: from the arrival of a request to its first token"),
    "tpot": ("TPOT", "time per output token: mean time between the tokens of a request after its first"),
    "tbt": ("TBT", "time between tokens: the longest that a request waited for its next token"),
    "e2e": ("end to end", "from the arrival of a request to its last token"),
    "queue": ("queue", "the part of a request's end-to-end latency spent waiting for a turn"),
}
CAUSES: Final = {
    "queue": "waiting for a turn, or for prompts of others",
    "route": "the router chooses the expert",
    "switch": "the expert's weights are copied into near memory",
    "compute": "the expert runs",
    "network": "to the node and back",
}


def headline(metrics: Metrics) -> str:
    """What a reader looks for first."""
    ttft, tpot, e2e = metrics.ttft.percentiles, metrics.tpot.percentiles, metrics.e2e.percentiles
    facts = [
        ("requests finished", f"{metrics.finished:,} of {metrics.requests:,}"),
        ("TTFT, median", number(ttft[50.0], "time")),
        ("TTFT, 99%", number(ttft[99.0], "time")),
        ("TPOT, 99%", number(tpot[99.0], "time")),
        ("end to end, median", number(e2e[50.0], "time")),
        ("end to end, 99%", number(e2e[99.0], "time")),
        ("output tokens/s", number(metrics.tokens_per_second, "count")),
        ("switching, of all latency", number(metrics.switch_share, "share")),
    ]
    if metrics.hit_rate is not None:
        facts.append(("expert cache hits", number(metrics.hit_rate, "share")))
    if metrics.attained is not None:
        facts.append(("requests within the SLO", closely(metrics.attained)))
    return tiles((name, plain(value)) for name, value in facts)


def metrics_tables(metrics: Metrics, slo: Slo | None) -> str:
    """All numbers, with `<data value=...>` for programs, and definitions."""
    heads = ["latency", "requests", "mean", *(f"{each:g}%" for each in PERCENTILES), "largest", "meaning"]
    # The meaning stands last, for on a phone the numbers come first; it is a column of words all the same.
    spreads = table(heads[:-1], _spreads(metrics), caption="Latencies; 99%: what 99% of requests stay below")
    meanings = "".join(f"<li>{plain(name)}: {plain(said)}</li>" for name, said in SPREADS.values())
    rows = [
        (plain(name), plain(said), exact(value, text, f"m-{key}"))
        for key, name, value, text, said in _rows(metrics, slo)
    ]
    return (
        f"{spreads}\n<ul>{meanings}</ul>\n"
        f"{table(['metric', 'meaning', 'value'], rows, caption='Of the whole run', words=2)}"
    )


def _spreads(metrics: Metrics) -> Iterator[tuple[str, ...]]:
    for key, (name, _) in SPREADS.items():
        spread = getattr(metrics, key)
        values = {"mean": spread.mean} | {f"p{each:g}": spread.percentiles[each] for each in PERCENTILES}
        values["largest"] = spread.largest
        cells = (exact(value, number(value, "time"), f"m-{key}-{part}") for part, value in values.items())
        yield (plain(name), exact(spread.count, f"{spread.count:,}", f"m-{key}-count"), *cells)


def _rows(metrics: Metrics, slo: Slo | None) -> Iterator[tuple[str, str, float | None, str, str]]:
    """Key, name, value, text, meaning."""
    known: list[tuple[str, str, float | None, Kind, str]] = [
        ("requests", "requests", metrics.requests, "count", "that were asked for"),
        ("finished", "finished", metrics.finished, "count", "got their last token"),
        ("rejected", "rejected", metrics.rejected, "count", "could never be served: too long for shapes or memory"),
        ("seconds", "duration", metrics.seconds, "time", "simulated, from the start to the last thing that happened"),
        ("requests_per_second", "requests/s", metrics.requests_per_second, "count", "finished, per second of the run"),
        ("input_tokens", "input tokens", metrics.input_tokens, "count", "prompts of finished requests"),
        ("output_tokens", "output tokens", metrics.output_tokens, "count", "answers of finished requests"),
        ("tokens_per_second", "tokens/s", metrics.tokens_per_second, "count", "output tokens, per second of the run"),
        ("switch_share", "switch share", metrics.switch_share, "share", "of all seconds of all latencies"),
        ("hit_rate", "cache hits", metrics.hit_rate, "share", "activations of an expert that was already resident"),
        ("attained", "SLO attained", metrics.attained, "share", f"of all requests: {_limits(slo)}"),
        ("goodput", "goodput", metrics.goodput, "count", "requests/s that keep the SLO"),
    ]
    known += [
        (f"cause_{key}", f"cause: {key}", metrics.causes.get(key), "share", f"of all latency; {said}")
        for key, said in CAUSES.items()
    ]
    known += [
        (f"busy_{node}", f"node {node} busy", share, "share", "of the run: a step, or a copy that a step waits for")
        for node, share in enumerate(metrics.utilisation)
    ]
    for key, name, value, kind, said in known:
        if value is not None:
            yield key, name, value, closely(value) if key == "attained" else number(value, kind), said
    for key, name, value, said in (
        ("price", "price per million tokens", metrics.price_per_million_tokens, "nodes for the run, per output token"),
        ("joules_per_token", "J per token", metrics.joules_per_token, "energy of all nodes, per output token"),
    ):
        if value is not None:
            yield key, name, value, f"{value:,.4g}", said


def closely(share: float) -> str:
    """A share near 1: `99.95%` is another promise than `100%`."""
    return "100%" if share == 1 else f"{min(100 * share, 99.99):.4g}%"


def _limits(slo: Slo | None) -> str:
    if slo is None:
        return "finished within every limit"
    limits = ", ".join(f"{name} at most {number(limit, 'time')}" for name, limit in slo.limits.items())
    return f"{limits}; wanted of {closely(slo.share)}"
