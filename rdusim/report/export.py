"""Reports and traces in the formats of other programs: the documented JSON, and timelines."""

from __future__ import annotations

import gzip
import json
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from rdusim.errors import OptionError, Problem

if TYPE_CHECKING:
    from rdusim.report.types import Report
    from rdusim.sim.trace import Trace

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None

TRACE_ENDINGS = (".json", ".json.gz")

_NANOSECOND = 1e-9
_PER_MICROSECOND = 1e3  # the format counts microseconds, with nanoseconds behind the point


def as_json(report: Report) -> dict[str, Json]:
    """The contract of docs/cli.md: what was asked at the top level, then the answers; what does not apply is absent."""
    everything = to_json(report)
    assert isinstance(everything, dict)
    setting = everything.pop("setting")
    assert isinstance(setting, dict)
    if (ratio := report.operational_intensity.flops_per_byte) is not None:
        intensity = everything["operational_intensity"]
        assert isinstance(intensity, dict)
        intensity["flops_per_byte"] = ratio
    return setting | everything


def to_json(value: object) -> Json:
    """Plain JSON values of nouns: dataclasses become objects without their None fields, enums their values."""
    if isinstance(value, Enum):
        return to_json(value.value)
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        pairs = ((each.name, getattr(value, each.name)) for each in fields(value))
        return {name: to_json(item) for name, item in pairs if item is not None}
    if hasattr(value, "item"):  # a NumPy scalar
        return to_json(value.item())
    if hasattr(value, "items"):
        return {str(key): to_json(item) for key, item in value.items()}
    if hasattr(value, "__iter__"):
        return [to_json(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def json_text(value: Json) -> str:
    """Indented JSON, one newline at the end; NaN and infinity are our mistake, never a value."""
    return json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def check_trace_ending(path: Path) -> None:
    """Raises OptionError unless `write_trace` knows the ending."""
    if not path.name.endswith(TRACE_ENDINGS):
        known = " and ".join(TRACE_ENDINGS)
        message = f"{path.name} has no known ending"
        raise OptionError(Problem(field="--trace", message=message, hint=f"known are {known}"))


def trace_bytes(trace: Trace, path: Path) -> bytes:
    """A timeline in Chrome's trace format (chrome://tracing, ui.perfetto.dev), gzipped if `path` ends in .gz."""
    text = json.dumps({"traceEvents": trace_events(trace), "displayTimeUnit": "ns"}, separators=(",", ":"))
    content = text.encode()
    # No time of day in the header: the same run gives the same file.
    return gzip.compress(content, mtime=0) if path.name.endswith(".gz") else content


def trace_events(trace: Trace) -> list[Json]:
    """The first execution of every section, one after the other: a process each, a track for each name in it."""
    titles: list[Json] = []
    begin: list[float] = []
    cycles = 0.0
    for process, timing in enumerate(trace.sections, start=1):
        title = f"{timing.name} (1 of {timing.repeats})" if timing.repeats > 1 else timing.name
        titles.append(_named("process_name", process, 0, title))
        begin.append(cycles)
        cycles += timing.launch_cycles + timing.execution_cycles
    spans = trace.spans
    tracks = sorted(set(zip(spans.section.tolist(), spans.name.tolist(), strict=True)))
    titles += [_named("thread_name", section + 1, name + 1, spans.names[name]) for section, name in tracks]
    return titles + [_event(trace, row, begin[int(spans.section[row])]) for row in range(len(spans.start))]


def _event(trace: Trace, row: int, begin: float) -> Json:
    """One span; processes and tracks count from 1, because viewers merge a track 0 with another."""
    from rdusim.sim.trace import Activity

    spans = trace.spans
    moved, tier = float(spans.bytes[row]), int(spans.tier[row])
    # Both ends are rounded to ns, never the duration: neighbours must not overlap by a rounding.
    start, end = (
        round((begin + float(column[row])) / trace.clock / _NANOSECOND) for column in (spans.start, spans.end)
    )
    arguments: dict[str, Json] = {"bytes": moved} if moved else {}
    if tier >= 0:
        arguments["tier"] = spans.tiers[tier]
    return {
        "ph": "X",
        "name": Activity(int(spans.activity[row])).name.lower(),
        "cat": spans.names[int(spans.name[row])],
        "pid": int(spans.section[row]) + 1,
        "tid": int(spans.name[row]) + 1,
        "ts": start / _PER_MICROSECOND,
        "dur": (end - start) / _PER_MICROSECOND,
        "args": arguments,
    }


def _named(what: str, process: int, track: int, name: str) -> dict[str, Json]:
    return {"ph": "M", "name": what, "pid": process, "tid": track, "args": {"name": name}}
