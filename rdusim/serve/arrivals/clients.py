"""Many clients, each with its own rate and burstiness that change by windows, as ServeGen measured them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import gamma
from typing import TYPE_CHECKING

import numpy as np

from rdusim.errors import OptionError, Problem
from rdusim.serve.arrivals.types import check_positive

if TYPE_CHECKING:
    from rdusim.serve.arrivals.types import Numbers, Times


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """From `start` on for the length of the windows: `rate` requests a second, times between them of a family.

    `family`: gamma or weibull with that `shape`, or exponential; the scale follows from the rate.
    """

    start: float
    rate: float
    family: str = "exponential"
    shape: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One client: windows of equal length, ascending."""

    name: str
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """`scale` multiplies every rate; `length` of a window in seconds; `start`: where in the clients' time to begin."""

    clients: Sequence[Client]
    length: float = 600.0
    scale: float = 1.0
    start: float = 0.0

    def draw(self, rng: np.random.Generator, count: int) -> tuple[Times, Numbers]:
        """The first `count` arrivals after `start`. Raises OptionError if the windows do not give as many."""
        check_positive(length=self.length, scale=self.scale)
        times: list[Times] = []
        owners: list[Numbers] = []
        found = 0
        for begin, active in self._by_window():
            for number, window in active:
                drawn = _renewals(rng, window, self.scale, self.length) + begin
                times.append(drawn)
                owners.append(np.full(len(drawn), number, dtype=np.int64))
                found += len(drawn)
            if found >= count:
                break
        if found < count:
            raise OptionError(
                Problem(
                    message=f"{count} requests are wanted, the clients send {found} from {self.start:g} s on",
                    field="requests",
                    hint="fewer requests, an earlier start or a larger scale",
                )
            )
        time, owner = np.concatenate(times), np.concatenate(owners)
        order = np.argsort(time, kind="stable")[:count]
        return time[order] - self.start, owner[order]

    def _by_window(self) -> Iterator[tuple[float, list[tuple[int, Window]]]]:
        """Windows that begin at `start` or later, with the clients that are active in each."""
        active: dict[float, list[tuple[int, Window]]] = {}
        for number, client in enumerate(self.clients):
            for window in client.windows:
                if window.rate > 0 and window.start >= self.start:
                    active.setdefault(window.start, []).append((number, window))
        for begin in sorted(active):
            yield begin, active[begin]


def _renewals(rng: np.random.Generator, window: Window, scale: float, length: float) -> Times:
    """Arrivals of a renewal process within a window; the process starts anew in each."""
    mean = 1 / (window.rate * scale)
    some = int(length / mean * 1.2) + 16
    times = np.cumsum(_between(rng, window, mean, some))
    while times[-1] < length:
        times = np.concatenate((times, times[-1] + np.cumsum(_between(rng, window, mean, some))))
    return times[times < length]


def _between(rng: np.random.Generator, window: Window, mean: float, count: int) -> Times:
    if window.family == "gamma":
        return rng.gamma(window.shape, mean / window.shape, count)
    if window.family == "weibull":
        return rng.weibull(window.shape, count) * (mean / gamma(1 + 1 / window.shape))
    return rng.exponential(mean, count)
