"""The queue as caches see it: when each expert is wanted next."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from math import inf


class Queued:
    """Requests in order of arrival, by expert. Each is pushed once, when its expert is known, and served once."""

    __slots__ = ("_places", "_pushed")

    def __init__(self, experts: int, requests: Iterable[int] = ()) -> None:
        self._places: list[deque[int]] = [deque() for _ in range(experts)]
        self._pushed = 0
        for expert in requests:
            self.push(expert)

    def push(self, expert: int) -> None:
        """One more request at the back of the queue."""
        self._places[expert].append(self._pushed)
        self._pushed += 1

    def serve(self, expert: int, requests: int = 1) -> None:
        """Its first requests leave the queue; to be called before the activation that serves them."""
        places = self._places[expert]
        for _ in range(requests):
            places.popleft()

    def next_use(self, expert: int) -> float:
        places = self._places[expert]
        return places[0] if places else inf
