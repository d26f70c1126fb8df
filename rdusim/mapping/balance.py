"""For every stream the one of its candidate routes that keeps the most loaded link low."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rdusim.mapping.mesh import Floats, Ints

PASSES = 2  # the first stream chooses on an empty mesh: everyone may think again once, now seeing all others


def balance(candidates: Sequence[Sequence[tuple[Ints, Floats]]], links: int) -> tuple[list[int], Floats]:
    """Choices, and the bytes on every link they give. A candidate: links of a stream and its bytes on each.

    Greedy, the heaviest stream first; the first candidate wins a tie.
    """
    loads = np.zeros(links)
    choices = [-1] * len(candidates)
    order = sorted(range(len(candidates)), key=lambda number: -_peak(candidates[number][0][1]))
    for _ in range(PASSES):
        for number in order:
            options = candidates[number]
            if choices[number] >= 0:
                used, bytes_ = options[choices[number]]
                loads[used] -= bytes_
            costs = [_peak(loads[used] + bytes_) for used, bytes_ in options]
            best = costs.index(min(costs))
            used, bytes_ = options[best]
            loads[used] += bytes_
            choices[number] = best
    return choices, loads


def _peak(loads: Floats) -> float:
    return float(loads.max()) if loads.size else 0.0
