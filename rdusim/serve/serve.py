"""`serve`: requests, experts, costs and options in, a `ServeResult` out. Events only: nothing happens between two."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict
from heapq import heappop, heappush
from math import inf, nan
from typing import TYPE_CHECKING

import numpy as np

from rdusim.errors import Problem, ServeError
from rdusim.serve.costs import LeapCosts
from rdusim.serve.dispatch import DISPATCHERS, Dispatcher
from rdusim.serve.expert_cache import ExpertCache
from rdusim.serve.node import Node
from rdusim.serve.options import ServeOptions, check_options
from rdusim.serve.record import Observer, Record
from rdusim.serve.schedulers import SCHEDULERS
from rdusim.serve.types import Expert, Requests, ServeResult
from rdusim.units import Seconds

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SLICES = 64  # in which nodes that do not see each other take turns, so that an interrupt finds all equally far


def serve(
    requests: Requests,
    experts: Sequence[Expert],
    costs: LeapCosts,
    options: ServeOptions | None = None,
    *,
    cache: Callable[[], ExpertCache] | None = None,
    think: NDArray[np.float64] | None = None,
    observer: Observer | None = None,
) -> ServeResult:
    """Serve the requests on `options.nodes` nodes.

    `cache` makes the expert cache of a node; without, all experts are resident. `think`: a closed loop: a client asks
    the next of all requests so many seconds after its previous one ended (of its first, `arrival` counts). `observer`
    is told the share of requests that are over. A KeyboardInterrupt ends the run: what is done so far is given back as
    partial. Raises OptionError, ServeError.
    """
    options = options or ServeOptions()
    check_options(options)
    _check(requests, experts, think)
    record = Record(requests, options.network, observer)
    turn = SCHEDULERS[options.scheduler]
    nodes = [
        Node(index, record, experts, costs, options, turn, cache() if cache is not None else None)
        for index in range(options.nodes)
    ]
    dispatcher = DISPATCHERS[options.dispatcher]
    partial = False
    try:
        if think is not None:
            _closed(nodes, record, think, _chooser(dispatcher, requests, len(experts), nodes, record))
        elif dispatcher.choose is None or len(nodes) == 1:
            _apart(nodes, record, _assigned(dispatcher, requests, len(experts), len(nodes)))
        else:
            _together(nodes, record, _chooser(dispatcher, requests, len(experts), nodes))
    except KeyboardInterrupt:
        partial = True
    return _result(record, nodes, experts, options, partial)


def _check(requests: Requests, experts: Sequence[Expert], think: NDArray[np.float64] | None) -> None:
    """Columns that fit each other, times that ascend, tokens above zero, experts that exist."""
    problems: list[Problem] = []
    count = len(requests)
    if not count:
        problems.append(Problem(message="there are no requests", hint="a rate and a duration that give some"))
    if not experts:
        problems.append(Problem(message="there are no experts", hint="one at least"))
    checks = (
        ("arrival", ~np.isfinite(requests.arrival) | (requests.arrival < 0), "is no time", "seconds from 0 on"),
        ("arrival", np.diff(requests.arrival, prepend=-inf) < 0, "is before its predecessor", "sort by arrival"),
        ("prompt_tokens", requests.prompt_tokens < 1, "is below 1", "tokens from 1 on"),
        ("output_tokens", requests.output_tokens < 1, "is below 1", "tokens from 1 on"),
        (
            "expert",
            (requests.expert < 0) | (requests.expert >= len(experts)),
            "is no expert",
            f"0 to {len(experts) - 1}, or add experts",
        ),
    )
    for column, wrong, message, hint in checks:
        if np.any(wrong):
            first = int(np.argmax(wrong))
            value = getattr(requests, column)[first]
            problems.append(Problem(message=f"{value} of request {first} {message}", field=column, hint=hint))
    if think is not None and (len(think) != count or not np.all(think >= 0)):
        problems.append(Problem(message="not one time from 0 on for every request", field="think"))
    if problems:
        raise ServeError(*problems)


def _assigned(dispatcher: Dispatcher, requests: Requests, experts: int, nodes: int) -> list[int]:
    if dispatcher.assign is None or nodes == 1:
        return [0] * len(requests)
    assigned: list[int] = dispatcher.assign(requests, experts, nodes).tolist()
    return assigned


def _chooser(
    dispatcher: Dispatcher, requests: Requests, experts: int, nodes: Sequence[Node], record: Record | None = None
) -> Callable[[int, float], int]:
    """Node of a request that arrives at a time. `record`: of a closed loop, where it says who asks."""
    if (choose := dispatcher.choose) is None or len(nodes) == 1:
        assigned = _assigned(dispatcher, requests, experts, len(nodes))
        if record is not None and dispatcher.by_client and np.any(requests.client != requests.client[:1]):
            node_of = dict(zip(requests.client.tolist(), assigned, strict=True))
            return lambda request, time: node_of[record.client[request]]
        return lambda request, time: assigned[request]
    for node in nodes:
        node.finished = []
    return lambda request, time: choose(time, nodes)


def _apart(nodes: Sequence[Node], record: Record, assigned: Sequence[int]) -> None:
    """Open loop, nodes known in advance: they do not see each other."""
    for request, node in enumerate(assigned):
        nodes[node].give(request)
    if len(nodes) > 1:
        for until in np.linspace(record.arrival[0], record.arrival[-1], _SLICES).tolist():
            for each in nodes:
                each.advance(until)
    for each in nodes:
        each.advance(inf)


def _together(nodes: Sequence[Node], record: Record, choose: Callable[[int, float], int]) -> None:
    """Open loop, nodes by load: all go up to every arrival."""
    for request, time in enumerate(record.arrival):
        for node in nodes:
            node.advance(time)
        nodes[choose(request, time)].give(request)
    for node in nodes:
        node.advance(inf)


def _closed(
    nodes: Sequence[Node],
    record: Record,
    think: NDArray[np.float64],
    choose: Callable[[int, float], int],
) -> None:
    """Closed loop: who is free asks the next of a common pool, so that all are busy to the end.

    The node that is furthest behind goes on, as far as the next: nobody can send it into the past. With one node a leap
    ends only at events; with several, while two are busy, at every step of the other.
    """
    coming, pool = _first_and_others(record)

    def ended(request: int, time: float) -> None:
        if pool:
            following = pool.popleft()
            record.client[following] = record.client[request]
            record.arrival[following] = time + 2 * record.network + float(think[following])
            heappush(coming, (record.arrival[following], following))

    record.ended = ended
    try:
        _take_turns(nodes, coming, choose)
    finally:  # an interrupt leaves requests that were never asked
        for request in [*(request for _, request in coming), *pool]:
            record.arrival[request] = nan


def _take_turns(nodes: Sequence[Node], coming: list[tuple[float, int]], choose: Callable[[int, float], int]) -> None:
    """`coming`: heap of (time, request), which grows while requests end."""
    while True:
        node = min(nodes, key=lambda each: each.wake)
        if coming and coming[0][0] <= node.wake:
            time, request = heappop(coming)
            nodes[choose(request, time)].give(request)
        elif node.wake == inf:
            return
        else:
            others = min((each.wake for each in nodes if each is not node), default=inf)
            node.step(min(coming[0][0] if coming else inf, others))


def _first_and_others(record: Record) -> tuple[list[tuple[float, int]], deque[int]]:
    """The first request of each client as a heap of (time, request), and all others in order."""
    first: dict[int, int] = {}
    for request, client in enumerate(record.client):
        first.setdefault(client, request)
    opening = set(first.values())
    others = deque(request for request in range(len(record.client)) if request not in opening)
    return sorted((record.arrival[request], request) for request in opening), others


def _result(
    record: Record, nodes: Sequence[Node], experts: Sequence[Expert], options: ServeOptions, partial: bool
) -> ServeResult:
    served, rejected = record.served()
    ends = [float(np.nanmax(served.finish))] if not np.all(np.isnan(served.finish)) else []
    return ServeResult(
        served=served,
        switches=record.switches_made(),
        occupancy=record.occupancy.columns(),
        experts=tuple(experts),
        nodes=len(nodes),
        seconds=Seconds(max([*(node.now for node in nodes), *ends])),
        hits=record.hits,
        misses=record.misses,
        partial=partial,
        rejected=rejected,
        busy=np.array([node.busy for node in nodes]),
        preemptions=record.preemptions,
        notes=("interrupted: only what had happened until then",) if partial else (),
        settings=asdict(options),
    )
