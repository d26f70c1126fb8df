"""What a run was like for those who asked and for those who pay. Every metric is defined in docs/glossary.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rdusim.serve.slo import Slo
from rdusim.serve.types import Cause, ServeResult
from rdusim.units import Seconds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Mean, largest and percentiles (by number: 50, 90, 95, 99, 99.9) of seconds; NaN of nothing."""

    count: int
    mean: float
    largest: float
    percentiles: Mapping[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What a node costs and draws; None: not known. Power while it works and while it waits."""

    node_hour: float | None = None
    busy_watts: float | None = None
    idle_watts: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Of a whole run. Rates are per second of the run. `attained`: share of all requests that keep the SLO.

    `switch_share`: of all seconds of all latencies; `causes`: that share of every cause. `utilisation`: by node.
    """

    requests: int
    finished: int
    rejected: int
    seconds: Seconds
    ttft: Spread
    tpot: Spread
    tbt: Spread
    e2e: Spread
    queue: Spread
    causes: Mapping[str, float]
    switch_share: float
    requests_per_second: float
    input_tokens: int
    output_tokens: int
    tokens_per_second: float
    utilisation: tuple[float, ...]
    hit_rate: float | None
    attained: float | None = None
    goodput: float | None = None
    price_per_million_tokens: float | None = None
    joules_per_token: float | None = None


def measure(result: ServeResult, slo: Slo | None = None, prices: Prices | None = None) -> Metrics:
    """All metrics of a run. Equations: docs/model.md, "Metrics"."""
    latency = latencies(result)
    done = np.isfinite(result.served.finish)
    output = int(result.served.requests.output_tokens[done].sum())
    seconds = float(result.seconds) or float("nan")
    kept = kept_slo(result, slo) if slo is not None else None
    causes = _causes(result)
    switches = result.hits + result.misses
    return Metrics(
        requests=len(done),
        finished=int(done.sum()),
        rejected=len(result.rejected),
        seconds=result.seconds,
        **{name: spread(values) for name, values in latency.items()},
        causes=causes,
        switch_share=causes[Cause.SWITCH.name.lower()],
        requests_per_second=float(done.sum()) / seconds,
        input_tokens=int(result.served.requests.prompt_tokens[done].sum()),
        output_tokens=output,
        tokens_per_second=output / seconds,
        utilisation=tuple((result.busy / seconds).tolist()),
        hit_rate=result.hits / switches if switches else None,
        attained=float(kept.mean()) if kept is not None else None,
        goodput=float(kept.sum()) / seconds if kept is not None else None,
        price_per_million_tokens=_price(result, prices, output),
        joules_per_token=_energy(result, prices, output),
    )


def latencies(result: ServeResult) -> dict[str, Floats]:
    """By metric, seconds of every request; NaN where it did not come so far, or has no such time."""
    served = result.served
    arrival, more = served.requests.arrival, served.requests.output_tokens - 1
    several = more > 0
    decoding = np.where(np.isfinite(served.finish), served.finish - served.first_token, np.nan)
    return {
        "ttft": served.first_token - arrival,
        "tpot": np.where(several, decoding / np.maximum(more, 1), np.nan),
        "tbt": np.where(several, served.worst_gap, np.nan),
        "e2e": served.finish - arrival,
        "queue": served.causes[:, Cause.QUEUE],
    }


def kept_slo(result: ServeResult, slo: Slo) -> NDArray[np.bool_]:
    """Whether each request finished and kept every limit; an answer of one token has no TPOT or TBT to keep."""
    latency = latencies(result)
    kept = np.isfinite(result.served.finish)
    for name, limit in slo.limits.items():
        kept &= ~(latency[name] > limit)
    return kept


def excess(result: ServeResult, slo: Slo) -> dict[str, float]:
    """By metric, how many times its limit is what `slo.share` of requests keep below; inf if so many never finish."""
    missing = ~np.isfinite(result.served.finish)
    over = {}
    for name, values in latencies(result).items():
        if name in slo.limits:
            known = np.sort(np.where(missing, np.inf, np.where(np.isnan(values), 0.0, values)))
            place = min(int(np.ceil(slo.share * len(known))), len(known)) - 1
            over[name] = float(known[place] / slo.limits[name])
    return over


def spread(values: Floats) -> Spread:
    """Of those that are not NaN; percentiles between two ranks are interpolated."""
    known = values[~np.isnan(values)]
    if not len(known):
        return Spread(count=0, mean=np.nan, largest=np.nan, percentiles=dict.fromkeys(PERCENTILES, np.nan))
    found = np.percentile(known, PERCENTILES).tolist()
    return Spread(
        count=len(known),
        mean=float(known.mean()),
        largest=float(known.max()),
        percentiles=dict(zip(PERCENTILES, found, strict=True)),
    )


def residency(result: ServeResult, node: int = 0) -> tuple[Floats, NDArray[np.int64]]:
    """Times at which the number of experts in near memory of a node was looked at, and that number."""
    rows = result.occupancy.node == node
    return result.occupancy.time[rows], result.occupancy.resident[rows]


def _causes(result: ServeResult) -> dict[str, float]:
    totals = np.nansum(result.served.causes, axis=0)
    whole = float(totals.sum()) or 1.0
    return {cause.name.lower(): float(totals[cause]) / whole for cause in Cause}


def _price(result: ServeResult, prices: Prices | None, tokens: int) -> float | None:
    if prices is None or prices.node_hour is None or not tokens:
        return None
    return prices.node_hour * result.nodes * result.seconds / 3600 / tokens * 1_000_000


def _energy(result: ServeResult, prices: Prices | None, tokens: int) -> float | None:
    """Busy seconds at busy power, the others at idle power; without idle power, busy power throughout."""
    if prices is None or prices.busy_watts is None or not tokens:
        return None
    idle = prices.busy_watts if prices.idle_watts is None else prices.idle_watts
    busy = float(result.busy.sum())
    return (prices.busy_watts * busy + idle * max(result.nodes * result.seconds - busy, 0.0)) / tokens
