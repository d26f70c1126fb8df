"""Pinned: a fixed set never leaves, and the others share what is left, least recently used first."""

from __future__ import annotations

from collections.abc import Sequence

from rdusim.serve.expert_cache.lru import Lru
from rdusim.serve.expert_cache.types import CachePolicy
from rdusim.serve.types import Expert


def pins(experts: Sequence[Expert], capacity: int) -> frozenset[int]:
    """The experts marked `pinned`; if none is, as many from the start of the list as leave room for any of the rest.

    The list is best ordered by popularity then: a static allocation of the region.
    """
    if marked := frozenset(number for number, expert in enumerate(experts) if expert.pinned):
        return marked
    largest_after = [0] * (len(experts) + 1)
    for number in range(len(experts) - 1, -1, -1):
        largest_after[number] = max(largest_after[number + 1], experts[number].weight_bytes)
    used, count = 0, 0
    for number, expert in enumerate(experts):
        used += expert.weight_bytes
        if used + largest_after[number + 1] > capacity:
            break
        count = number + 1
    return frozenset(range(count))


POLICY = CachePolicy(make=Lru, pins=pins)
