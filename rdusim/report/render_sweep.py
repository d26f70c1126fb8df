"""A sweep for people: how many points, the best and the front of them, and the first rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rich.table import Table

from rdusim.report.sweep import Scalar, SweepResult, points
from rdusim.units import Dimension, Kind, show

if TYPE_CHECKING:
    from rich.console import Console

_ROWS: Final = 20  # of a table without --output
_USED: Final = "sockets_used"
_COLUMNS: Final = ("latency.total_seconds", "throughput.tokens_per_second", "bound")

# Endings of names of figures, and what they are quantities of.
_KINDS: Final[tuple[tuple[str, Kind], ...]] = (
    ("bytes_per_second", "bandwidth"),
    ("flops_per_second", "flops"),
    ("seconds", "time"),
    ("bytes", "size"),
    ("utilization", "share"),
    ("share", "share"),
    ("hit_rate", "share"),
)


def print_sweep(result: SweepResult, console: Console) -> None:
    """A summary; tables are short, files have everything."""
    names = [axis.path for axis in result.axes]
    failed = f", {result.failed} failed" if result.failed else ""
    console.print(f"{result.title}: {points(len(result))} over {', '.join(names)}{failed}", soft_wrap=True)
    goals = [best.goal.name for best in result.best]
    goals += [goal.name for goal in result.front.goals] if result.front is not None else []
    usual = [_USED] if _USED in result.shown else []
    usual += [] if goals else _COLUMNS
    columns = list(dict.fromkeys((*names, *goals, *(result.asked or usual))))
    for best in result.best:
        if best.point is None:
            console.print(f"{best.goal.sense} {best.goal.name}: no point has it")
        else:
            where = ", ".join(f"{name}={result.texts[name][best.point]}" for name in names)
            value = said(best.goal.name, result.column(best.goal.name)[best.point])
            console.print(f"{best.goal.sense} {best.goal.name}: {value} at {where}", soft_wrap=True)
    if result.front is not None:
        members = [number for number, member in enumerate(result.front.member) if member]
        goals_said = ", ".join(f"{goal.name} ({goal.sense})" for goal in result.front.goals)
        console.print(f"Pareto front of {goals_said}: {points(len(members))}", soft_wrap=True)
        _print_rows(result, columns, members, console)
    else:
        _print_rows(result, columns, range(len(result)), console)


def _print_rows(result: SweepResult, columns: Sequence[str], points: Sequence[int], console: Console) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    errors = any(result.errors[point] for point in points[:_ROWS])
    for name in (*_short(columns), *(["error"] if errors else [])):
        table.add_column(name, overflow="fold")
    for point in points[:_ROWS]:
        cells = [
            result.texts[name][point] if name in result.texts else said(name, result.column(name)[point])
            for name in columns
        ]
        table.add_row(*cells, *([result.errors[point] or ""] if errors else []))
    console.print(table)
    if len(points) > _ROWS:
        console.print(f"... and {len(points) - _ROWS:,} more: --output FILE.csv has all of them")


def _short(names: Sequence[str]) -> list[str]:
    """The last word of each dotted name, or as many as tell it from the others."""
    found = []
    for name in names:
        words = name.split(".")
        tails = (".".join(words[-count:]) for count in range(1, len(words) + 1))
        others = [other for other in names if other != name]
        found.append(next((tail for tail in tails if not any(_has(other, tail) for other in others)), name))
    return found


def _has(name: str, tail: str) -> bool:
    return name == tail or name.endswith(f".{tail}")


def said(name: str, value: Scalar | None) -> str:
    """A figure in the unit that its name tells."""
    if value is None:
        return "-"
    if isinstance(value, bool | str):
        return str(value).lower() if isinstance(value, bool) else value
    kind = kind_of(name)
    if kind is not None:
        return show(value, kind)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def kind_of(name: str, dimension: Dimension | None = None) -> Kind | None:
    """What a column is a quantity of: an axis by its dimension, a figure by its name."""
    if dimension is not None:
        return dimension
    if name.startswith("breakdown_seconds."):
        return "time"
    return next((kind for end, kind in _KINDS if name.endswith(end)), None)
