"""Cost-aware: an expert that is slow to bring back, for the room it takes, stays longer."""

from __future__ import annotations

from rdusim.serve.expert_cache.types import CachePolicy, Region, Upcoming, Worth


class CostAware:
    """Greedy-dual-size: worth = L + seconds to bring back / bytes, where L is the worth of who was put out last.

    Experts of one home tier, and without mutable bytes, cost the same for each byte: among them it is LRU.
    Source: Cao, Irani: Cost-aware WWW proxy caching algorithms, USITS 1997. docs/model.md, "Expert cache".
    """

    def __init__(self, region: Region) -> None:
        assert len(region.seconds_back) == len(region.experts), "the cost of each expert is known"
        sizes = [max(expert.weight_bytes, 1) for expert in region.experts]
        costs = [seconds / size for seconds, size in zip(region.seconds_back, sizes, strict=True)]
        scale = max(costs, default=0.0) or 1.0
        self._cost = [cost / scale for cost in costs]
        self._floor = 0.0

    def used(self, expert: int, now: float, upcoming: Upcoming) -> Worth:
        return (self._floor + self._cost[expert], now)

    def review(self, expert: int, worth: Worth, upcoming: Upcoming) -> Worth:
        return worth

    def evicted(self, expert: int, worth: Worth) -> None:
        self._floor = worth[0]


POLICY = CachePolicy(make=CostAware)
