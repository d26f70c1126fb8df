"""Traces of requests: Azure, Mooncake, LLMServingSim, Vidur and a plain CSV; every wrong value has its place."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from rdusim.errors import Problem, TraceError
from rdusim.serve.types import Requests

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_SHOWN: Final = 20  # problems of one file that are said one by one


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """Names of the columns that count. `arrival` None: lengths only. `second`: how many of its units a second has.

    `dated`: it is a date and time of day. `expert`: may be missing.
    """

    arrival: str | None
    prompt: str
    output: str
    expert: str | None = None
    second: float = 1.0
    dated: bool = False

    @property
    def needed(self) -> tuple[str, ...]:
        return tuple(column for column in (self.arrival, self.prompt, self.output) if column is not None)


FORMATS: Final[Mapping[str, Format]] = MappingProxyType(
    {
        "azure": Format(arrival="TIMESTAMP", prompt="ContextTokens", output="GeneratedTokens", dated=True),
        "mooncake": Format(arrival="timestamp", prompt="input_length", output="output_length", second=1e3),
        "llmservingsim": Format(arrival="arrival_time_ns", prompt="input_toks", output="output_toks", second=1e9),
        "vidur": Format(arrival=None, prompt="num_prefill_tokens", output="num_decode_tokens"),
        "plain": Format(arrival="arrival_s", prompt="prompt_tokens", output="output_tokens", expert="expert"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """A file as text: values by column, the line of each row, and for CSV the place of each column in its line."""

    file: str
    values: Mapping[str, Sequence[object]]
    lines: Sequence[int]
    places: Mapping[str, int]

    def problem(self, row: int, column: str, message: str, hint: str) -> Problem:
        return Problem(
            message=f"{self.values[column][row]!r} {message}",
            file=self.file,
            line=self.lines[row],
            column=self.places.get(column),
            field=column,
            hint=hint,
        )


def read_trace(path: Path | str, experts: Sequence[str] = (), limit: int | None = None) -> Requests:
    """Requests of a trace file, the first at 0; the format is known by its columns. The first `limit` rows, if given.

    `experts`: names that the column `expert` of a plain CSV may have, besides their numbers. Raises TraceError with
    file, line, column, value and a way out: no such file, empty, missing columns, time running backwards, tokens below
    1, an unknown expert, or lengths without arrivals.
    """
    columns, layout = _read(Path(path), limit)
    problems: list[Problem] = []
    if layout.arrival is None:
        raise TraceError(
            Problem(
                message="has lengths but no arrivals", file=columns.file, hint="take it as lengths of another process"
            )
        )
    arrival = _times(columns, layout, layout.arrival, problems)
    prompt, output = (_tokens(columns, name, problems) for name in (layout.prompt, layout.output))
    expert = _experts(columns, layout.expert, experts, problems)
    _raise(problems, columns.file)
    return Requests(
        arrival=arrival - arrival[0],
        prompt_tokens=prompt,
        output_tokens=output,
        expert=expert,
        client=np.zeros(len(arrival), dtype=np.int64),
    )


def read_lengths(path: Path | str, limit: int | None = None) -> tuple[Ints, Ints]:
    """Prompt and output tokens of a trace of any format. Raises TraceError as `read_trace` does."""
    columns, layout = _read(Path(path), limit)
    problems: list[Problem] = []
    prompt, output = (_tokens(columns, name, problems) for name in (layout.prompt, layout.output))
    _raise(problems, columns.file)
    return prompt, output


def _read(path: Path, limit: int | None) -> tuple[_Columns, Format]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise TraceError(Problem(message="there is no such file", file=str(path), hint="check the path")) from None
    except (OSError, UnicodeDecodeError) as error:
        raise TraceError(Problem(message=f"cannot be read: {error}", file=str(path), hint="a text file")) from None
    if not text.strip():
        raise TraceError(
            Problem(message="the trace is empty", file=str(path), hint="a header and one request at least")
        )
    columns = _from_json(path, text, limit) if text.lstrip().startswith("{") else _from_csv(path, text, limit)
    layout = _format_of(columns)
    if not columns.lines:
        raise TraceError(Problem(message="the trace has no requests", file=str(path), hint="one row at least"))
    return columns, layout


def _from_csv(path: Path, text: str, limit: int | None) -> _Columns:
    rows = list(csv.reader(text.splitlines()))
    header = [name.strip() for name in rows[0]]
    lines = [number for number, row in enumerate(rows[1:], start=2) if row][:limit]
    wrong = [number for number in lines if len(rows[number - 1]) != len(header)]
    _raise(
        [
            Problem(
                message=f"has {len(rows[number - 1])} values, the header {len(header)} columns",
                file=str(path),
                line=number,
                hint="every row has all columns",
            )
            for number in wrong
        ],
        str(path),
    )
    values = dict(zip(header, zip(*(rows[number - 1] for number in lines), strict=True), strict=True)) if lines else {}
    return _Columns(
        file=str(path),
        values=values or dict.fromkeys(header, ()),
        lines=lines,
        places={name: place for place, name in enumerate(header, start=1)},
    )


def _from_json(path: Path, text: str, limit: int | None) -> _Columns:
    """JSON lines; a key that the first object has, all must have."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()][:limit]
    records: list[dict[str, object]] = []
    problems = []
    for number, line in lines:
        try:
            record = json.loads(line)
        except ValueError as error:
            problems.append(
                Problem(message=f"is no JSON: {error}", file=str(path), line=number, hint="one object a line")
            )
            continue
        if missing := sorted(_keys(record) ^ (_keys(records[0]) if records else _keys(record))):
            message = f"keys {', '.join(missing)} are not in all objects"
            problems.append(Problem(message=message, file=str(path), line=number, hint="every line has the same keys"))
            continue
        records.append(record)
    _raise(problems, str(path))
    return _Columns(
        file=str(path),
        values={key: [record[key] for record in records] for key in records[0]},
        lines=[number for number, _ in lines],
        places={},
    )


