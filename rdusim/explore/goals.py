"""What is better: objectives and Pareto fronts over the columns of a sweep."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from math import isnan
from typing import Final

import numpy as np

from rdusim.errors import OptionError, Problem
from rdusim.report.sweep import Goal, Scalar, Sense

# Endings of names whose sense nobody would ask for; an axis is a cost: less of it is enough.
_SENSES: Final = (
    ("seconds", Sense.MIN),
    ("tokens_per_second", Sense.MAX),
    ("tokens_per_second_per_user", Sense.MAX),
    ("flops_per_second", Sense.MAX),
    ("utilization", Sense.MAX),
    ("flops_per_byte", Sense.MAX),
    ("bytes", Sense.MIN),
    ("kernel_launches", Sense.MIN),
    ("dollars", Sense.MIN),
    ("joules", Sense.MIN),
    ("hit_rate", Sense.MAX),
    ("share", Sense.MAX),
)


def read_goal(text: str, *, flag: str, axes: Collection[str] = ()) -> Goal:
    """`latency.total_seconds`, or with `:min` or `:max` behind. Raises OptionError where the sense is not known."""
    name, colon, said = text.strip().rpartition(":")
    if not colon:
        name, said = text.strip(), ""
    if said and said not in tuple(Sense):
        raise OptionError(Problem(field=flag, message=f"{said!r} behind {name} is neither min nor max"))
    sense = Sense(said) if said else next((sense for end, sense in _SENSES if _ends(name, end)), None)
    if sense is None and name in axes:
        sense = Sense.MIN
    if sense is None:
        message = f"is less or more of {name} better?"
        raise OptionError(Problem(field=flag, message=message, hint=f"write {name}:min or {name}:max"))
    return Goal(name=name, sense=sense)


def _ends(name: str, end: str) -> bool:
    """Whether the figure itself, or the group of its kind (`breakdown_seconds.hbm`), is called so."""
    return any(part == end or part.endswith(f"_{end}") for part in name.split("."))


def goal_problems(named: Sequence[tuple[str, str]], known: Collection[str]) -> list[Problem]:
    """Flags with names of figures that no result has; `known` are the names that results have, axes included."""
    found = []
    for flag, name in named:
        if name not in known:
            near = get_close_matches(name, known, n=3, cutoff=0.4) or sorted(known)[:3]
            hint = f"did you mean {' or '.join(near)}?"
            found.append(Problem(field=flag, message=f"no result has {name!r}", hint=hint))
    return found


def best_point(goal: Goal, column: Sequence[Scalar | None]) -> int | None:
    """The first of the best points."""
    worths = [(goal.worth(float(value or 0)), number) for number, value in enumerate(column) if is_number(value)]
    return min(worths)[1] if worths else None


def front(goals: Sequence[Goal], columns: Sequence[Sequence[Scalar | None]]) -> tuple[bool, ...]:
    """Which points no other one beats: none is at least as good in every goal and better in one.

    Points without a number in a goal are not on it; equal points are on it together. Points are compared in the order
    of the first goal, each with the front so far only, of which it can be beaten but which it cannot beat.
    """
    count = len(columns[0])
    usable = [number for number in range(count) if all(is_number(column[number]) for column in columns)]
    worths = np.array(
        [
            [goal.worth(float(column[number] or 0.0)) for goal, column in zip(goals, columns, strict=True)]
            for number in usable
        ],
        dtype=np.float64,
    ).reshape(len(usable), len(goals))
    kept = np.empty_like(worths)
    size, member = 0, [False] * count
    for place in np.lexsort(worths.T[::-1]).tolist():
        so_far, point = kept[:size], worths[place]
        beaten = np.all(so_far <= point, axis=1) & np.any(so_far < point, axis=1)
        if not beaten.any():
            kept[size], size = point, size + 1
            member[usable[place]] = True
    return tuple(member)


def is_number(value: Scalar | None) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not isnan(value)
