"""What a run leaves behind, written as it happens: plain arrays that become NumPy columns without a copy."""

from __future__ import annotations

from array import array
from math import nan
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rdusim.serve.coe.columns import real_view, whole_view
from rdusim.serve.types import Cause, Occupancy, Requests, Served, Switches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]


class _Copies(NamedTuple):
    begin: array[float]
    end: array[float]
    node: array[int]
    expert: array[int]
    evicted: array[int]
    back: array[float]

    def append(self, begin: float, end: float, node: int, expert: int, evicted: int, back: float) -> None:
        self.begin.append(begin)
        self.end.append(end)
        self.node.append(node)
        self.expert.append(expert)
        self.evicted.append(evicted)
        self.back.append(back)


class _Changes(NamedTuple):
    time: array[float]
    node: array[int]
    resident: array[int]
    running: array[int]
    kv: array[float]


class Record:
    """Rows of requests are written by index, rows of switches and of occupancy in order of nodes and time."""

    def __init__(self, requests: int) -> None:
        self.scheduled = _empty(requests)
        self.first_token = _empty(requests)
        self.finish = _empty(requests)
        self.worst_gap = _empty(requests)
        self.queue = _empty(requests)
        self.route = _empty(requests)
        self.switch = _empty(requests)
        self.compute = _empty(requests)
        self._copies = _Copies(array("d"), array("d"), array("q"), array("q"), array("q"), array("d"))
        self._changes = _Changes(array("d"), array("q"), array("q"), array("q"), array("d"))
        self.done = 0

    def copied(self, begin: float, end: float, node: int, expert: int, evicted: tuple[int, ...], back: int) -> None:
        """One activation that had to copy."""
        self._copies.append(begin, end, node, expert, evicted[0] if evicted else -1, back)
        for victim in evicted[1:]:
            self._copies.append(begin, begin, node, -1, victim, 0.0)

    def last_copy_ends(self, end: float) -> None:
        """Something ran beside the copy recorded last: it ended then. Its further rows have no length."""
        row = len(self._copies.end) - 1
        while self._copies.expert[row] < 0:
            row -= 1
        self._copies.end[row] = end

    def changed(self, time: float, node: int, resident: int, running: int, kv: float = 0.0) -> None:
        """`kv`: bytes of keys and values in the nearest tier when what runs is at its end."""
        changes = self._changes
        changes.time.append(time)
        changes.node.append(node)
        changes.resident.append(resident)
        changes.running.append(running)
        changes.kv.append(kv)

    def served(self, requests: Requests, node: Ints, network: float) -> Served:
        """`network`: one way, after which an answer is at the client's; rows hold the times at the node."""
        causes = np.full((len(requests), len(Cause)), nan)
        for cause, column in (
            (Cause.QUEUE, self.queue),
            (Cause.ROUTE, self.route),
            (Cause.SWITCH, self.switch),
            (Cause.COMPUTE, self.compute),
        ):
            causes[:, cause] = column
        causes[:, Cause.NETWORK] = np.where(np.isnan(self.finish), nan, 2.0 * network)
        return Served(
            requests=requests,
            scheduled=real_view(self.scheduled),
            first_token=real_view(self.first_token) + network,
            finish=real_view(self.finish) + network,
            worst_gap=real_view(self.worst_gap),
            causes=causes,
            node=node,
        )

    def switches(self) -> Switches:
        begin, end, node, expert, evicted, back = self._copies
        return Switches(
            begin=real_view(begin),
            end=real_view(end),
            node=whole_view(node),
            expert=whole_view(expert),
            evicted=whole_view(evicted),
            copied_back=real_view(back),
        )

    def occupancy(self) -> Occupancy:
        time, node, resident, running, kv = self._changes
        return Occupancy(
            time=real_view(time),
            node=whole_view(node),
            resident=whole_view(resident),
            kv_near_bytes=real_view(kv),
            kv_far_bytes=np.zeros(len(time)),
            running=whole_view(running),
        )


def _empty(size: int) -> array[float]:
    return array("d", [nan]) * size
