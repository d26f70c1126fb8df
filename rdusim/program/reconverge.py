"""Ways that part and meet again: how often a stage must fire before another one can begin, and buffers that allow it.

A stage may need many firings of an ancestor for its own first one: all of them, where something on one way needs the
whole of what it reads (keys gathered from all sockets). What meanwhile comes on another way must find a place.
"""

from __future__ import annotations

from collections.abc import Sequence


def firings_ahead(ways: Sequence[tuple[int, int]], firings: Sequence[int]) -> list[int]:
    """For every way (source, target) between stages: firings of the source before the target can fire at all.

    `firings` of each stage in one execution; a stage comes after all that it reads. With n(a, t) firings of a for the
    first one of t, n(t, t) = 1:

        n(a, t)   = max over ways (a, b) of  ceil(n(b, t) x firings(a) / firings(b))
        ahead     = max over a = source and those before it of  ceil(n(a, target) x firings(source) / firings(a))
    """
    if all(firings[source] <= firings[target] for source, target in ways):
        return [1] * len(ways)
    backwards = sorted(set(ways), key=lambda way: -way[1])
    before = _before(ways, len(firings))
    ahead = []
    first: dict[int, dict[int, int]] = {}  # target -> firings of everything before it for its first
    for source, target in ways:
        if target not in first:
            first[target] = _first(backwards, firings, target)
        needed = first[target]
        ahead.append(max(-(-needed[at] * firings[source] // firings[at]) for at in before[source]))
    return ahead


def _first(backwards: Sequence[tuple[int, int]], firings: Sequence[int], target: int) -> dict[int, int]:
    needed = {target: 1}
    for at, reader in backwards:
        if reader in needed:
            needed[at] = max(needed.get(at, 1), -(-needed[reader] * firings[at] // firings[reader]))
    return needed


def _before(ways: Sequence[tuple[int, int]], stages: int) -> list[set[int]]:
    """Of each stage: itself and all that its input comes from."""
    before = [{stage} for stage in range(stages)]
    for source, target in sorted(ways, key=lambda way: way[1]):
        before[target] |= before[source]
    return before
