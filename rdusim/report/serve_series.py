"""A run of any length as a few hundred numbers: means over equal times, exact integrals where a quantity has steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from rdusim.serve.metrics import latencies
from rdusim.serve.types import Cause, ServeResult

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

BINS: Final = 120
_GROUPS: Final = (0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 95.0, 99.0, 99.9, 100.0)
_DEEPEST: Final = 5  # 99.999%: beyond, a line would be single requests of a run of millions


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """By bin of time: requests that came, requests that ended, output tokens, all per second."""

    arrived: Floats
    finished: Floats
    tokens: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """By bin of time, means over it of sums over nodes; `most_running`: the largest batch of any one node in it."""

    running: Floats
    most_running: Floats
    kv_near: Floats
    kv_far: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Causes:
    """Seconds by (group, cause), means over the finished requests of each group; NaN for a group without any."""

    groups: tuple[str, ...]
    requests: Ints
    seconds: Floats


def edges_of(result: ServeResult, bins: int = BINS) -> Floats:
    """Ends of equal parts of the run; all zero if it took no time."""
    return np.linspace(0.0, float(result.seconds), bins + 1)


def mean_of_steps(times: Floats, values: Floats, edges: Floats, before: float = 0.0) -> Floats:
    """Mean over each bin of what is `values[i]` from `times[i]` (ascending) on, and `before` before the first."""
    knots = np.concatenate(([edges[0]], np.clip(times, edges[0], edges[-1]), [edges[-1]]))
    held = np.concatenate(([before], values))
    integral = np.concatenate(([0.0], np.cumsum(held * np.diff(knots))))
    return np.diff(np.interp(edges, knots, integral)) / np.diff(edges)


def most_of_steps(times: Floats, values: Floats, edges: Floats) -> Floats:
    """The largest value in each bin, what holds at its beginning included; 0 before the first."""
    held = np.concatenate(([0.0], values))
    most = held[np.searchsorted(times, edges[:-1], side="right")]
    np.maximum.at(most, _bins(times, edges), values)
    return most


def rates(result: ServeResult, edges: Floats) -> Rates:
    """Tokens are spread evenly from a request's first to its last; of unfinished ones only the first is counted."""
    served, wide = result.served, np.diff(edges)
    done = np.isfinite(served.finish)
    return Rates(
        arrived=_counted(served.requests.arrival, edges) / wide,
        finished=_counted(served.finish[done], edges) / wide,
        tokens=_tokens(result, edges) / wide,
    )


def load(result: ServeResult, edges: Floats) -> Load:
    """What the occupancy has; it may be samples of a long run, then values hold from one sample to the next."""
    occupancy = result.occupancy
    sums = np.zeros((3, len(edges) - 1))
    most = np.zeros(len(edges) - 1)
    columns = (occupancy.running, occupancy.kv_near_bytes, occupancy.kv_far_bytes)
    for node in np.unique(occupancy.node).tolist():
        rows = np.flatnonzero(occupancy.node == node)
        rows = rows[np.argsort(occupancy.time[rows], kind="stable")]
        times = occupancy.time[rows]
        for total, column in zip(sums, columns, strict=True):
            total += mean_of_steps(times, column[rows].astype(np.float64), edges)
        most = np.maximum(most, most_of_steps(times, occupancy.running[rows].astype(np.float64), edges))
    return Load(running=sums[0], most_running=most, kv_near=sums[1], kv_far=sums[2])


