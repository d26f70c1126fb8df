"""`serve_coe`: many requests, many experts, nodes that run one group of one expert at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rdusim.errors import Problem, ServeError
from rdusim.serve.coe.batches import run_batches
from rdusim.serve.coe.columns import columns_of, whole
from rdusim.serve.coe.node import Node
from rdusim.serve.coe.prices import Prices
from rdusim.serve.coe.queue import run_queue
from rdusim.serve.coe.record import Record
from rdusim.serve.coe.types import CoeSettings, Grouping
from rdusim.serve.expert_cache import CachePolicy, ExpertCache, Queued
from rdusim.serve.types import Expert, Requests, ServeResult, StepCosts
from rdusim.units import Bytes, Seconds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

Progress = Callable[[int, int], None]  # requests done, of how many
_EVERY = 4096  # groups between two calls of progress


def serve_coe(
    requests: Requests,
    experts: Sequence[Expert],
    costs: StepCosts,
    *,
    capacity: Bytes,
    policy: CachePolicy,
    settings: CoeSettings,
    placement: Ints | None = None,
    nodes: int = 1,
    progress: Progress | None = None,
) -> ServeResult:
    """Serve all requests, each node for itself. `costs`: tabulated ones, for every context is asked for.

    `capacity`: a node's expert region. `placement`: node by request.

    An interrupt (KeyboardInterrupt) ends the run; what was served until then is returned as partial. Raises ServeError
    if an expert does not fit the region, or requests name experts that do not exist.
    """
    _check(requests, len(experts))
    prices = Prices(costs, experts, settings)
    record = Record(len(requests))
    columns = columns_of(requests, settings.network)
    node_of = np.zeros(len(requests), dtype=np.int64) if placement is None else placement
    hits = misses = 0
    partial = False
    busy = np.zeros(nodes)
    for number in range(nodes):
        rows = np.flatnonzero(node_of == number)
        cache, queued = _cache(requests, rows, experts, capacity, policy, prices, settings)
        told = policy.clairvoyant
        node = Node(number, columns, experts, prices, cache, queued, settings, record, told=told)
        loop = run_queue if settings.grouping is Grouping.QUEUE else run_batches
        try:
            loop(
                node,
                whole(rows),
                columns,
                settings,
                _teller(progress, record, len(requests)),
            )
        except KeyboardInterrupt:
            partial = True
        busy[number] = node.busy
        hits, misses = hits + cache.hits, misses + cache.misses
        if partial:
            break
    served = record.served(requests, node_of, settings.network)
    return ServeResult(
        served=served,
        switches=record.switches(),
        occupancy=record.occupancy(),
        experts=tuple(experts),
        nodes=nodes,
        seconds=Seconds(float(np.nanmax(served.finish)) if record.done else 0.0),
        hits=hits,
        misses=misses,
        partial=partial,
        busy=busy,
    )


def _check(requests: Requests, experts: int) -> None:
    """Raises ServeError if the columns cannot be served: unknown experts, or time that runs backwards."""
    problems: list[Problem] = []
    if len(wrong := np.flatnonzero((requests.expert < 0) | (requests.expert >= experts))):
        first = int(wrong[0])
        message = f"request {first + 1} wants expert {int(requests.expert[first])}, there are {experts}, counted from 0"
        problems.append(Problem(message=message, hint=f"{len(wrong)} such requests"))
    if len(wrong := np.flatnonzero(np.diff(requests.arrival) < 0.0)):
        first = int(wrong[0]) + 1
        message = f"request {first + 1} arrives before the one before it"
        problems.append(Problem(message=message, hint="sort the requests by arrival"))
    if problems:
        raise ServeError(*problems)


def _cache(
    requests: Requests,
    rows: Ints,
    experts: Sequence[Expert],
    capacity: Bytes,
    policy: CachePolicy,
    prices: Prices,
    settings: CoeSettings,
) -> tuple[ExpertCache, Queued]:
    """A node's region, and its queue: everything that will come if the policy is clairvoyant, else empty."""
    seconds_back = [load + back for load, back in zip(prices.load, prices.back, strict=True)]
    cache = ExpertCache(experts, capacity, policy, seconds_back)
    queued = Queued(len(experts), requests.expert[rows].tolist() if policy.clairvoyant else ())
    if settings.warm:
        cache.warm(range(len(experts)), queued)
    return cache, queued


def _teller(progress: Progress | None, record: Record, total: int) -> Callable[[int], None]:
    def tell(groups: int) -> None:
        if progress is not None and groups % _EVERY == 0:
            progress(record.done, total)

    return tell
