"""Points of a sweep: every combination of the axes, axes that go together, or so many points drawn from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Final

import numpy as np

from rdusim.errors import OptionError, Problem
from rdusim.explore.axes import Axis, Request, Value, axis, canonical, dimension_along, distinct, is_whole
from rdusim.explore.values import Interval, read_values
from rdusim.pipeline.request import RunRequest

if TYPE_CHECKING:
    from numpy.typing import NDArray

LHS: Final = "lhs"
RANDOM: Final = "random"
SAMPLINGS: Final = (LHS, RANDOM)
_MOST: Final = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An axis as written. `place`: the start of a message about it, such as a file and a line."""

    path: str
    text: str
    place: Problem = field(default_factory=lambda: Problem(message=""))

    def problem(self, message: str, hint: str | None = None) -> Problem:
        return replace(self.place, message=message, field=self.path, hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """Axes, and for each point the number of its value on every axis."""

    axes: tuple[Axis, ...]
    points: tuple[tuple[int, ...], ...]

    def at(self, point: int) -> list[tuple[Axis, Value]]:
        numbers = self.points[point]
        return [(axis, axis.values[number]) for axis, number in zip(self.axes, numbers, strict=True)]


def space_of(
    request: Request,
    wanted: Sequence[Wanted],
    *,
    zipped: Sequence[Sequence[str]] = (),
    samples: int | None = None,
    sampling: str = LHS,
    seed: int = 0,
) -> Space:
    """The points that are asked for. Raises OptionError with everything that is wrong with the axes.

    `zipped`: groups of axes that go through their values together. `samples`: so many points are drawn instead of all
    combinations, of a Latin hypercube or at random.
    """
    problems: list[Problem] = []
    found: dict[str, list[str] | Interval] = {}
    wanted = [replace(each, path=canonical(each.path)) for each in wanted]
    together = {canonical(name) for group in zipped for name in group}  # of which each value has its place
    if isinstance(request, RunRequest):
        problems += _set_and_varied(request, wanted)
    for each in wanted:
        if each.path in found:
            problems.append(each.problem("is varied twice"))
            continue
        try:
            whole, dimension = is_whole(request, each.path), dimension_along(request, each.path)
            values = read_values(each.text, whole=whole, dimension=dimension)
            if isinstance(values, list) and len(values) > 1 and each.path not in together:
                values = distinct(request, each.path, values)
            found[each.path] = values
        except ValueError as error:
            problems.append(each.problem(str(error)))
        except OptionError as error:
            problems += [replace(each.place, message=p.message, field=p.field, hint=p.hint) for p in error.problems]
    if not wanted:
        problems.append(Problem(field="--vary", message="there is nothing to vary", hint="--vary batch=1,2,4"))
    problems += _sampling_problems(wanted, found, samples, sampling)
    groups, wrong = _groups([each.path for each in wanted], found, zipped)
    problems += wrong
    if samples is not None and not problems:
        columns = _drawn(found, groups, samples, sampling, seed)
    else:
        columns = {path: values for path, values in found.items() if not isinstance(values, Interval)}
    axes, wrong = _axes(request, [each for each in wanted if each.path in columns], columns)
    problems += wrong
    if problems:
        raise OptionError(*problems)
    if samples is None:
        return Space(axes=axes, points=_grid(axes, groups))
    rows = zip(*(_numbers(axis, columns[axis.path]) for axis in axes), strict=True)
    return Space(axes=axes, points=tuple(rows))


def _set_and_varied(request: RunRequest, wanted: Sequence[Wanted]) -> list[Problem]:
    fixed = {setting.partition("=")[0].strip(): setting for setting in request.overrides}
    return [
        each.problem(f"is varied, and set as well: {fixed[each.path]}", "leave one of them out")
        for each in wanted
        if each.path in fixed
    ]


def _axes(
    request: Request, wanted: Sequence[Wanted], columns: dict[str, list[str]]
) -> tuple[tuple[Axis, ...], list[Problem]]:
    """Axes of their different values, each checked."""
    axes, problems = list[Axis](), list[Problem]()
    for each in wanted:
        try:
            axes.append(axis(request, each.path, list(dict.fromkeys(columns[each.path]))))
        except OptionError as error:
            problems += [replace(each.place, message=p.message, field=p.field, hint=p.hint) for p in error.problems]
    return tuple(axes), problems


def _numbers(axis: Axis, texts: Sequence[str]) -> list[int]:
    number = {value.text: index for index, value in enumerate(axis.values)}
    return [number[text.strip()] for text in texts]


def _sampling_problems(
    wanted: Sequence[Wanted], found: dict[str, list[str] | Interval], samples: int | None, sampling: str
) -> list[Problem]:
    problems = []
    if sampling not in SAMPLINGS:
        hint = f"one of {', '.join(SAMPLINGS)}"
        problems.append(Problem(field="--sampling", message=f"unknown value {sampling!r}", hint=hint))
    if samples is not None and samples < 1:
        problems.append(Problem(field="--samples", message=f"{samples} is not a number of points: at least 1"))
    if samples is None:
        hint = "say how many values (@5, @log5, :STEP, *FACTOR), or draw from it with --samples N"
        problems += [
            each.problem("is an interval without values", hint)
            for each in wanted
            if isinstance(found.get(each.path), Interval)
        ]
    return problems


def _groups(
    paths: Sequence[str], found: dict[str, list[str] | Interval], zipped: Sequence[Sequence[str]]
) -> tuple[list[list[str]], list[Problem]]:
    """Paths that go together, in the order of the axes; what is zipped with nothing is alone."""
    problems: list[Problem] = []
    leader: dict[str, str] = {}
    for group in zipped:
        names = [canonical(name) for name in group]
        for name in names:
            if name not in paths:
                problems.append(Problem(field="--zip", message=f"{name!r} is not varied", hint=f"--vary {name}=..."))
            elif name in leader:
                problems.append(Problem(field="--zip", message=f"{name!r} is zipped twice"))
            leader[name] = names[0]
        values = {name: found[name] for name in names if name in found}
        counts = {name: len(texts) for name, texts in values.items() if not isinstance(texts, Interval)}
        if len(set(counts.values())) > 1:
            said = ", ".join(f"{name} has {count}" for name, count in counts.items())
            problems.append(Problem(field="--zip", message=f"as many values of each are wanted: {said}"))
    together: dict[str, list[str]] = {}
    for path in dict.fromkeys(paths):
        together.setdefault(leader.get(path, path), []).append(path)
    return list(together.values()), problems


def _grid(axes: Sequence[Axis], groups: Sequence[Sequence[str]]) -> tuple[tuple[int, ...], ...]:
    """Every combination of the groups' values, the last one running fastest."""
    place = {axis.path: number for number, axis in enumerate(axes)}
    together = [[place[path] for path in group] for group in groups]
    counts = [len(axes[members[0]].values) for members in together]
    if (total := prod(counts)) > _MOST:
        raise OptionError(Problem(field="--vary", message=f"{total:,} points: at most {_MOST:,}", hint="--samples N"))
    rows = []
    for numbers in product(*(range(count) for count in counts)):
        row = [0] * len(axes)
        for members, number in zip(together, numbers, strict=True):
            for member in members:
                row[member] = number
        rows.append(tuple(row))
    return tuple(rows)


def _drawn(
    found: dict[str, list[str] | Interval], groups: Sequence[Sequence[str]], samples: int, sampling: str, seed: int
) -> dict[str, list[str]]:
    """A text for every axis at every drawn point; zipped axes are drawn as one."""
    shares = draw(samples, len(groups), sampling=sampling, rng=np.random.default_rng(seed))
    columns: dict[str, list[str]] = {}
    for number, group in enumerate(groups):
        for path in group:
            values = found[path]
            columns[path] = [
                values.text(share) if isinstance(values, Interval) else values[int(share * len(values))]
                for share in shares[:, number].tolist()
            ]
    return columns


def draw(samples: int, axes: int, *, sampling: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """Points of the unit cube, one a row. Of a Latin hypercube each of `samples` equal slices of an axis has one."""
    within = rng.random((samples, axes))
    if sampling == RANDOM:
        return within
    slices = np.stack([rng.permutation(samples) for _ in range(axes)], axis=1)
    # Rounding must not carry a point into the next slice, or out of the cube.
    shares: NDArray[np.float64] = np.minimum((slices + within) / samples, np.nextafter((slices + 1) / samples, 0.0))
    return shares
