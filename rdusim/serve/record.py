"""What a run writes down while it goes: columns of requests, switches and occupancy; times are those of the nodes."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from math import nan
from typing import TYPE_CHECKING

import numpy as np

from rdusim.serve.types import Cause, Occupancy, Requests, Served, Switches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

Observer = Callable[[float], None]
_SAMPLES = 20_000  # rows of occupancy after which every second one is dropped


class Record:
    """Columns by request. Plain arrays, not NumPy's: the loop reads and writes single numbers.

    `client`: who asked; in a closed loop, who was free to.
    `arrival`: at the node, the way over the network done. `compute`, `route`, `switch`: seconds so caused.
    `ended`: called for each request that is over, with its time.
    """

    def __init__(self, requests: Requests, network: float, observer: Observer | None) -> None:
        count = len(requests)
        self.requests = requests
        self.network = network
        self.arrival: array[float] = array("d", (requests.arrival + network).tolist())
        self.prompt: array[int] = array("q", requests.prompt_tokens.tolist())
        self.output: array[int] = array("q", requests.output_tokens.tolist())
        self.expert: array[int] = array("q", requests.expert.tolist())
        self.client: array[int] = array("q", requests.client.tolist())
        self.scheduled = _filled(nan, count)
        self.first = _filled(nan, count)
        self.finish = _filled(nan, count)
        self.worst = _filled(0.0, count)
        self.compute = _filled(0.0, count)
        self.route = _filled(0.0, count)
        self.switch = _filled(0.0, count)
        self.node = array("q", [-1]) * count
        self.rejected: list[int] = []
        self.switches: list[tuple[float, float, int, int, int, float]] = []
        self.occupancy = Samples()
        self.hits = self.misses = self.preemptions = 0
        self.ended: Callable[[int, float], None] | None = None
        self._observer = observer
        self._over = 0
        self._next_look = self._stride = max(count // 200, 1)

    def over(self, request: int, time: float) -> None:
        """A request is served, or refused."""
        if self.ended is not None:
            self.ended(request, time)
        self._over += 1
        if self._over >= self._next_look:
            self._next_look += self._stride
            if self._observer is not None:
                self._observer(self._over / len(self.finish))

    def reject(self, request: int, time: float) -> None:
        self.rejected.append(request)
        self.over(request, time)

    def served(self) -> tuple[Served, Ints]:
        """The columns by arrival, and the requests that were refused."""
        arrival = np.array(self.arrival, dtype=np.float64) - self.network
        order = np.argsort(arrival, kind="stable")
        asked = self.requests
        columns = {
            name: np.array(values, dtype=np.float64)[order]
            for name, values in (
                ("scheduled", self.scheduled),
                ("first_token", self.first),
                ("finish", self.finish),
                ("worst_gap", self.worst),
            )
        }
        columns["first_token"] += self.network
        columns["finish"] += self.network
        columns["worst_gap"][np.isnan(columns["finish"])] = nan
        served = Served(
            requests=Requests(
                arrival=arrival[order],
                prompt_tokens=asked.prompt_tokens[order],
                output_tokens=asked.output_tokens[order],
                expert=asked.expert[order],
                client=np.array(self.client, dtype=np.int64)[order],
            ),
            causes=self._causes(columns["finish"] - arrival[order], order),
            node=np.array(self.node, dtype=np.int64)[order],
            **columns,
        )
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        return served, np.sort(place[np.array(self.rejected, dtype=np.int64)])

    def _causes(self, latency: Floats, order: Ints) -> Floats:
        """What is not accounted for otherwise was spent waiting: for a turn, or for prompts of others."""
        causes = np.zeros((len(order), len(Cause)))
        for cause, column in ((Cause.ROUTE, self.route), (Cause.SWITCH, self.switch), (Cause.COMPUTE, self.compute)):
            causes[:, cause] = np.array(column, dtype=np.float64)[order]
        causes[:, Cause.NETWORK] = 2 * self.network
        causes[:, Cause.QUEUE] = np.maximum(latency - causes.sum(axis=1), 0.0)
        causes[np.isnan(latency)] = nan
        return causes

    def switches_made(self) -> Switches:
        rows = np.array(self.switches, dtype=np.float64).reshape(-1, 6)
        return Switches(
            begin=rows[:, 0],
            end=rows[:, 1],
            node=rows[:, 2].astype(np.int64),
            expert=rows[:, 3].astype(np.int64),
            evicted=rows[:, 4].astype(np.int64),
            copied_back=rows[:, 5],
        )


def _filled(value: float, count: int) -> array[float]:
    return array("d", [value]) * count


class Samples:
    """Rows of occupancy. When there are too many every second one goes, and only every second is taken from then on."""

    def __init__(self) -> None:
        self.rows: list[tuple[float, int, int, float, float, int]] = []
        self._stride = self._wait = 1

    def add(self, time: float, node: int, resident: int, near: float, far: float, running: int) -> None:
        self._wait -= 1
        if self._wait:
            return
        self.rows.append((time, node, resident, near, far, running))
        if len(self.rows) > _SAMPLES:
            del self.rows[1::2]
            self._stride *= 2
        self._wait = self._stride

    def columns(self) -> Occupancy:
        rows = np.array(self.rows, dtype=np.float64).reshape(-1, 6)
        rows = rows[np.argsort(rows[:, 0], kind="stable")]
        return Occupancy(
            time=rows[:, 0],
            node=rows[:, 1].astype(np.int64),
            resident=rows[:, 2].astype(np.int64),
            kv_near_bytes=rows[:, 3],
            kv_far_bytes=rows[:, 4],
            running=rows[:, 5].astype(np.int64),
        )
