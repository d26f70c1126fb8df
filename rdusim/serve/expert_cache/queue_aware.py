"""Queue-aware: first goes who has no request in the queue, then whose next request stands farthest back."""

from __future__ import annotations

from rdusim.serve.expert_cache.types import CachePolicy, Region, Upcoming, Worth


class QueueAware:
    """Worth = -next use in the queue; experts without one are worth least, and least the least recently used.

    In a Composition of Experts the expert of each queued request is known as soon as the router has run.
    """

    def __init__(self, region: Region) -> None:
        self._last = [0.0] * len(region.experts)

    def used(self, expert: int, now: float, upcoming: Upcoming) -> Worth:
        self._last[expert] = now
        return (-upcoming.next_use(expert), now)

    def review(self, expert: int, worth: Worth, upcoming: Upcoming) -> Worth:
        return (-upcoming.next_use(expert), self._last[expert])

    def evicted(self, expert: int, worth: Worth) -> None:
        pass


POLICY = CachePolicy(make=QueueAware, looks_ahead=True)
