"""Groups out of the whole queue: everything is routed as it comes, and requests of one expert run together.

docs/model.md, "A batch of the composition".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from heapq import heappop, heappush

from rdusim.serve.coe.columns import Columns
from rdusim.serve.coe.node import Group, Node
from rdusim.serve.coe.types import CoeSettings


def run_queue(
    node: Node, rows: Sequence[int], columns: Columns, settings: CoeSettings, tell: Callable[[int], None]
) -> None:
    """Route whatever has arrived; then the group whose turn it is, and beside it the copy for the group after."""
    arrival, expert = columns.arrival, columns.expert
    waiting = Waiting(len(node.shapes), node, settings.patience)
    routed, groups = 0, 0
    following: Group | None = None
    loaded = False
    while True:
        routed = _route_arrived(node, rows, routed, arrival, expert, waiting, settings.batch)
        group = following or waiting.take(settings.batch, arrival)
        if group is None:
            node.idle()
            if routed == len(rows):
                return
            node.now = arrival[rows[routed]]
            continue
        if not (following and loaded):
            node.load(group)
            waiting.came_in(group.expert)
        following = waiting.take(settings.batch, arrival) if settings.overlap else None
        loaded = node.run(group, following)
        if following and loaded:
            waiting.came_in(following.expert)
        groups += 1
        tell(groups)


class Waiting:
    """Routed requests by expert, and whose turn it is: residents first, by their oldest request; all by age else."""

    def __init__(self, experts: int, node: Node, patience: float) -> None:
        self._lines: list[deque[int]] = [deque() for _ in range(experts)]
        self._by_age: list[tuple[int, int]] = []  # heaps of (oldest request, expert); outdated entries included
        self._inside: list[tuple[int, int]] = []
        self._node = node
        self._patience = patience

    def add(self, request: int, expert: int) -> None:
        line = self._lines[expert]
        line.append(request)
        if len(line) == 1:
            self._offer(request, expert)

    def take(self, most: int, arrival: Sequence[float]) -> Group | None:
        """The next group, None if nobody waits."""
        oldest = self._top(self._by_age, inside=False)
        if oldest is None:
            return None
        if self._node.now - arrival[oldest[0]] <= self._patience:
            oldest = self._top(self._inside, inside=True) or oldest
        expert = oldest[1]
        line = self._lines[expert]
        members = [line.popleft() for _ in range(min(most, len(line)))]
        if line:
            self._offer(line[0], expert)
        return Group(members, expert, self._node.stalled)

    def came_in(self, expert: int) -> None:
        """It is in the region now: its requests may go first."""
        if line := self._lines[expert]:
            heappush(self._inside, (line[0], expert))

    def _offer(self, request: int, expert: int) -> None:
        heappush(self._by_age, (request, expert))
        if expert in self._node.cache.resident:
            heappush(self._inside, (request, expert))

    def _top(self, heap: list[tuple[int, int]], *, inside: bool) -> tuple[int, int] | None:
        resident = self._node.cache.resident
        while heap:
            request, expert = heap[0]
            line = self._lines[expert]
            if line and line[0] == request and (not inside or expert in resident):
                return heap[0]
            heappop(heap)
        return None


def _route_arrived(
    node: Node,
    rows: Sequence[int],
    routed: int,
    arrival: Sequence[float],
    expert: Sequence[int],
    waiting: Waiting,
    batch: int,
) -> int:
    """Everything that is there now, in batches; what arrives meanwhile waits for the next turn."""
    end = routed
    while end < len(rows) and arrival[rows[end]] <= node.now:
        end += 1
    while routed < end:
        part = rows[routed : min(end, routed + batch)]
        node.route(part)
        for request in part:
            waiting.add(request, expert[request])
        routed += len(part)
    return routed
