"""Capacity: the largest rate, or the fewest nodes, that keep an SLO, by bisection over whole runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from rdusim.errors import OptionError, Problem
from rdusim.serve.metrics import excess, kept_slo
from rdusim.serve.slo import Slo
from rdusim.serve.types import Requests, ServeResult
from rdusim.units import Seconds, show


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One run on the way: at `value` (a rate or a number of nodes) this share of the requests kept the SLO.

    `stable`: the backlog did not grow; a number of nodes is not asked that.
    """

    value: float
    share: float
    stable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """`value`: the largest rate or fewest nodes that keep the SLO; None if none does, then `missed` says by how much.

    `missed`: by metric, how many times its limit is what the wanted share of requests keeps below, at the easiest
    value tried; only metrics above 1. `bounded`: the SLO was still kept at the end of the range.
    """

    value: float | None
    trials: tuple[Trial, ...]
    missed: Mapping[str, float]
    message: str
    bounded: bool = False


def find_max_rate(
    run: Callable[[float], ServeResult], slo: Slo, *, low: float, high: float, tolerance: float = 0.02
) -> Found:
    """Largest requests a second in `low`..`high` that keep the SLO, within a share `tolerance`; `run(rate)` serves.

    A rate is also to be sustained, however loose the SLO: it is not above the throughput of a saturated run (all
    requests come at once: `run(inf)`), and the backlog does not grow (`growing`). A rate that keeps the SLO is taken to
    imply that all lower ones do. Raises OptionError for an empty range.
    """
    if not 0 < low <= high or not tolerance > 0:
        message = f"rates from {low:g} to {high:g} within {tolerance:g} make no sense"
        raise OptionError(Problem(message=message, field="find", hint="0 < low <= high, tolerance above 0"))
    search = _Search(run, slo, sustained=True)
    if not search.keeps(low):
        return search.none(f"at {low:g} requests/s, the lowest rate tried")
    ceiling = _throughput(search.run(inf))
    if ceiling < low:
        return search.none(f"at {low:g} requests/s, the lowest rate tried, above the {ceiling:.4g} of a saturated run")
    if search.keeps(min(high, ceiling)):
        if high <= ceiling:
            return search.found(high, f"kept up to {high:g} requests/s, the highest rate tried", bounded=True)
        return search.found(ceiling, f"the SLO is kept up to {ceiling:.4g} requests/s, all that a saturated run serves")
    high = min(high, ceiling)
    while high / low > 1 + tolerance:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if search.keeps(middle) else (low, middle)
    sustained = f"{low:.4g} requests/s keep the SLO without a growing backlog, {high:.4g} do not"
    return search.found(low, f"{sustained}; a saturated run serves {ceiling:.4g}")


def growing(result: ServeResult) -> bool:
    """Whether requests come faster than they are served: more are in the system in the last quarter of the arrivals.

    More than in the quarter before, that is: on average over time, by more than a twentieth of the requests of a
    quarter and twice the square root of their number, which chance alone explains (Poisson). A run that is short
    against its latencies has not settled and counts as growing.
    """
    done = np.isfinite(result.served.finish)
    arrival, finish = result.served.requests.arrival[done], result.served.finish[done]
    if len(arrival) < 2 or arrival[-1] <= arrival[0]:
        return False  # nothing to compare
    quarter = float(arrival[-1] - arrival[0]) / 4

    def inside(end: float) -> float:
        begin = end - quarter
        return float((np.clip(finish, begin, end) - np.clip(arrival, begin, end)).sum()) / quarter

    expected = len(arrival) / 4
    last = float(arrival[-1])
    return bool(inside(last) - inside(last - quarter) > expected / 20 + 2 * expected**0.5)


def _throughput(result: ServeResult) -> float:
    """Requests a second from the first arrival to the last answer."""
    finish = result.served.finish[np.isfinite(result.served.finish)]
    if not len(finish):
        return 0.0
    seconds = float(finish.max() - result.served.requests.arrival[0])
    return len(finish) / seconds if seconds > 0 else inf


def find_min_nodes(run: Callable[[int], ServeResult], slo: Slo, *, least: int = 1, most: int = 64) -> Found:
    """Fewest nodes from `least` to `most` that keep the SLO: doubled, then bisected. Raises OptionError."""
    if not 1 <= least <= most:
        hint = "whole numbers, 1 <= least <= most"
        raise OptionError(Problem(message=f"{least} to {most} nodes make no sense", field="find", hint=hint))
    search = _Search(lambda nodes: run(int(nodes)), slo)
    low, high = least - 1, least
    while not search.keeps(high):
        if high == most:
            return search.none(f"with {most} nodes, the most tried")
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if search.keeps(middle) else (middle, high)
    if low >= least:
        return search.found(high, f"{high} nodes keep the SLO, {low} do not")
    held = "; fewer cannot hold the experts" if least > 1 else ""
    return search.found(high, f"{high} nodes keep the SLO{held}")


def at_rate(requests: Requests, rate: float) -> Requests:
    """The same requests, faster or slower, so that `rate` come a second on average: (n - 1) / (last - first).

    Infinite: all at once. Raises OptionError if they come at once already.
    """
    span = float(requests.arrival[-1] - requests.arrival[0])
    if span <= 0:
        message = "all requests come at once: they have no rate to change"
        raise OptionError(
            Problem(message=message, field="find", hint="an arrival process with a rate, or a longer trace")
        )
    factor = (len(requests) - 1) / span / rate
    return replace(requests, arrival=(requests.arrival - requests.arrival[0]) * factor)


class _Search:
    """Trials made so far."""

    def __init__(self, run: Callable[[float], ServeResult], slo: Slo, *, sustained: bool = False) -> None:
        self._run, self._slo, self._sustained = run, slo, sustained
        self._trials: list[Trial] = []
        self._last: ServeResult | None = None

    def run(self, value: float) -> ServeResult:
        result = self._run(value)
        if result.partial:
            raise KeyboardInterrupt  # a run that was cut short says nothing about the SLO
        return result

    def keeps(self, value: float) -> bool:
        self._last = result = self.run(value)
        stable = not (self._sustained and growing(result))
        share = float(kept_slo(result, self._slo).mean())
        self._trials.append(Trial(value=value, share=share, stable=stable))
        return stable and share >= self._slo.share

    def found(self, value: float, message: str, *, bounded: bool = False) -> Found:
        return Found(value=value, trials=tuple(self._trials), missed={}, message=message, bounded=bounded)

    def none(self, where: str) -> Found:
        """What the last trial, the easiest, missed."""
        assert self._last is not None
        over = excess(self._last, self._slo)
        share = self._trials[-1].share
        if share >= self._slo.share:
            message = f"no rate can be sustained: {where}, the backlog grows (or the run is too short to tell)"
            return Found(value=None, trials=tuple(self._trials), missed={}, message=message)
        parts = [
            f"{name} is {show(Seconds(times * self._slo.limits[name]), 'time')}, {times:.2f} times its limit"
            for name, times in over.items()
            if times > 1
        ] or ["no metric alone, but together"]
        message = (
            f"the SLO cannot be met: {where}, {share:.1%} of requests keep it where {self._slo.share:.1%} should; "
            f"of that share, {'; '.join(parts)}"
        )
        missed = {name: times for name, times in over.items() if times > 1}
        return Found(value=None, trials=tuple(self._trials), missed=missed, message=message)
