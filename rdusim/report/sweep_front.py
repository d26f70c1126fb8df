"""The Pareto front of a sweep as a scatter, and how throughput scales with sockets or batch."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np

from rdusim.report.html.axes import chosen, logarithmic
from rdusim.report.html.charts import Chart
from rdusim.report.html.page import figure, table
from rdusim.report.html.points import Cloud, Guide, Point, scatter
from rdusim.report.html.style import SERIES
from rdusim.report.html.text import plain
from rdusim.report.sweep_charts import value_axis
from rdusim.report.sweep_shape import Varied, kind_of, numbers, said, varied, where

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rdusim.report.sweep import Front, Goal, SweepResult

    Floats = NDArray[np.float64]

SCALED: Final = ("sockets", "batch", "system.sockets")  # axes along which more is hoped for
RATE: Final = "throughput.tokens_per_second"
TIME: Final = "latency.total_seconds"
_MOST: Final = 250  # points that one can go to


def front_figures(result: SweepResult, front: Front) -> str:
    """A scatter for each pair of goals."""
    pairs = list(combinations(front.goals, 2))[:6]
    return "\n".join(_pair(result, front, one, other, f"front{at}") for at, (one, other) in enumerate(pairs, start=1))


def _pair(result: SweepResult, front: Front, one: Goal, other: Goal, key: str) -> str:
    across, up = numbers(result, one.name), numbers(result, other.name)
    known = np.flatnonzero(np.isfinite(across) & np.isfinite(up))
    if not len(known):
        return f"<p>No point has both {plain(one.name)} and {plain(other.name)}.</p>"
    members = [int(at) for at in known if front.member[at]]
    members.sort(key=lambda at: (across[at], one.worth(0.0), other.worth(float(up[at]))))
    axes = varied(result)
    shown = members[:: max(1, -(-len(members) // _MOST))]
    points = [
        Point(
            kind=2,
            x=float(across[at]),
            y=float(up[at]),
            says=(
                f"{one.name} {said(float(across[at]), kind_of(result, one.name))}, "
                f"{other.name} {said(float(up[at]), kind_of(result, other.name))}",
                where(result, at, axes),
            ),
            radius=5.5,
        )
        for at in shown
    ]
    drawn = scatter(
        Chart(
            key=key,
            title=f"{other.name} against {one.name}",
            description=f"{len(members)} of {len(known)} points are on the front.",
        ),
        value_axis(_goal(one), across[known], result, one.name),
        value_axis(_goal(other), up[known], result, other.name),
        ["", "on the front"],
        points,
        [_steps(one, across, up, members)] if len(front.goals) == 2 and members else [],
        cloud=Cloud(name="a point", x=across[known], y=up[known]),
    )
    rows = (
        (
            plain(where(result, at, axes)),
            plain(said(float(across[at]), kind_of(result, one.name))),
            plain(said(float(up[at]), kind_of(result, other.name))),
        )
        for at in members[:_MOST]
    )
    return figure(
        drawn,
        label=f"{other.name} against {one.name}",
        caption=f"No point is better than one on the front in one goal without being worse in another: "
        f"{len(members)} of {len(known)}.",
        numbers=table(["point on the front", one.name, other.name], rows),
        key=key,
    )


def _goal(goal: Goal) -> str:
    return f"{goal.name} ({'less' if goal.sense == 'min' else 'more'} is better)"


def _steps(one: Goal, across: Floats, up: Floats, members: list[int]) -> Guide:
    """The edge of what can be had: from one member to the next, along what both have at least."""
    xs, ys = [float(across[members[0]])], [float(up[members[0]])]
    for at in members[1:]:
        x, y = float(across[at]), float(up[at])
        # Ascending in x. Where less x is better, what the one before has holds until x; else what comes next does.
        xs += [x, x] if one.worth(1.0) > 0 else [xs[-1], x]
        ys += [ys[-1], y] if one.worth(1.0) > 0 else [y, y]
    return Guide(name="front", kind=2, x=tuple(xs), y=tuple(ys))


def scaling_figures(result: SweepResult) -> str:
    """For each axis along which one scales: the gain over its least value, and what a gain in proportion would be."""
    found = [axis for axis in varied(result) if axis.path in SCALED and axis.numeric]
    return "\n".join(_scaling(result, axis, f"scale{at}") for at, axis in enumerate(found, start=1))


def _scaling(result: SweepResult, axis: Varied, key: str) -> str:
    rates = numbers(result, RATE)
    gains = rates if np.isfinite(rates).any() else 1.0 / numbers(result, TIME)
    what = "tokens a second" if np.isfinite(rates).any() else "speed"
    others = [each for each in varied(result) if each.path != axis.path]
    groups: dict[tuple[int, ...], list[int]] = {}
    for at in range(len(result)):
        if np.isfinite(gains[at]):
            groups.setdefault(tuple(each.index[at] for each in others), []).append(at)
    found = [members for members in groups.values() if len({axis.index[at] for at in members}) > 1]
    if not found:
        return ""
    places = sorted({round(at) for at in np.linspace(0, len(found) - 1, min(len(found), len(SERIES)))})
    whole = [found[at] for at in places]
    low = axis.values[0]
    ideal = Guide(name="in proportion", kind=0, x=axis.values, y=tuple(value / low for value in axis.values))
    points, guides, rows = [], [ideal], []
    for number, members in enumerate(whole, start=1):
        members.sort(key=lambda at: axis.index[at])
        first, base = members[0], gains[members[0]] * low / axis.values[axis.index[members[0]]]
        name = where(result, first, others)
        xs = tuple(axis.values[axis.index[at]] for at in members)
        ys = tuple(float(gains[at] / base) for at in members)
        guides.append(Guide(name=name or what, kind=number, x=xs, y=ys))
        for at, x, y in zip(members, xs, ys, strict=True):
            share = y * low / x
            text = axis.texts[axis.index[at]]
            points.append(
                Point(kind=number, x=x, y=y, says=(f"{axis.path} {text}: {y:.3g} x, {100 * share:.0f}% of it", name))
            )
            rows.append((plain(name or what), plain(text), f"{y:.3g}", f"{100 * share:.0f}%"))
    most = np.array([*(point.y for point in points), ideal.y[-1]])
    drawn = scatter(
        Chart(
            key=key,
            title=f"Scaling with {axis.path}",
            description=f"{what} over that at {axis.path} {axis.texts[0]}; at most {max(p.y for p in points):.3g} x.",
        ),
        chosen(axis.path, axis.values, axis.texts),
        logarithmic(f"{what}, x that at {axis.texts[0]}", min(1.0, float(most.min())), float(most.max()), "count"),
        [],
        points,
        guides,
    )
    some = f" ({len(whole)} of {len(groups)})" if len(groups) > len(whole) else ""
    caption = f"{what.capitalize()} over that at {axis.path} {axis.texts[0]}, a line for each choice of the other axes"
    return figure(
        drawn,
        label=f"scaling with {axis.path}",
        caption=f"{caption}{some}; the line without points is in proportion.",
        numbers=table(["points", axis.path, "gain", "of proportion"], rows),
        key=key,
    )
