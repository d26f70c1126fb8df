"""A timeline in Chrome's trace format (chrome://tracing, ui.perfetto.dev): JSON, a process a group, a thread a row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rdusim.report.timeline import Timeline

_PER_MICROSECOND = 1000  # the format counts microseconds, with nanoseconds behind the point


def chrome_bytes(timeline: Timeline) -> bytes:
    """The whole file. Processes and threads count from 1: viewers merge a thread 0 with another."""
    events = ",\n".join((*_titles(timeline), *_slices(timeline), *_samples(timeline)))
    return f'{{"displayTimeUnit":"ns","traceEvents":[\n{events}\n]}}\n'.encode()


def _titles(timeline: Timeline) -> Iterator[str]:
    for number, name in enumerate(timeline.groups, start=1):
        yield _title("process_name", number, 0, {"name": name})
        yield _title("process_sort_index", number, 0, {"sort_index": number})
    for number, track in enumerate(timeline.tracks, start=1):
        if track.unit is None:
            yield _title("thread_name", track.group + 1, number, {"name": track.name})
            yield _title("thread_sort_index", track.group + 1, number, {"sort_index": number})


def _title(what: str, process: int, thread: int, said: dict[str, str | int]) -> str:
    of_thread = {"tid": thread} if thread else {}
    return _compact({"ph": "M", "name": what, "pid": process} | of_thread | {"args": said})


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _slices(timeline: Timeline) -> Iterator[str]:
    """Complete events: begin and duration; what does not change from one to the next is written once."""
    tracks = [
        f'{{"ph":"X","pid":{track.group + 1},"tid":{number},' for number, track in enumerate(timeline.tracks, start=1)
    ]
    labels = [f'"cat":{_compact(category)},"name":{_compact(name)},' for category, name in timeline.labels]
    said = [f',"args":{_compact(arguments)}}}' for arguments in timeline.arguments] + ["}"]  # -1: none
    rows = timeline.slices
    columns = (column.tolist() for column in (rows.track, rows.label, rows.argument, rows.start, rows.end))
    for track, label, argument, start, end in zip(*columns, strict=True):
        times = f'"ts":{_microseconds(start)},"dur":{_microseconds(end - start)}'
        yield f"{tracks[track]}{labels[label]}{times}{said[argument]}"


def _microseconds(nanoseconds: int) -> str:
    """Exactly: as a float with three places the number might be the one below."""
    whole, rest = divmod(nanoseconds, _PER_MICROSECOND)
    return f"{whole}.{rest:03d}"


def _samples(timeline: Timeline) -> Iterator[str]:
    rows = timeline.samples
    for number, time, value in zip(rows.track.tolist(), rows.time.tolist(), rows.value.tolist(), strict=True):
        track = timeline.tracks[number]
        name, said = _compact(track.name), _compact({track.unit or "value": value})
        yield f'{{"ph":"C","pid":{track.group + 1},"name":{name},"ts":{_microseconds(time)},"args":{said}}}'
