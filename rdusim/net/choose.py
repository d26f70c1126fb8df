"""The quickest algorithm for a collective: planned for one group, placed on all, run as often as the sizes need it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from math import log2

from rdusim.arch.types import System
from rdusim.errors import ArchError, Problem
from rdusim.net.collectives import ALGORITHMS, ALL_PAIRS
from rdusim.net.place import Group, groups_of, place
from rdusim.net.run import Span, busiest, nearest, run
from rdusim.net.topology import build
from rdusim.net.types import CollectiveTime, Flows, Topology, TransferPlan
from rdusim.units import Bytes, Seconds

_NOTHING = TransferPlan(transfers=())
_CROWD = 64  # participants; with more, algorithms that take a message for each pair are not tried
_SHORT = 500  # links that all messages together cross; with fewer, every size is run
_SMALLEST, _LARGEST = 1.0, 2.0**40  # sizes between which lines are drawn
_PIECES = 6  # straight pieces that are looked for; then the size itself is run
_SAME = 1e-9  # relative difference of times that rounding makes


def plan_of(kind: str, participants: int, stride: int, size: Bytes, system: System) -> CollectiveTime:
    """The collective of sockets 0, stride, 2 stride ... and of all groups like it, which run it at once.

    What the engines and the functional check take. Raises ArchError with everything that is wrong.
    """
    topology = build(system.topology, max(system.sockets, participants * stride), system.link)
    return best(kind, tuple(groups_of(participants, stride, topology.sockets)), size, topology)


def best(
    kind: str, groups: tuple[Group, ...], size: Bytes, topology: Topology, algorithm: str | None = None
) -> CollectiveTime:
    """Time of the quickest known algorithm for `kind`, or of the one asked for; of equals, the first in the table.

    `size`: bytes of the whole tensor on each participant (of all-gather: of the result). All groups start at once.
    """
    _check(kind, groups, topology, algorithm)
    assert size >= 0
    count = len(groups[0])
    if count == 1 or not size:
        return CollectiveTime(
            algorithm=algorithm or "none",
            seconds=Seconds(0.0),
            link_seconds=Seconds(0.0),
            bytes_per_socket=Bytes(0),
            plan=_NOTHING,
            flows=None,
        )
    tried = [_candidate(kind, name, groups, topology) for name in ([algorithm] if algorithm else _tried(kind, count))]
    found: tuple[float, int] | None = None
    # The most promising first: what cannot be quicker need not be run.
    for number in sorted(range(len(tried)), key=lambda each: (tried[each].least(size), each)):
        if found and tried[number].least(size) >= found[0]:
            continue
        seconds = max(_seconds(tried[number], placed, size, topology) for placed in range(len(tried[number].flows)))
        found = min(found, (seconds, number)) if found else (seconds, number)
    assert found
    seconds, number = found
    return _time(tried[number], seconds, size, topology)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """An algorithm's plan, and the different ways in which it comes to lie. Seconds a byte; latencies in seconds."""

    algorithm: str
    plan: TransferPlan
    flows: tuple[Flows, ...]
    busy: float
    latency: float
    sent: float  # share of the size that the socket which sends most sends

    def least(self, size: float) -> float:
        """What the busiest link and the longest chain of messages take at least."""
        return max(self.busy * size, self.latency)


def _tried(kind: str, participants: int) -> list[str]:
    few = [name for name in ALGORITHMS[kind] if name not in ALL_PAIRS[kind]]
    return few if few and participants > _CROWD else [*ALGORITHMS[kind]]


@cache
def _candidate(kind: str, algorithm: str, groups: tuple[Group, ...], topology: Topology) -> Candidate:
    plan = ALGORITHMS[kind][algorithm](groups[0], topology)
    flows = tuple(place(plan, list(groups), topology))
    sent = [0] * len(groups[0])
    for transfer in plan.transfers:
        sent[transfer.source] += len(transfer.shards)
    return Candidate(
        algorithm=algorithm,
        plan=plan,
        flows=flows,
        busy=max(busiest(each, topology) for each in flows),
        latency=max(nearest(each, topology) for each in flows),
        sent=max(sent) / plan.parts,
    )


