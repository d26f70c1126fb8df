"""Belady: out goes whose next use is farthest, all requests to come being known. A bound, no runtime has it.

Its misses are a lower bound for experts of equal size only (Belady, IBM Systems Journal 5(2), 1966). For unlike sizes
`expert_cache/bound.py` bounds the bytes.
"""

from __future__ import annotations

from rdusim.serve.expert_cache.queue_aware import QueueAware
from rdusim.serve.expert_cache.types import CachePolicy

# The same rule as for a queue: what makes it Belady's is that the queue holds everything that will ever come.
POLICY = CachePolicy(make=QueueAware, looks_ahead=True, clairvoyant=True)
