"""Least frequently used, counted since the start; among equals the least recently used."""

from __future__ import annotations

from rdusim.serve.expert_cache.types import CachePolicy, Region, Upcoming, Worth


class Lfu:
    """An expert is worth its number of activations. Counts outlive evictions: some hundred numbers cost nothing."""

    def __init__(self, region: Region) -> None:
        self._uses = [0] * len(region.experts)

    def used(self, expert: int, now: float, upcoming: Upcoming) -> Worth:
        self._uses[expert] += 1
        return (float(self._uses[expert]), now)

    def review(self, expert: int, worth: Worth, upcoming: Upcoming) -> Worth:
        return worth

    def evicted(self, expert: int, worth: Worth) -> None:
        pass


POLICY = CachePolicy(make=Lfu)
