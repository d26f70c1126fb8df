"""expected.csv: what was published for each row of an experiment, or that nothing was."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from rdusim.baselines.published import Target, load_targets
from rdusim.errors import Problem
from runner.types import Asked, Expected, ExperimentError, Published, said

_COLUMNS: Final = ("series", "id", "value", "unit", "source")


def read_expected(path: Path, x: str, asked: Sequence[Asked]) -> dict[tuple[str, str], Expected]:
    """By x and series, one line for each row that is no sensitivity. Raises ExperimentError with all that is wrong.

    An id is one of targets.csv, and value and unit are those there; without an id nothing is compared.
    """
    file = str(path)
    try:
        with path.open(encoding="utf-8", newline="") as text:
            lines = csv.DictReader(text)
            columns, rows = tuple(lines.fieldnames or ()), [(lines.line_num, row) for row in lines]
    except (OSError, UnicodeDecodeError) as error:
        raise ExperimentError(Problem(message=f"cannot be read: {error}", file=file)) from None
    wanted = (x, *_COLUMNS)
    if missing := [column for column in wanted if column not in columns]:
        hint = f"the columns are {', '.join(wanted)}"
        raise ExperimentError(Problem(message=f"missing column {', '.join(missing)}", file=file, line=1, hint=hint))
    wrong = list(_misshapen(rows, columns, file))
    if not wrong:  # cells of such a line may stand below the wrong names
        found = {(row[x], row["series"]): row for _, row in rows}
        wrong = [*_twice(rows, file, x), *_problems(rows, file, x, asked), *_missing(found, file, x, asked)]
    if wrong:
        raise ExperimentError(*wrong)
    return {
        key: Expected(id=row["id"], value=float(row["value"]) if row["value"] else None, source=row["source"] or "")
        for key, row in found.items()
    }


def _misshapen(
    rows: Sequence[tuple[int, Mapping[str | None, str | list[str] | None]]], columns: Sequence[str], file: str
) -> Iterator[Problem]:
    for line, row in rows:
        more = row.get(None) or ()
        cells = len(columns) + len(more) - sum(value is None for value in row.values())
        if cells != len(columns):
            hint = f"the columns are {', '.join(columns)}; a text with a comma stands in quotes"
            yield Problem(message=f"{cells} cells, not {len(columns)}", file=file, line=line, hint=hint)


def _twice(rows: Sequence[tuple[int, Mapping[str, str]]], file: str, x: str) -> Iterator[Problem]:
    first: dict[tuple[str, str], int] = {}
    for line, row in rows:
        before = first.setdefault((row[x], row["series"]), line)
        if before != line:
            message = f"{row[x]!r}, {row['series']!r} is there twice, first in line {before}"
            yield Problem(message=message, file=file, line=line, hint="leave one of them out")


def _problems(
    rows: Sequence[tuple[int, Mapping[str, str]]], file: str, x: str, asked: Sequence[Asked]
) -> Iterator[Problem]:
    known = {(said(row.x), row.series): row for row in asked if row.main}
    targets = load_targets()
    for line, row in rows:
        row_asked = known.get((row[x], row["series"]))
        if row_asked is None:
            yield Problem(message=f"the experiment has no row {row[x]!r}, {row['series']!r}", file=file, line=line)
        elif row["unit"] != row_asked.unit:
            message = f"unit {row['unit']!r}, and the row is in {row_asked.unit!r}"
            yield Problem(message=message, file=file, line=line, field="unit")
        elif _named(row_asked) not in ("", row["id"]):
            message = f"id {row['id']!r}, and the row asks for {_named(row_asked)}"
            yield Problem(message=message, file=file, line=line, field="id")
        elif row["id"] or row["value"]:
            yield from _against_target(row, targets.get(row["id"]), file, line)


def _named(row: Asked) -> str:
    """The target that a row of published_rows.py is for; none where its conditions were changed."""
    return row.ask.row.target if isinstance(row.ask, Published) and not row.ask.changed else ""


def _against_target(row: Mapping[str, str], target: Target | None, file: str, line: int) -> Iterator[Problem]:
    if target is None:
        message = f"a value needs the id of a published one, and {row['id']!r} is none of targets.csv"
        yield Problem(message=message, file=file, line=line, field="id")
    elif row["value"] != f"{target.value:g}" or row["unit"] != target.unit:
        message = f"{row['value']} {row['unit']}, and targets.csv has {target.value:g} {target.unit} for {target.id}"
        yield Problem(message=message, file=file, line=line, field="value")


def _missing(found: Mapping[tuple[str, str], object], file: str, x: str, asked: Sequence[Asked]) -> Iterator[Problem]:
    for row in asked:
        if row.main and (said(row.x), row.series) not in found:
            hint = "leave its id and value empty if nothing was published"
            yield Problem(message=f"no line for {said(row.x)!r}, {row.series!r}", file=file, hint=hint)
