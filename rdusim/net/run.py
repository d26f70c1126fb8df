"""One runner for all plans: links that serve one message at a time, in the order in which messages reach them.

Cut-through: a message's head moves on to the next link of its way as soon as it has crossed one (latency), its tail
follows size / bandwidth later. A message that finds a link busy waits in front of it without holding up the one before
(virtual cut-through, Kermani and Kleinrock 1979). Adding up what arrives costs nothing here: it streams through PCUs.
"""

from __future__ import annotations

from functools import cache
from heapq import heapify, heappop, heappush

from rdusim.arch.types import Link
from rdusim.errors import ArchError, Problem
from rdusim.net.collectives import ALGORITHMS
from rdusim.net.topology import routes
from rdusim.net.types import CollectiveTime, Topology, TransferPlan
from rdusim.units import Bytes, Seconds

# Ticks of a second, in whole numbers: messages that arrive together must tie, or rounding would choose who goes first.
_TICKS = 10**15


@cache
def best(
    kind: str, participants: tuple[int, ...], size: Bytes, topology: Topology, link: Link, algorithm: str | None = None
) -> CollectiveTime:
    """Time of the fastest known algorithm for `kind`, or of the one asked for; of equals, the first in the table.

    `size`: bytes of the whole tensor on each participant (of all-gather: of the result).
    """
    _check(kind, participants, topology, link, algorithm)
    assert size >= 0
    if len(participants) == 1 or not size:
        return CollectiveTime(
            algorithm=algorithm or "none", seconds=Seconds(0.0), link_seconds=Seconds(0.0), bytes_per_socket=Bytes(0)
        )
    found: CollectiveTime | None = None
    for name in [algorithm] if algorithm else ALGORITHMS[kind]:
        plan = ALGORITHMS[kind][name](participants, size, topology)
        busy, sent = _loads(plan, topology)
        link_seconds = Seconds(busy / link.bandwidth)
        # The busiest link alone takes longer than another algorithm does: no need to run it.
        if found and link_seconds + link.latency >= found.seconds:
            continue
        seconds = run(plan, topology, link)
        if not found or seconds < found.seconds:
            found = CollectiveTime(algorithm=name, seconds=seconds, link_seconds=link_seconds, bytes_per_socket=sent)
    assert found
    return found


def _loads(plan: TransferPlan, topology: Topology) -> tuple[Bytes, Bytes]:
    """Bytes over the busiest link, and bytes that the busiest socket sends."""
    ways = routes(topology)
    carried, sent = [0] * len(topology.links), [0] * topology.nodes
    for transfer in plan.transfers:
        sent[transfer.source] += transfer.size
        for at in ways[transfer.source, transfer.target]:
            carried[at] += transfer.size
    return Bytes(max(carried)), Bytes(max(sent))


def run(plan: TransferPlan, topology: Topology, link: Link) -> Seconds:
    """Seconds until the last byte of the plan has arrived."""
    transfers, ways = plan.transfers, routes(topology)
    paths = [ways[transfer.source, transfer.target] for transfer in transfers]
    waits = [len(transfer.after) for transfer in transfers]
    then: list[list[int]] = [[] for _ in transfers]
    for index, transfer in enumerate(transfers):
        for before in transfer.after:
            then[before].append(index)
    latency = round(link.latency * _TICKS)
    free, end = [0] * len(topology.links), 0
    heads = [(0, index, 0) for index, count in enumerate(waits) if not count]
    heapify(heads)
    while heads:
        now, index, hop = heappop(heads)
        path, busy = paths[index], round(transfers[index].size / link.bandwidth * _TICKS)
        start = max(now, free[path[hop]])
        free[path[hop]] = start + busy
        if hop + 1 < len(path):
            heappush(heads, (start + latency, index, hop + 1))
            continue
        arrival = start + latency + busy
        end = max(end, arrival)
        for follower in then[index]:
            waits[follower] -= 1
            if not waits[follower]:
                heappush(heads, (arrival, follower, 0))
    return Seconds(end / _TICKS)


def _check(kind: str, participants: tuple[int, ...], topology: Topology, link: Link, algorithm: str | None) -> None:
    """Raises ArchError with everything that is wrong."""
    problems = []
    known = ALGORITHMS.get(kind, {})
    if not known:
        problems.append(Problem(message=f"unknown collective '{kind}'", hint=f"known: {', '.join(ALGORITHMS)}"))
    elif algorithm and algorithm not in known:
        problems.append(
            Problem(message=f"unknown algorithm '{algorithm}' for {kind}", hint=f"known: {', '.join(known)}")
        )
    if not link.bandwidth > 0.0:
        problems.append(Problem(field="link.bandwidth", message=f"{link.bandwidth} B/s is not above zero"))
    if not link.latency >= 0.0:
        problems.append(Problem(field="link.latency", message=f"{link.latency} s is below zero"))
    strangers = [socket for socket in participants if not 0 <= socket < topology.sockets]
    if strangers:
        problems.append(Problem(message=f"socket {strangers[0]} takes part, but there are only {topology.sockets}"))
    if not participants or len(set(participants)) < len(participants):
        problems.append(Problem(message=f"participants must be one or more different sockets, not {participants}"))
    ways = routes(topology)
    cut = [] if strangers else [(a, b) for a in participants for b in participants if (a, b) not in ways]
    if cut:
        a, b = cut[0]
        problems.append(Problem(message=f"no way from socket {a} to socket {b} in topology '{topology.name}'"))
    if problems:
        raise ArchError(*problems)
