"""Which experts stay in the nearest tier: one policy a file, the table of them, and the region they rule."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from rdusim.serve.expert_cache import belady, cost_aware, gdsf, lfu, lru, pinned, queue_aware
from rdusim.serve.expert_cache.bound import fewest_bytes
from rdusim.serve.expert_cache.cache import ExpertCache
from rdusim.serve.expert_cache.types import Activation, CachePolicy, Unknown, Upcoming
from rdusim.serve.expert_cache.upcoming import Queued

__all__ = ["POLICIES", "Activation", "CachePolicy", "ExpertCache", "Queued", "Unknown", "Upcoming", "fewest_bytes"]

POLICIES: Final[Mapping[str, CachePolicy]] = MappingProxyType(
    {
        "lru": lru.POLICY,
        "lfu": lfu.POLICY,
        "gdsf": gdsf.POLICY,
        "pinned": pinned.POLICY,
        "cost_aware": cost_aware.POLICY,
        "queue_aware": queue_aware.POLICY,
        "belady": belady.POLICY,
    }
)
