"""Shared bandwidth: the weighted max-min fair rates of streams that cross several resources.

Progressive filling (Bertsekas, Gallager: Data Networks, 2nd ed. 1992, sec. 6.5.2), with weights: all rates grow as
weight x level until a resource is full or a stream reaches its own cap; those streams stop there, the others go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

# Two resources that fill at the same level up to rounding fill together.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """By stream: its rate, and the index of the resource that stops it (-1: its own cap, or nothing at all)."""

    rates: tuple[float, ...]
    limits: tuple[int, ...]


def max_min_rates(
    weights: Sequence[float],
    usage: Sequence[Sequence[tuple[int, float]]],
    capacities: Sequence[float],
    caps: Sequence[float] | None = None,
) -> Shares:
    """Rates that share `capacities` so that none can grow without shrinking one whose rate / weight is no larger.

    `weights`: bytes of each stream per tile, so that equal rate / weight is equal pace. `usage`: for each stream, pairs
    (resource, bytes there per byte of the stream). `caps`: a stream's own highest rate. Rates in the unit of the
    capacities; a stream that nothing bounds has an infinite one.
    """
    assert len(weights) == len(usage) and all(weight > 0.0 for weight in weights)
    assert caps is None or len(caps) == len(weights)
    highest = [cap / weight for cap, weight in zip(caps or [inf] * len(weights), weights, strict=True)]
    users = _users(weights, usage, len(capacities))
    left, growth = list(capacities), [sum(load for _, load in streams) for streams in users]
    active = dict.fromkeys(range(len(weights)))
    levels, limits = [inf] * len(weights), [-1] * len(weights)
    while active:
        full = [room / pace if pace > 0.0 else inf for room, pace in zip(left, growth, strict=True)]
        level = min(min(full, default=inf), min(highest[stream] for stream in active))
        if level == inf:
            break
        stopped = {stream: -1 for stream in active if highest[stream] <= level * (1.0 + _ROUNDING)}
        for resource, at in enumerate(full):
            if at <= level * (1.0 + _ROUNDING):
                stopped.update((stream, resource) for stream, _ in users[resource] if stream in active)
        for stream, limit in stopped.items():
            levels[stream], limits[stream] = level, limit
            del active[stream]
        _settle(stopped, weights, usage, level, left, growth)
        for resource, streams in enumerate(users):
            # Exactly zero once the last user has stopped: what rounding leaves must not look like a full resource.
            if not any(stream in active for stream, _ in streams):
                growth[resource] = 0.0
    return Shares(rates=tuple(w * at for w, at in zip(weights, levels, strict=True)), limits=tuple(limits))


def _users(
    weights: Sequence[float], usage: Sequence[Sequence[tuple[int, float]]], resources: int
) -> list[list[tuple[int, float]]]:
    """By resource, its streams with the bytes that each puts on it per unit of level."""
    users: list[list[tuple[int, float]]] = [[] for _ in range(resources)]
    for stream, parts in enumerate(usage):
        for resource, fraction in parts:
            if fraction > 0.0:
                users[resource].append((stream, weights[stream] * fraction))
    return users


def _settle(
    stopped: dict[int, int],
    weights: Sequence[float],
    usage: Sequence[Sequence[tuple[int, float]]],
    level: float,
    left: list[float],
    growth: list[float],
) -> None:
    """Take the rates of the streams that stopped out of what is left and out of what still grows."""
    for stream in stopped:
        for resource, fraction in usage[stream]:
            load = weights[stream] * fraction
            left[resource] = max(0.0, left[resource] - load * level)
            growth[resource] -= load
