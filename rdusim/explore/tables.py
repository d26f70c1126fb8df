"""A sweep's columns, and the files they go to: CSV, Parquet, JSON. Equal results are equal bytes."""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from io import BytesIO, StringIO
from typing import Any, Final

from rdusim.errors import OptionError, Problem
from rdusim.explore.store import Outcome
from rdusim.report.export import Json
from rdusim.report.sweep import Scalar, SweepResult

# Columns of a table unless others are asked for: what most questions are about, in reading order.
USUAL: Final = (
    "latency.*",
    "throughput.*",
    "bound",
    "breakdown_seconds.*",
    "memory.*.bandwidth_utilization",
    "memory.*.peak_bytes",
    "operational_intensity.flops_per_byte",
    "kernel_launches",
    "latency_seconds.*.mean",
    "latency_seconds.*.p99",
    "requests.per_second",
    "requests.output_tokens_per_second",
    "expert_cache.hit_rate",
    "slo.kept_share",
    "slo.goodput_requests_per_second",
)
_USED: Final = "sockets_used"
_SOCKETS: Final = ("sockets", "system.sockets", "parallel", "arch")  # axes along which some of them may be idle
PARETO: Final = "pareto"
ERROR: Final = "error"
_PATTERN: Final = "*?["


def columns_of(outcomes: Sequence[Outcome]) -> dict[str, tuple[Scalar | None, ...]]:
    """Every figure of every point by name; names in the order in which points first have them."""
    names = dict.fromkeys(name for outcome in outcomes for name in outcome.metrics or ())
    rows = [outcome.metrics or {} for outcome in outcomes]
    return {name: tuple(row.get(name) for row in rows) for name in names}


def usual(axes: Collection[str]) -> tuple[str, ...]:
    """Patterns of columns where none are asked for; how many sockets work is news where their number varies."""
    return (_USED, *USUAL) if any(axis in axes for axis in _SOCKETS) else USUAL


def shown_names(patterns: Sequence[str], known: Sequence[str], more: Sequence[str]) -> tuple[str, ...]:
    """Names that a table shows: those that match, pattern by pattern, and `more` that must not be missing."""
    matching = (name for pattern in patterns for name in known if fnmatchcase(name, pattern))
    return tuple(dict.fromkeys((*matching, *(name for name in more if name in known))))


def is_pattern(name: str) -> bool:
    return any(mark in name for mark in _PATTERN)


def csv_text(result: SweepResult) -> str:
    """A header and a row a point. Floats are written so that reading them gives the same bits."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = table(result)
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in zip(*columns.values(), strict=True))
    return text.getvalue()


def check_parquet() -> None:
    """Raises OptionError where the package for Parquet is missing."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        message, hint = "Parquet needs the package pyarrow", "pip install 'rdusim[parquet]', or write a .csv"
        raise OptionError(Problem(field="--output", message=message, hint=hint)) from None


def parquet_bytes(result: SweepResult) -> bytes:
    """The same columns with their types. Raises OptionError where the package for it is missing."""
    check_parquet()
    import pyarrow as arrow
    from pyarrow import parquet

    columns = {name: arrow.array(_alike(values)) for name, values in table(result).items()}
    out = BytesIO()
    parquet.write_table(arrow.table(columns), out)
    return out.getvalue()


def as_json(result: SweepResult) -> dict[str, Json]:
    """The documented JSON (docs/cli.md): what was varied, a row a point, what is best."""
    columns = table(result)
    rows: list[Json] = [
        {name: value for name, value in zip(columns, row, strict=True) if value is not None}
        for row in zip(*columns.values(), strict=True)
    ]
    found: dict[str, Json] = {
        "title": result.title,
        "axes": [axis.path for axis in result.axes],
        "points": len(result),
        "failed": result.failed,
        "rows": rows,
    }
    if result.best:
        found["best"] = [
            {"metric": best.goal.name, "sense": best.goal.sense.value, "point": best.point} for best in result.best
        ]
    if result.front is not None:
        found["pareto"] = {
            "metrics": [{"metric": goal.name, "sense": goal.sense.value} for goal in result.front.goals],
            "points": [number for number, member in enumerate(result.front.member) if member],
        }
    return found


def table(result: SweepResult) -> dict[str, Sequence[Scalar | None]]:
    """Columns of a table: axes, figures that are shown, the front, and errors if there are any."""
    found: dict[str, Sequence[Scalar | None]] = dict(result.points)
    found |= {name: result.column(name) for name in result.shown if name not in found}
    if result.front is not None:
        found[PARETO] = result.front.member
    return found | {ERROR: result.errors}


def _cell(value: Scalar | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


def _alike(values: Sequence[Any]) -> list[Any]:
    """Values of one type: whole numbers among others are numbers, and numbers among texts are texts."""
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) < 2:
        return list(values)
    kind = float if kinds == {int, float} else str
    return [None if value is None else kind(value) if kind is float else _cell(value) for value in values]