def quantiles(result: ServeResult) -> tuple[Floats, dict[str, Floats]]:
    """Shares of requests, and by metric the latency that this share stays below.

    NaN beyond the share 1 - 1/count, where one request would be all that speaks. The last share is 1: the largest.
    """
    known = {name: values[~np.isnan(values)] for name, values in latencies(result).items()}
    count = max((len(values) for values in known.values()), default=0)
    deepest = float(np.clip(np.floor(np.log10(max(count, 1))), 2, _DEEPEST))
    shares = np.concatenate(
        (np.arange(99) / 100, 1.0 - 10.0 ** -np.linspace(2.0, deepest, 1 + 20 * int(deepest - 2)), [1])
    )
    found = {}
    for name, values in known.items():
        if not len(values):
            found[name] = np.full(len(shares), np.nan)
            continue
        found[name] = np.quantile(values, shares)
        found[name][(shares > 1.0 - 1.0 / len(values) + 1e-12) & (shares < 1.0)] = np.nan
    return shares, found


def causes_by_percentile(result: ServeResult) -> Causes:
    """Finished requests by their end-to-end latency, in groups between two percentiles."""
    done = np.flatnonzero(np.isfinite(result.served.finish))
    latency = result.served.finish[done] - result.served.requests.arrival[done]
    order = done[np.argsort(latency, kind="stable")]
    cuts = np.rint(np.array(_GROUPS) / 100 * len(order)).astype(np.int64)
    groups, counts, means = [], [], []
    for low, high, start, end in zip(_GROUPS, _GROUPS[1:], cuts, cuts[1:], strict=False):
        if end > start:
            groups.append(f"{low:g}-{high:g}")
            counts.append(int(end - start))
            means.append(result.served.causes[order[start:end]].mean(axis=0))
    return Causes(
        groups=tuple(groups),
        requests=np.array(counts, dtype=np.int64),
        seconds=np.array(means).reshape(-1, len(Cause)),
    )


def causes_over_time(result: ServeResult, edges: Floats, labels: tuple[str, ...]) -> Causes:
    """Finished requests by the time they came."""
    served = result.served
    done = np.isfinite(served.finish) & (served.requests.arrival <= edges[-1])
    place = _bins(served.requests.arrival[done], edges)
    counts = np.bincount(place, minlength=len(edges) - 1)
    means = np.full((len(counts), len(Cause)), np.nan)
    for cause in Cause:
        sums = np.bincount(place, served.causes[done, cause], minlength=len(counts))
        np.divide(sums, counts, out=means[:, cause], where=counts > 0)
    return Causes(groups=labels, requests=counts.astype(np.int64), seconds=means)


def _tokens(result: ServeResult, edges: Floats) -> Floats:
    """Tokens in each bin. Sum over requests of ramps = slopes begun minus slopes ended, and one jump for each first."""
    served = result.served
    started = np.isfinite(served.first_token)
    more = np.where(started & np.isfinite(served.finish), served.requests.output_tokens - 1, 0)
    long = (more > 0) & (served.finish > served.first_token)
    jumps = _counted(served.first_token[started], edges)
    at_once = (more > 0) & ~long  # steps that cost nothing
    jumps += _counted(served.finish[at_once], edges, more[at_once].astype(np.float64))
    first, last = served.first_token[long], served.finish[long]
    slope = more[long] / (last - first)
    return jumps + np.diff(_ramps(first, slope, edges) - _ramps(last, slope, edges))


def _ramps(begin: Floats, slope: Floats, edges: Floats) -> Floats:
    """At each edge, the sum of slope (edge - begin) over all that began before it."""
    place = np.searchsorted(edges, begin, side="left")
    slopes = np.cumsum(np.bincount(place, slope, minlength=len(edges) + 1))[: len(edges)]
    moments = np.cumsum(np.bincount(place, slope * begin, minlength=len(edges) + 1))[: len(edges)]
    return slopes * edges - moments


def _counted(times: Floats, edges: Floats, weights: Floats | None = None) -> Floats:
    inside = times <= edges[-1]
    found = np.bincount(
        _bins(times[inside], edges), weights[inside] if weights is not None else None, minlength=len(edges) - 1
    )
    return found.astype(np.float64)


def _bins(times: Floats, edges: Floats) -> Ints:
    """Bin of each time; the end of the run belongs to the last."""
    return np.clip(np.searchsorted(edges, times, side="right") - 1, 0, len(edges) - 2)
