"""Least recently used: as in the paper's runtime."""

from __future__ import annotations

from rdusim.serve.expert_cache.types import CachePolicy, Region, Upcoming, Worth


class Lru:
    """An expert is worth the time of its last activation."""

    def __init__(self, region: Region) -> None:
        pass

    def used(self, expert: int, now: float, upcoming: Upcoming) -> Worth:
        return (now, 0.0)

    def review(self, expert: int, worth: Worth, upcoming: Upcoming) -> Worth:
        return worth

    def evicted(self, expert: int, worth: Worth) -> None:
        pass


POLICY = CachePolicy(make=Lru)
