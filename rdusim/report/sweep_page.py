"""One offline HTML file about a sweep: the best points, objectives along the axes, front, scaling, what failed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from rdusim import __version__
from rdusim.report.html.page import Section, exact, page, paragraphs, table, tiles
from rdusim.report.html.text import NOTHING, plain
from rdusim.report.sweep import Goal, Sense
from rdusim.report.sweep_charts import objective_figures
from rdusim.report.sweep_front import front_figures, scaling_figures
from rdusim.report.sweep_shape import FIRST, Varied, cell, kind_of, numbers, said, varied, where

if TYPE_CHECKING:
    from rdusim.report.sweep import SweepResult

_MOST_ROWS: Final = 300
_MOST_FAILED: Final = 100
_MOST_GOALS: Final = 3  # with charts


def sweep_page(result: SweepResult, *, command: str = "") -> str:
    """The text of an HTML file, the same for the same arguments. `command`: what makes this page again."""
    return page(
        result.title,
        list(_sections(result, command)),
        lead=_lead(result),
        foot=f"Made by rdusim {__version__}. Nothing in this file is loaded from elsewhere.",
    )


def goals_of(result: SweepResult) -> tuple[Goal, ...]:
    """Objectives, then goals of the front; where nothing was named, the first metric that tables show."""
    named = [*(best.goal for best in result.best), *(result.front.goals if result.front else ())]
    metrics = [goal for goal in named if goal.name not in result.points]
    if not metrics:
        name = FIRST if FIRST in result.metrics else next(iter(result.shown), FIRST)
        metrics = [Goal(name=name, sense=Sense.MIN)]
    return tuple({goal.name: goal for goal in metrics}.values())


def best_of(result: SweepResult, goal: Goal) -> int | None:
    """The point that the sweep calls the best, or that has the least or most where it calls none."""
    known = next((best.point for best in result.best if best.goal.name == goal.name), None)
    if known is not None:
        return known
    values = numbers(result, goal.name)
    found = [(goal.worth(float(value)), at) for at, value in enumerate(values.tolist()) if value == value]
    return min(found)[1] if found else None


def _lead(result: SweepResult) -> str:
    axes = varied(result)
    facts = [("points", plain(f"{len(result):,}")), ("failed", plain(f"{result.failed:,}"))]
    for goal in goals_of(result)[:_MOST_GOALS]:
        if (best := best_of(result, goal)) is not None:
            value = float(numbers(result, goal.name)[best])
            word = "least" if goal.sense is Sense.MIN else "most"
            facts.append((f"{word} {goal.name}", exact(value, said(value, kind_of(result, goal.name)), "best")))
    held = "; ".join(f"{axis.path}: {_values(axis)}" for axis in axes)
    return f"{paragraphs(f'{len(result):,} points over {held}.' if axes else '')}\n{tiles(facts)}"


def _values(axis: Varied) -> str:
    if len(axis.texts) <= 6:
        return ", ".join(axis.texts)
    return f"{len(axis.texts):,} values from {axis.texts[0]} to {axis.texts[-1]}"


def _sections(result: SweepResult, command: str) -> Iterator[Section]:
    goals = goals_of(result)
    yield Section(key="best", title="The best points", body=_best(result, goals))
    for number, goal in enumerate(goals[:_MOST_GOALS], start=1):
        body = objective_figures(result, goal, f"o{number}", best_of(result, goal))
        yield Section(key=f"objective{number}", title=goal.name, body=body)
    if result.front is not None:
        yield Section(key="front", title="Pareto front", body=front_figures(result, result.front))
    if scaling := scaling_figures(result):
        yield Section(key="scaling", title="Scaling", body=scaling)
    if result.failed:
        yield Section(key="failed", title="Points that failed", body=_failed(result))
    yield Section(key="points", title="All points", body=_points(result))
    if command:
        yield Section(key="asked", title="What was asked", body=f"<pre><code>{plain(command)}</code></pre>")


def _best(result: SweepResult, goals: tuple[Goal, ...]) -> str:
    axes = varied(result)

    def row(goal: Goal) -> tuple[str, ...]:
        at = best_of(result, goal)
        name = plain(f"{'least' if goal.sense is Sense.MIN else 'most'} {goal.name}")
        if at is None:
            return (name, *(NOTHING for _ in axes), NOTHING)
        value = float(numbers(result, goal.name)[at])
        texts = (plain(result.texts[axis.path][at]) for axis in axes)
        return (name, *texts, exact(value, said(value, kind_of(result, goal.name)), "b-value"))

    return table(["objective", *(axis.path for axis in axes), "value"], map(row, goals))


def _failed(result: SweepResult) -> str:
    failed = [(at, error) for at, error in enumerate(result.errors) if error is not None]
    rows = ((plain(where(result, at, varied(result))), plain(error)) for at, error in failed[:_MOST_FAILED])
    left = len(failed) - _MOST_FAILED
    more = paragraphs(f"{left:,} more failed; the table of the sweep has them.") if left > 0 else ""
    return table(["point", "why"], rows, words=2) + more


def _points(result: SweepResult) -> str:
    axes = [axis.path for axis in varied(result)] or [axis.path for axis in result.axes]
    metrics = list(dict.fromkeys([*(goal.name for goal in goals_of(result)), *result.shown]))
    metrics = [name for name in metrics if name not in axes]
    front = result.front

    def row(at: int) -> tuple[str, ...]:
        state = " failed" if result.errors[at] is not None else " on the front" if front and front.member[at] else ""
        texts = (plain(result.texts[path][at]) for path in axes)
        return (f"{at + 1:,}{state}", *texts, *(cell(result, name, result.column(name)[at]) for name in metrics))

    shown = min(len(result), _MOST_ROWS)
    left = len(result) - shown
    told = f"The first {shown:,} of {len(result):,} points; --output FILE.csv has all of them." if left else ""
    heads = ["point", *axes, *metrics]
    return paragraphs(told) + table(heads, map(row, range(shown)), caption="Points of the sweep")
