"""Greedy-dual-size-frequency: few large experts go before many small ones, and old fame fades."""

from __future__ import annotations

from rdusim.serve.expert_cache.types import CachePolicy, Region, Upcoming, Worth


class Gdsf:
    """Worth = L + uses / bytes, where L is the worth of who was put out last, so that what is not used any more sinks.

    `uses` since the expert came in. With cost 1 for every miss: it aims at few misses, whatever their size.
    Source: Cherkasova, HP Labs HPL-98-69R1. docs/model.md, "Expert cache".
    """

    def __init__(self, region: Region) -> None:
        largest = max((expert.weight_bytes for expert in region.experts), default=1)
        self._gain = [largest / max(expert.weight_bytes, 1) for expert in region.experts]
        self._uses = [0] * len(region.experts)
        self._floor = 0.0

    def used(self, expert: int, now: float, upcoming: Upcoming) -> Worth:
        self._uses[expert] += 1
        return (self._floor + self._uses[expert] * self._gain[expert], now)

    def review(self, expert: int, worth: Worth, upcoming: Upcoming) -> Worth:
        return worth

    def evicted(self, expert: int, worth: Worth) -> None:
        self._floor, self._uses[expert] = worth[0], 0


POLICY = CachePolicy(make=Gdsf)
