"""Who sends what to whom, when a tile is cut evenly over the units that send it and over those that receive it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rdusim.mapping.mesh import Ints


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pairs:
    """Point to point: `count` shares of flow `flow` from a switch to another."""

    flow: Ints
    source: Ints
    target: Ints
    count: Ints


def spread(sources: list[Ints], targets: list[Ints]) -> Pairs:
    """A stream's tile is cut evenly over its sources, and evenly over its targets: the pairs that share a part.

    By stream, in order; a share is 1 / (sources x targets) of a tile. n sources and m targets make n + m - gcd pairs.
    """
    n = np.array([part.size for part in sources], dtype=np.int64)
    m = np.array([part.size for part in targets], dtype=np.int64)
    if not n.size:
        nothing = np.zeros(0, dtype=np.int64)
        return Pairs(flow=nothing, source=nothing, target=nothing, count=nothing)
    first = np.concatenate(([0], np.cumsum(n * m)))
    # All cuts of all streams on one axis; between two neighbouring cuts lies one part.
    bounds = np.unique(np.concatenate([_cuts(n, m, first), _cuts(m, n, first), first]))
    start = bounds[:-1]
    flow = np.searchsorted(first, start, side="right") - 1
    within = start - first[flow]
    return Pairs(
        flow=flow,
        source=np.concatenate(sources)[(np.cumsum(n) - n)[flow] + within // m[flow]],
        target=np.concatenate(targets)[(np.cumsum(m) - m)[flow] + within // n[flow]],
        count=np.diff(bounds),
    )


def cross(left: Ints, right: Ints, owners: int) -> tuple[Ints, Ints]:
    """Indices of all combinations of a left and a right one of the same owner; owners ascend."""
    n, m = np.bincount(left, minlength=owners), np.bincount(right, minlength=owners)
    size = n * m
    owner = np.repeat(np.arange(owners), size)
    number = np.arange(owner.size) - np.repeat(np.cumsum(size) - size, size)
    return (np.cumsum(n) - n)[owner] + number // m[owner], (np.cumsum(m) - m)[owner] + number % m[owner]


def ranges(first: Ints, size: Ints) -> tuple[Ints, Ints]:
    """Numbers first[i] .. first[i] + size[i] - 1 for every i, one after the other, and the i of each."""
    owner = np.repeat(np.arange(size.size), size)
    return np.arange(owner.size) + (first - np.cumsum(size) + size)[owner], owner


def _cuts(parts: Ints, step: Ints, first: Ints) -> Ints:
    """Where the parts of every stream begin: `step` apart."""
    number, flow = ranges(np.zeros_like(parts), parts)
    cuts: Ints = first[flow] + number * step[flow]
    return cuts