def _keys(record: object) -> set[str]:
    return set(record) if isinstance(record, dict) else set()


def _format_of(columns: _Columns) -> Format:
    """The format all of whose columns are there."""
    for layout in FORMATS.values():
        if all(name in columns.values for name in layout.needed):
            return layout
    nearest = max(FORMATS.values(), key=lambda layout: sum(name in columns.values for name in layout.needed))
    known = any(name in columns.values for name in nearest.needed)
    wanted = nearest if known else FORMATS["plain"]
    missing = [name for name in wanted.needed if name not in columns.values]
    formats = "; ".join(f"{name}: {', '.join(layout.needed)}" for name, layout in FORMATS.items())
    raise TraceError(
        Problem(
            message=f"columns missing: {', '.join(missing)}; it has {', '.join(columns.values) or 'none'}",
            file=columns.file,
            line=1,
            hint=f"columns of a known format ({formats})",
        )
    )


def _times(columns: _Columns, layout: Format, name: str, problems: list[Problem]) -> Floats:
    """Seconds, ascending."""
    texts = columns.values[name]
    if layout.dated:
        stamps = _converted(columns, name, _stamp, "is no date with time, such as 2023-11-16 18:15:46.68", problems)
        seconds = (stamps - (stamps[0] if len(stamps) else 0)) * 1e-9
    else:
        numbers = _converted(columns, name, _number, "is no number", problems)
        seconds = numbers / layout.second
        for row in np.flatnonzero(~(seconds >= 0) & np.isfinite(seconds)).tolist():
            problems.append(columns.problem(row, name, "is before time 0", "times from 0 on"))
    for row in (np.flatnonzero(np.diff(seconds) < 0) + 1).tolist():
        before = f"is before the row above it ({texts[row - 1]}): time runs backwards"
        problems.append(columns.problem(row, name, before, "sort the rows by time"))
    return seconds


def _tokens(columns: _Columns, name: str, problems: list[Problem]) -> Ints:
    numbers = _converted(columns, name, _number, "is no number", problems)
    whole = np.where(np.isfinite(numbers), numbers, 1.0)
    for row in np.flatnonzero((whole < 1) | (whole != np.floor(whole))).tolist():
        problems.append(
            columns.problem(row, name, "is no whole number of tokens from 1 on", "mend or leave out the row")
        )
    return whole.astype(np.int64)


def _experts(columns: _Columns, name: str | None, known: Sequence[str], problems: list[Problem]) -> Ints:
    """By name, or by number; without the column all are expert 0."""
    if name is None or name not in columns.values:
        return np.zeros(len(columns.lines), dtype=np.int64)
    numbers = {expert: number for number, expert in enumerate(known)}
    numbers = {str(number): number for number in range(len(known))} | numbers
    found = [numbers.get(str(value).strip(), -1) for value in columns.values[name]]
    hint = (
        f"one of {', '.join(known[:8])}{' ...' if len(known) > 8 else ''}" if known else "the scenario names no experts"
    )
    problems += [columns.problem(row, name, "is no known expert", hint) for row, at in enumerate(found) if at < 0]
    return np.array(found, dtype=np.int64)


def _converted(
    columns: _Columns, name: str, convert: Callable[[object], float], wrong: str, problems: list[Problem]
) -> Floats:
    """Numbers of a column; NaN, and a problem, where there is none."""
    texts = columns.values[name]
    try:
        return _at_once(texts, convert)
    except (ValueError, TypeError, OverflowError):
        pass
    numbers = np.full(len(texts), np.nan)
    for row, text in enumerate(texts):
        try:
            numbers[row] = convert(text)
        except (ValueError, TypeError, OverflowError):
            problems.append(columns.problem(row, name, wrong, "mend or leave out the row"))
    return numbers


def _at_once(texts: Sequence[object], convert: Callable[[object], float]) -> Floats:
    """The whole column in one call of NumPy; raises where a value is none, not finite included."""
    if convert is _stamp:
        stamps = np.array(texts, dtype="datetime64[ns]")
        if np.any(np.isnat(stamps)):
            raise ValueError
        first: Floats = (stamps - stamps[0]).astype(np.int64).astype(np.float64)
        return first
    if any(isinstance(text, bool) for text in texts):
        raise ValueError
    numbers = np.array(texts, dtype=np.float64)
    if not np.all(np.isfinite(numbers)):
        raise ValueError
    return numbers


def _number(text: object) -> float:
    if isinstance(text, bool) or not np.isfinite(number := float(text)):  # type: ignore[arg-type]  # TypeError is caught
        raise ValueError
    return number


def _stamp(text: object) -> float:
    stamp = np.datetime64(str(text), "ns")
    if np.isnat(stamp):
        raise ValueError
    return float(stamp.astype(np.int64))


def _raise(problems: Sequence[Problem], file: str) -> None:
    if not problems:
        return
    shown = list(problems[:_SHOWN])
    if len(problems) > _SHOWN:
        shown.append(Problem(message=f"and {len(problems) - _SHOWN} more problems", file=file))
    raise TraceError(*shown)
