"""Who gets which part of a multicast tile: sources and targets in order, cut into as many runs as there are parts.

Every part is held by equally many sources (a source holds several parts where there are more parts than sources), so
that all shares of a tile are equal.
"""

from __future__ import annotations

from collections.abc import Iterator

from rdusim.mapping.mesh import Ints


def parts_of(sources: Ints, targets: Ints, parts: int) -> Iterator[tuple[Ints, Ints]]:
    """Sources and targets (switches) of each part."""
    count = min(parts, targets.size)
    holders = max(1, sources.size // count)
    for part in range(count):
        first = part * sources.size // count
        yield (
            sources[first : first + holders],
            targets[part * targets.size // count : (part + 1) * targets.size // count],
        )


def shares(sources: Ints, targets: Ints, parts: int) -> int:
    """Into how many equal shares the tile falls: one for every holder of every part."""
    count = min(parts, targets.size)
    return count * max(1, sources.size // count)
