"""Who gets which part of a multicast tile: sources and targets in order, cut into as many runs as there are parts.

Every part is held by equally many sources (a source holds several parts where there are more parts than sources), so
that all shares of a tile are equal.
"""

from __future__ import annotations

import numpy as np

from rdusim.mapping.mesh import Ints
from rdusim.mapping.spread import ranges


def holders_of(sources: Ints, targets: Ints, parts: int) -> tuple[Ints, Ints]:
    """Sources of the parts, ascending by part, and the part of each: one for every share of the tile."""
    count = min(parts, targets.size)
    held = np.full(count, max(1, sources.size // count), dtype=np.int64)
    at, part = ranges(np.arange(count, dtype=np.int64) * sources.size // count, held)
    return sources[at], part


def readers_of(targets: Ints, parts: int) -> Ints:
    """The part that each target reads, ascending."""
    count = min(parts, targets.size)
    bounds = np.arange(count + 1, dtype=np.int64) * targets.size // count
    return np.repeat(np.arange(count), np.diff(bounds))


def shares(sources: Ints, targets: Ints, parts: int) -> int:
    """Into how many equal shares the tile falls: one for every holder of every part."""
    count = min(parts, targets.size)
    return count * max(1, sources.size // count)
