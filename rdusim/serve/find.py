"""Capacity: the largest rate, or the fewest nodes, that keep an SLO, by bisection over whole runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from rdusim.errors import OptionError, Problem
from rdusim.serve.metrics import excess, kept_slo
from rdusim.serve.slo import Slo
from rdusim.serve.types import Requests, ServeResult
from rdusim.units import Seconds, show


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One run on the way: at `value` (a rate or a number of nodes) this share of the requests kept the SLO."""

    value: float
    share: float


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

    A rate that keeps the SLO is taken to imply that all lower ones do. Raises OptionError for an empty range.
    """
    if not 0 < low <= high or not tolerance > 0:
        message = f"rates from {low:g} to {high:g} within {tolerance:g} make no sense"
        raise OptionError(Problem(message=message, field="find", hint="0 < low <= high, tolerance above 0"))
    search = _Search(run, slo)
    if not search.keeps(low):
        return search.none(f"at {low:g} requests/s, the lowest rate tried")
    if search.keeps(high):
        return search.found(high, f"kept up to {high:g} requests/s, the highest rate tried", bounded=True)
    while high / low > 1 + tolerance:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if search.keeps(middle) else (low, middle)
    return search.found(low, f"{low:.4g} requests/s keep the SLO, {high:.4g} do not")


def find_min_nodes(run: Callable[[int], ServeResult], slo: Slo, *, most: int = 64) -> Found:
    """Fewest nodes, at most `most`, with the SLO kept; doubled until they do, then bisected. Raises OptionError."""
    if most < 1:
        raise OptionError(Problem(message=f"{most} is below 1", field="find", hint="a whole number from 1 on"))
    search = _Search(lambda nodes: run(int(nodes)), slo)
    low, high = 0, 1
    while not search.keeps(high):
        if high == most:
            return search.none(f"with {most} nodes, the most tried")
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if search.keeps(middle) else (middle, high)
    return search.found(high, f"{high} nodes keep the SLO" + (f", {low} do not" if low else ""))


def at_rate(requests: Requests, rate: float) -> Requests:
    """The same requests, faster or slower, so that `rate` come a second on average: (n - 1) / (last - first)."""
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

    def __init__(self, run: Callable[[float], ServeResult], slo: Slo) -> None:
        self._run, self._slo = run, slo
        self._trials: list[Trial] = []
        self._last: ServeResult | None = None

    def keeps(self, value: float) -> bool:
        result = self._run(value)
        if result.partial:
            raise KeyboardInterrupt  # a run that was cut short says nothing about the SLO
        self._last = result
        self._trials.append(Trial(value=value, share=float(kept_slo(result, self._slo).mean())))
        return self._trials[-1].share >= self._slo.share

    def found(self, value: float, message: str, *, bounded: bool = False) -> Found:
        return Found(value=value, trials=tuple(self._trials), missed={}, message=message, bounded=bounded)

    def none(self, where: str) -> Found:
        """What the last trial, the easiest, missed."""
        assert self._last is not None
        over = excess(self._last, self._slo)
        share = self._trials[-1].share
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
