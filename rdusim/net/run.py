"""One runner for all plans: links that serve one message at a time, in the order in which messages reach them.

Cut-through: a message's head moves on to the next link of its way as soon as it has crossed one (latency), its tail
follows size / bandwidth later. A message that finds a link busy waits in front of it without holding up the one before
(virtual cut-through, Kermani and Kleinrock 1979). Adding up what arrives costs nothing here: it streams through PCUs.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import NamedTuple

from rdusim.net.types import Flows, Topology

# Ticks of a second, in whole numbers: messages that arrive together must tie, or rounding would choose who goes first.
# So many that a byte's share of a shard still has ten digits.
_TICKS = 10**24


class Span(NamedTuple):
    """Seconds until the last byte has arrived, and how much of them is latency of links, not bytes on the way."""

    seconds: float
    latency: float


class Moment(NamedTuple):
    """Ticks: a time, and the latency in it."""

    time: int
    latency: int

    def later(self, ticks: int) -> Moment:
        """After a latency of so many ticks."""
        return Moment(self.time + ticks, self.latency + ticks)


def run(flows: Flows, topology: Topology, size: float) -> Span:
    """Time of all transfers; `size`: bytes of `flows.parts` shards."""
    serve = _service(flows, topology, size)
    joins = _Joins(flows)
    free: dict[int, Moment] = {}
    never = end = Moment(0, 0)
    # Time, transfer, hop, latency so far; the earliest that the tail can be here.
    heads = [(0, index, 0, 0, never) for index, start in enumerate(flows.start) if start is None]
    heapify(heads)
    while heads:
        now, index, hop, waited, tail = heappop(heads)
        path = flows.paths[index]
        busy, latency = serve[flows.shards[index], path[hop]]
        begin = max(Moment(now, waited), free.get(path[hop], never))
        sent = free[path[hop]] = Moment(begin.time + busy, begin.latency)
        # A link before that is slower holds the tail back.
        tail = max(tail, sent).later(latency)
        if hop + 1 < len(path):
            heappush(heads, (begin.time + latency, index, hop + 1, begin.latency + latency, tail))
            continue
        end = max(end, tail)
        for ready, follower in joins.arrived(index, tail):
            heappush(heads, (ready.time, follower, 0, ready.latency, never))
    return Span(end.time / _TICKS, end.latency / _TICKS)


class _Joins:
    """Which transfers still wait, and for how many others."""

    def __init__(self, flows: Flows) -> None:
        self._left = [len(join) for join in flows.joins]
        self._ready = [Moment(0, 0)] * len(flows.joins)
        self._of: dict[int, list[int]] = {}
        for number, join in enumerate(flows.joins):
            for before in join:
                self._of.setdefault(before, []).append(number)
        self._then: list[list[int]] = [[] for _ in flows.joins]
        for index, start in enumerate(flows.start):
            if start is not None:
                self._then[start].append(index)

    def arrived(self, index: int, at: Moment) -> list[tuple[Moment, int]]:
        """Transfers that waited for this one last, and when they can leave."""
        free = []
        for join in self._of.get(index, ()):
            self._left[join] -= 1
            self._ready[join] = max(self._ready[join], at)
            if not self._left[join]:
                free += [(self._ready[join], follower) for follower in self._then[join]]
        return free


def _service(flows: Flows, topology: Topology, size: float) -> dict[tuple[int, int], tuple[int, int]]:
    """(shards, link) -> ticks that the link is busy with so many, and its latency."""
    shard = size / flows.parts
    found = {(shards, link) for shards, path in zip(flows.shards, flows.paths, strict=True) for link in path}
    return {
        (shards, at): (
            round(shards * shard / topology.links[at].link.bandwidth * _TICKS),
            round(topology.links[at].link.latency * _TICKS),
        )
        for shards, at in found
    }


def busiest(flows: Flows, topology: Topology) -> float:
    """Seconds that the busiest link is busy, for each byte of the size."""
    carried: dict[int, int] = {}
    for shards, path in zip(flows.shards, flows.paths, strict=True):
        for link in path:
            carried[link] = carried.get(link, 0) + shards
    return max(
        (shards / flows.parts / topology.links[link].link.bandwidth for link, shards in carried.items()), default=0.0
    )


def nearest(flows: Flows, topology: Topology) -> float:
    """Seconds of latency of the longest chain of messages that wait for each other: no size makes it shorter."""
    latencies = [sum(topology.links[link].link.latency for link in path) for path in flows.paths]
    arrives: list[float] = []
    joined: dict[int, float] = {}
    for latency, start in zip(latencies, flows.start, strict=True):
        if start is not None and start not in joined:
            joined[start] = max(arrives[before] for before in flows.joins[start])
        arrives.append(latency + (0.0 if start is None else joined[start]))
    return max(arrives, default=0.0)
