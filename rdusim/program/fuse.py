"""Where to cut a block into sections: the cheapest way over its stages in order, by dynamic programming.

Stages stand in topological order, so a run of them is convex. Each run is tried under every cut worth trying, within
the budgets, and costs its estimated time plus its launch; the cheapest sequence of runs is taken. Nothing here knows
what a model is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

from rdusim.errors import LowerError
from rdusim.graph.types import Compute
from rdusim.program.budget import Budget
from rdusim.program.plan import Plan, plan
from rdusim.program.sketch import Sketch
from rdusim.program.tile import WHOLE, Cut
from rdusim.units import show

AS_GOOD = 0.005
STRIDE = 3
NARROW = (1 / 8, 1 / 64)  # shares of the PCUs tried for sections that run once

LaunchCost = Callable[[Plan, bool], float]  # (section, loads its program) -> seconds with its launch


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """Cheapest sections for the stages before some stage."""

    seconds: float
    plans: tuple[Plan, ...]


def fuse(
    sketch: Sketch, budget: Budget, launch: LaunchCost, barriers: frozenset[int] = frozenset()
) -> tuple[Plan, ...]:
    """Sections of a block, in order. No section spans a barrier (a stage that must start a section of its own).

    Cuts are tried first where a systolic stage or a collective begins, as element-wise stages cost little beside the
    one they follow; where no such sequence fits, in front of every stage. Raises LowerError naming the first stage that
    fits no section even alone, and by how much.
    """
    count = len(sketch.groups)
    heavy = {group.index for group in sketch.groups if group.compute in (Compute.SYSTOLIC, Compute.COLLECTIVE)}
    found, _ = _cheapest(sketch, budget, launch, barriers, sorted({0, count} | heavy | barriers))
    if found is None:
        found, reached = _cheapest(sketch, budget, launch, barriers, range(count + 1))
        if found is None:
            raise LowerError(too_large(sketch, reached, budget))
    return found


def _cheapest(
    sketch: Sketch, budget: Budget, launch: LaunchCost, barriers: frozenset[int], places: Sequence[int]
) -> tuple[tuple[Plan, ...] | None, int]:
    """Cheapest sections that begin and end at `places`; and the first stage that none reaches beyond."""
    count, repeats = len(sketch.groups), sketch.block.repeats
    ways: dict[int, _Way] = {0: _Way(seconds=0.0, plans=())}
    for first in places[:-1]:
        if (way := ways.get(first)) is None:
            continue
        near: Cut | None = None
        for end in (place for place in places if place > first):
            best = best_plan(sketch, first, end, budget, near)
            if best is not None:
                near = best.run.cut
                keeps_program = repeats > 1 and first == 0 and end == count
                seconds = way.seconds + launch(best, not keeps_program)
                if repeats == 1:  # what runs once is not worth a wide program: see `lower.SHARES`
                    narrow = (plan(sketch, first, end, near, budget, share) for share in NARROW)
                    seconds = min([seconds, *(way.seconds + launch(each, True) for each in narrow if each is not None)])
                known = ways.get(end)
                if known is None or seconds < known.seconds:
                    ways[end] = _Way(seconds=seconds, plans=(*way.plans, best))
            if end in barriers:
                break
    last = ways.get(count)
    return (last.plans if last else None), max(ways)


def best_plan(sketch: Sketch, first: int, end: int, budget: Budget, near: Cut | None = None) -> Plan | None:
    """The cheapest cut of one run of stages; of cuts that are as good, the one with the fewest tiles.

    Cuts stand in order of their tiles. With `near`, a cut that was best for a shorter run, it and every third cut are
    tried, then the neighbours of the best of these.
    """
    choices = sketch.cuts(first, end)
    tried: dict[int, Plan | None] = {}

    def seconds(index: int) -> float:
        if index not in tried:
            tried[index] = plan(sketch, first, end, choices[index], budget)
        found = tried[index]
        return inf if found is None else found.seconds

    if near not in choices:
        at = min(range(len(choices)), key=seconds)
    else:
        at = min({choices.index(near), *range(0, len(choices), STRIDE)}, key=seconds)
        for step in (1, -1):
            while 0 <= at + step < len(choices) and seconds(at + step) < seconds(at):
                at += step
    if seconds(at) == inf:  # none of those fits: it may be one of the others
        at = min(range(len(choices)), key=seconds)
    least = seconds(at)
    good = [each for each in tried.values() if each is not None and each.seconds <= least * (1.0 + AS_GOOD)]
    return min(good, key=lambda each: each.run.cut.tiles, default=None)


def too_large(sketch: Sketch, group: int, budget: Budget) -> str:
    """Why not even one stage fits, and what to do."""
    operators = ", ".join(f"'{operator.name}'" for operator in sketch.groups[group].operators)
    needs = sum(edge.size for edge in sketch.edges if edge.target == group and edge.source >= 0)
    made = sum(int(sketch.graph.tensors[tensor].bytes) for tensor in sketch.groups[group].made)
    tiled = "and it cannot be cut into tiles" if sketch.cuts(group, group + 1) == [WHOLE] else "even cut into tiles"
    return (
        f"no section can hold {operators}: it keeps up to {show(needs + made, 'size')} of tiles on the chip, "
        f"which has {show(budget.sram, 'size')} of SRAM to fill, {tiled}: "
        "use more sockets, or fewer tokens or sequences"
    )