def _seconds(candidate: Candidate, placed: int, size: float, topology: Topology) -> float:
    """Time for a size: of what is short from a run, otherwise from as few runs for all sizes as tell it.

    On odd topologies messages may overtake each other with the size; where a run at a size near by shows that, the size
    itself is run.
    """
    if candidate.flows[placed].hops > _SHORT:
        near = 4.0 ** round(log2(size) / 2)
        run_near = _run(candidate, placed, near, topology).seconds
        if _close(_drawn(candidate, placed, near, topology), run_near):
            return max(_drawn(candidate, placed, size, topology), candidate.least(size))
    return _run(candidate, placed, size, topology).seconds


def _drawn(candidate: Candidate, placed: int, size: float, topology: Topology) -> float:
    """Time for a size on a line through runs at others.

    As long as links serve messages in the same order, time is the longest of chains that each take latency + slope x
    size: a convex line of straight pieces. Where the pieces of a smaller and of a larger size meet and a run there
    agrees, they are all that is between. Otherwise the search goes on between that place and the end beyond `size`.
    """
    low, high = _SMALLEST, max(_LARGEST, 2.0 * size)
    for _ in range(_PIECES):
        one, other = (_run(candidate, placed, end, topology) for end in (low, high))
        slope, steeper = (one.seconds - one.latency) / low, (other.seconds - other.latency) / high
        if _close(other.latency + steeper * low, one.seconds):
            return other.latency + steeper * size
        meet = (one.latency - other.latency) / (steeper - slope) if steeper > slope else 0.0
        if not low < meet < high:
            break
        if _close(_run(candidate, placed, meet, topology).seconds, one.latency + slope * meet):
            return max(one.latency + slope * size, other.latency + steeper * size)
        low, high = (low, meet) if size < meet else (meet, high)
    return _run(candidate, placed, size, topology).seconds


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= _SAME * other


@lru_cache(maxsize=4096)
def _run(candidate: Candidate, placed: int, size: float, topology: Topology) -> Span:
    return run(candidate.flows[placed], topology, size)


def _time(candidate: Candidate, seconds: float, size: Bytes, topology: Topology) -> CollectiveTime:
    slowest = max(
        range(len(candidate.flows)), key=lambda placed: (_seconds(candidate, placed, size, topology), -placed)
    )
    return CollectiveTime(
        algorithm=candidate.algorithm,
        seconds=Seconds(seconds),
        link_seconds=Seconds(candidate.busy * size),
        bytes_per_socket=Bytes(round(candidate.sent * size)),
        plan=candidate.plan,
        flows=candidate.flows[slowest],
    )


def _check(kind: str, groups: tuple[Group, ...], topology: Topology, algorithm: str | None) -> None:
    """Raises ArchError with everything that is wrong."""
    problems = []
    known = ALGORITHMS.get(kind, {})
    if not known:
        problems.append(Problem(message=f"unknown collective '{kind}'", hint=f"known: {', '.join(ALGORITHMS)}"))
    elif algorithm and algorithm not in known:
        problems.append(
            Problem(message=f"unknown algorithm '{algorithm}' for {kind}", hint=f"known: {', '.join(known)}")
        )
    sockets = [socket for group in groups for socket in group]
    strangers = [socket for socket in sockets if not 0 <= socket < topology.sockets]
    if strangers:
        problems.append(Problem(message=f"socket {strangers[0]} takes part, but there are only {topology.sockets}"))
    if not sockets or len(set(sockets)) < len(sockets) or len({len(group) for group in groups}) > 1:
        problems.append(
            Problem(message=f"groups must be of equally many, one or more, different sockets, not {groups}")
        )
    if problems:
        raise ArchError(*problems)
