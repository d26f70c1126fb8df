"""Where to cut a block into sections: the cheapest way over its stages in order, by dynamic programming.

Stages stand in topological order, so a run of them is convex. Each run is tried under every cut worth trying, within
the budgets, and costs its estimated time plus its launch; the cheapest sequence of runs is taken. Nothing here knows
what a model is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rdusim.errors import LowerError
from rdusim.program.budget import Budget
from rdusim.program.plan import Plan, plan
from rdusim.program.sketch import Sketch
from rdusim.program.tile import WHOLE, Cut, cuts
from rdusim.units import show

AS_GOOD = 0.005
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

    Raises LowerError naming the first stage that fits no section even alone, and by how much.
    """
    count, repeats = len(sketch.groups), sketch.block.repeats
    ways: list[_Way | None] = [_Way(seconds=0.0, plans=()), *([None] * count)]
    for first in range(count):
        way = ways[first]
        if way is None:
            raise LowerError(too_large(sketch, first - 1, budget))
        near: Cut | None = None
        for end in range(first + 1, count + 1):
            best = best_plan(sketch, first, end, budget, near)
            if best is not None:
                near = best.run.cut
                keeps_program = repeats > 1 and first == 0 and end == count
                seconds = way.seconds + launch(best, not keeps_program)
                if repeats == 1:  # what runs once is not worth a wide program: see `lower.SHARES`
                    narrow = (plan(sketch, first, end, near, budget, share) for share in NARROW)
                    seconds = min([seconds, *(way.seconds + launch(each, True) for each in narrow if each is not None)])
                known = ways[end]
                if known is None or seconds < known.seconds:
                    ways[end] = _Way(seconds=seconds, plans=(*way.plans, best))
            if end in barriers:
                break
    if (last := ways[count]) is None:
        raise LowerError(too_large(sketch, count - 1, budget))
    return last.plans


def best_plan(sketch: Sketch, first: int, end: int, budget: Budget, near: Cut | None = None) -> Plan | None:
    """The cheapest cut of one run of stages.

    With `near`, a cut that was best for a shorter run, search around it first.
    """
    choices = cuts(sketch.graph, sketch.flows, sketch.operators(first, end))
    if near in choices and len(choices) > 6:
        found = _descend(sketch, first, end, budget, choices, choices.index(near))
        if found is not None:
            return found
    plans = [found for cut in choices if (found := plan(sketch, first, end, cut, budget)) is not None]
    least = min((each.seconds for each in plans), default=0.0)
    # Of cuts that are as good, the one with the fewest tiles: nothing is gained by more.
    good = [each for each in plans if each.seconds <= least * (1.0 + AS_GOOD)]
    return min(good, key=lambda each: each.run.cut.tiles, default=None)


def _descend(sketch: Sketch, first: int, end: int, budget: Budget, choices: Sequence[Cut], at: int) -> Plan | None:
    """Walk along neighbouring cuts while they get cheaper."""
    best = plan(sketch, first, end, choices[at], budget)
    for step in (1, -1):
        index = at + step
        while 0 <= index < len(choices):
            other = plan(sketch, first, end, choices[index], budget)
            if other is None or (best is not None and other.seconds >= best.seconds * (1.0 - AS_GOOD)):
                break
            best, index = other, index + step
    return best


def too_large(sketch: Sketch, group: int, budget: Budget) -> str:
    """Why not even one stage fits, and what to do."""
    operators = ", ".join(f"'{operator.name}'" for operator in sketch.groups[group].operators)
    needs = sum(edge.size for edge in sketch.edges if edge.target == group and edge.source >= 0)
    made = sum(int(sketch.graph.tensors[tensor].bytes) for tensor in sketch.groups[group].made)
    flows = cuts(sketch.graph, sketch.flows, sketch.operators(group, group + 1))
    tiled = "and it cannot be cut into tiles" if flows == [WHOLE] else "even cut into tiles"
    return (
        f"no section can hold {operators}: it keeps up to {show(needs + made, 'size')} of tiles on the chip, "
        f"which has {show(budget.sram, 'size')} of SRAM to fill, {tiled}: "
        "use more sockets, or fewer tokens or sequences"
    )
