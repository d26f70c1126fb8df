"""Servers with jobs in a fixed order each, behind one shared resource: a fluid schedule.

Every server works on its own part of one job at a time, in its order. Those that have something to do share the
resource max-min fairly: nobody gets more than it can take, and what it leaves goes to the others. Rates change only
when a server ends its part of a job.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

# (server, job) -> (units per cycle that the server can do of the job, share of the resource's time that a unit takes)
Wants = Callable[[int, int], tuple[float, float]]


def serve(orders: Mapping[int, Sequence[tuple[int, float]]], wants: Wants) -> dict[int, tuple[float, float]]:
    """Begin and end of every job: of its first part and of its last.

    `orders`: by server, (job, units) in the order in which it does them; all is there from the beginning.
    """
    queues = {server: iter(order) for server, order in orders.items() if order}
    head: dict[int, int] = {}
    left: dict[int, float] = {}
    for server, queue in queues.items():
        head[server], left[server] = next(queue)
    begin: dict[int, float] = {}
    end: dict[int, float] = {}
    now = 0.0
    while head:
        rates = _rates({server: wants(server, job) for server, job in head.items()})
        for job in head.values():
            begin.setdefault(job, now)
        step = min(left[server] / rates[server] for server in head)
        now += step
        for server in list(head):
            left[server] -= rates[server] * step
            if left[server] <= 1e-6 * rates[server]:
                end[head[server]] = now
                if (following := next(queues[server], None)) is None:
                    del head[server], left[server]
                else:
                    head[server], left[server] = following
    return {job: (begin[job], end[job]) for job in begin}


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
