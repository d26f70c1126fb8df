"""Servers with jobs in a fixed order each, behind shared resources: a fluid schedule.

Every server works on its own part of one job at a time: of those that may begin, the first in its order. A job uses one
of the resources. Those that have something to do share their resource max-min fairly: nobody gets more than it can
take, and what it leaves goes to the others. Rates change only when a server ends its part of a job.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

# (server, job) -> (units per cycle that the server can do of the job, share of the resource's time that a unit takes)
Wants = Callable[[int, int], tuple[float, float]]


def serve(
    orders: Mapping[int, Sequence[tuple[int, float]]],
    wants: Wants,
    resources: Mapping[int, str] | None = None,
    after: Mapping[int, Collection[int]] | None = None,
) -> dict[int, tuple[float, float]]:
    """Begin and end of every job: of its first part and of its last.

    `orders`: by server, (job, units) in the order in which it does them. `resources`: the one that a job uses; all the
    same one where none is given. `after`: jobs that must have ended before a job may begin; all others are there from
    the beginning.
    """
    uses = resources or {}
    queues = {server: list(order) for server, order in orders.items() if order}
    parts: dict[int, int] = {}
    for order in queues.values():
        for job, _ in order:
            parts[job] = parts.get(job, 0) + 1
    waits = {job: {other for other in others if other in parts} for job, others in (after or {}).items()}
    left = {(server, job): units for server, order in queues.items() for job, units in order}
    head = {server: found for server, order in queues.items() if (found := _first(order, waits)) is not None}
    begin: dict[int, float] = {}
    end: dict[int, float] = {}
    now = 0.0
    while head:
        wanted: dict[str, dict[int, tuple[float, float]]] = {}
        for server, job in head.items():
            begin.setdefault(job, now)
            wanted.setdefault(uses.get(job, ""), {})[server] = wants(server, job)
        rates = {server: rate for each in wanted.values() for server, rate in _rates(each).items()}
        step = min(left[server, job] / rates[server] for server, job in head.items())
        now += step
        for server, job in list(head.items()):
            left[server, job] -= rates[server] * step
            if left[server, job] <= 1e-6 * rates[server]:
                queues[server].remove(next(each for each in queues[server] if each[0] == job))
                del head[server]
                end[job] = now
                parts[job] -= 1
                if not parts[job] and waits:
                    _ended(job, waits, queues, head)
                if (following := _first(queues[server], waits)) is not None:
                    head[server] = following
    return {job: (begin[job], end[job]) for job in begin}


def _first(order: Sequence[tuple[int, float]], waits: Mapping[int, Collection[int]]) -> int | None:
    """The first job of a server that waits for nothing."""
    return next((job for job, _ in order if not waits.get(job)), None)


def _ended(
    ended: int, waits: dict[int, set[int]], queues: Mapping[int, Sequence[tuple[int, float]]], head: dict[int, int]
) -> None:
    """Jobs that waited for the one that ended may begin; servers turn to them if they come first in their order."""
    for others in waits.values():
        others.discard(ended)
    for server, order in queues.items():
        if (job := _first(order, waits)) is not None:
            head[server] = job


def _rates(wants: Mapping[int, tuple[float, float]]) -> dict[int, float]:
    """Units per cycle of each server: max-min fair shares of the resource's time, least wants first."""
    shares = {server: rate * time for server, (rate, time) in wants.items()}
    spare, rates = 1.0, {}
    for served, server in enumerate(sorted(shares, key=lambda server: shares[server])):
        share = min(shares[server], spare / (len(shares) - served))
        spare -= share
        rate, time = wants[server]
        rates[server] = share / time if time > 0.0 else rate
    return rates
