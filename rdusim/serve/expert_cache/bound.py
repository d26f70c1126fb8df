"""The fewest bytes that any policy could have copied, also for experts of unlike sizes."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from math import inf


def fewest_bytes(sequence: Sequence[int], sizes: Sequence[int], capacity: int) -> int:
    """Bytes copied in by the fractional optimum: parts of experts may go, those whose next use is farthest first.

    For whole experts of unlike sizes the optimum is NP-hard (Chrobak et al., Algorithmica 2012). Cut into equal bytes,
    all bytes of an expert being asked for at once, Belady's rule is optimal again, and every policy that moves whole
    experts is one that could have moved these bytes: so no policy copies less. docs/model.md, "Expert cache".

    `sequence`: expert of each activation; each must fit into `capacity` bytes.
    """
    following = _next_uses(sequence, len(sizes))
    inside, free, copied = [0] * len(sizes), capacity, 0
    farthest: list[tuple[float, int]] = []  # heap of (-next use, expert), outdated entries included
    due = [inf] * len(sizes)
    for place, expert in enumerate(sequence):
        assert sizes[expert] <= capacity
        lacking = sizes[expert] - inside[expert]
        copied += lacking
        due[expert] = place  # nobody is nearer: it is not put out for itself
        while free < lacking:
            next_use, victim = farthest[0]
            if due[victim] != -next_use or not inside[victim]:
                heappop(farthest)
                continue
            part = min(inside[victim], lacking - free)
            inside[victim] -= part
            free += part
        free -= lacking
        inside[expert] = sizes[expert]
        due[expert] = following[place]
        heappush(farthest, (-due[expert], expert))
    return copied


def _next_uses(sequence: Sequence[int], experts: int) -> list[float]:
    """By place of the sequence: the place where the same expert comes again, inf if it does not."""
    following, last = [inf] * len(sequence), [inf] * experts
    for place in range(len(sequence) - 1, -1, -1):
        following[place], last[sequence[place]] = last[sequence[place]], place
    return following
