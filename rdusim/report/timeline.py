"""A run as rows over time: every execution of every section, the first one of each in detail, and counters.

Cycles become whole nanoseconds here, both ends of a slice and never its duration, so that neighbours meet.
`timeline_file` writes it, as Perfetto's protobuf or as Chrome's JSON.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as PyMapping
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Final

import numpy as np

from rdusim.report.timeline_rows import (
    Floats,
    Ints,
    Samples,
    Slices,
    in_order,
    joined,
    lanes,
    nanoseconds,
    steps,
    summed_rates,
)

if TYPE_CHECKING:
    from rdusim.arch.types import Arch
    from rdusim.mapping.types import Mapping
    from rdusim.program.types import Section
    from rdusim.sim.trace import SectionTiming, Spans, Trace

Argument = int | float | str
Table = tuple[PyMapping[str, Argument], ...]

SECTION: Final = "section"
LAUNCH: Final = "launch"
LOAD: Final = "load"
STORE: Final = "store"
BANDWIDTH: Final = "bandwidth"
BUFFER: Final = "buffer"
KINDS: Final = (SECTION, LAUNCH, "stage", LOAD, STORE, "resource", BANDWIDTH, BUFFER)  # in the order they are shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A row: slices that follow each other, or with a `unit` a counter. `group` numbers `Timeline.groups`.

    `kind`: one of KINDS; the last two are counters.
    """

    group: int
    kind: str
    name: str
    unit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Timeline:
    """What a trace file holds. `labels`: category and name of slices; `arguments`: what a slice says about itself."""

    groups: tuple[str, ...]
    tracks: tuple[Track, ...]
    labels: tuple[tuple[str, str], ...]
    arguments: Table
    slices: Slices
    samples: Samples


def timeline(trace: Trace, mapping: Mapping, arch: Arch) -> Timeline:
    """The rows of one run.

    Group 0 has one row with all executions in the order they run, a launch in front of each: durations sum to the
    report's total, and their byte arguments, totals of all sockets in use, to the report's bytes. Then a group for
    every section: its first execution on one socket, where it stands in the run.
    """
    program, sockets = mapping.program, mapping.program.parallelism.sockets
    timings = trace.sections
    order, begin = _order(mapping, timings)
    tracks = [Track(group=0, kind=SECTION, name="sections")]
    labels = [*((SECTION, timing.name) for timing in timings), (LAUNCH, LAUNCH)]
    arguments = [_said(timing, sockets) for timing in timings]
    run = _run(trace, timings, order, begin)
    ran = np.array([entry.section for entry in mapping.launches])[order]
    first = begin[np.unique(ran, return_index=True)[1]]
    details, more_labels, more_arguments = _details(trace, first, tracks, len(labels), len(arguments))
    ways = f"{sockets} socket{'s' if sockets > 1 else ''}"
    return Timeline(
        groups=(f"{program.name} on {arch.name}, {ways}, engine {trace.engine}", *map(_titled, program.sections)),
        samples=_samples(trace, first, tracks),
        tracks=tuple(tracks),
        labels=(*labels, *more_labels),
        arguments=(*arguments, *more_arguments),
        slices=joined(run, details),
    )


def _order(mapping: Mapping, timings: Sequence[SectionTiming]) -> tuple[Ints, Floats]:
    """The entry of the schedule of every execution, in the order they run, and the cycle in which each begins.

    The entries of a group take turns; the repeats of one are taken to be equally long.
    """
    entries = mapping.launches
    groups = (list(members) for _, members in groupby(range(len(entries)), lambda at: entries[at].group))
    rounds = [np.tile(np.array(members, dtype=np.int64), entries[members[0]].times) for members in groups]
    order = np.concatenate(rounds)
    assert np.bincount(order, minlength=len(timings)).tolist() == [timing.repeats for timing in timings]
    each = np.array([timing.cycles / timing.repeats for timing in timings])
    return order, np.concatenate((np.zeros(1), np.cumsum(each[order])[:-1]))


def _run(trace: Trace, timings: Sequence[SectionTiming], order: Ints, begin: Floats) -> Slices:
    """The row of all executions: a launch, where it takes time, and what runs after it."""
    end = np.append(begin[1:], float(trace.cycles))
    launched = begin + np.array([float(timing.launch_cycles) for timing in timings])[order]
    at = [nanoseconds(column, trace.clock) for column in (begin, np.minimum(launched, end), end)]
    pays = at[1] > at[0]
    count = int(pays.sum())
    slices = Slices(
        track=np.zeros(order.size + count, dtype=np.int64),
        label=np.concatenate((np.full(count, len(timings)), order)),
        argument=np.concatenate((np.full(count, -1), order)),
        start=np.concatenate((at[0][pays], at[1])),
        end=np.concatenate((at[1][pays], at[2])),
    )
    return in_order(slices)


def _said(timing: SectionTiming, sockets: int) -> dict[str, Argument]:
    """What an execution says about itself: bytes of all sockets in use, as in the report."""
    said: dict[str, Argument] = {}
    for stream in timing.streams:
        key = f"{stream.tier}_{'written' if stream.written else 'read'}_bytes"
        said[key] = said.get(key, 0) + _whole(sockets * float(stream.bytes))  # type: ignore[operator]
    return said | {
        "bottleneck": timing.bottleneck,
        "launch_cycles": float(timing.launch_cycles),
        "cycles": float(timing.cycles) / timing.repeats,
        "repeats": timing.repeats,
    }


def _whole(value: float) -> int | float:
    return int(value) if value.is_integer() else value


def _titled(section: Section) -> str:
    return f"{section.name}, {f'execution 1 of {section.repeats}, ' if section.repeats > 1 else ''}one socket"


def _details(
    trace: Trace, first: Floats, tracks: list[Track], labels: int, arguments: int
) -> tuple[Slices, list[tuple[str, str]], list[dict[str, Argument]]]:
    """Slices of first executions, on rows that are added to `tracks`; their labels and arguments.

    `labels` and `arguments`: how many there are already.
    """
    from rdusim.sim.trace import Activity

    spans, start, end = _lasting(trace, first)
    kind = np.array([KINDS.index(name) for name in spans.kinds], dtype=np.int64)[spans.name]
    track = _add_rows(spans, kind, start, end, tracks)
    label_keys, label = np.unique(kind * len(Activity) + spans.activity, return_inverse=True)
    known, argument = _arguments(spans)
    slices = Slices(
        track=track,
        label=labels + label,
        argument=np.where(argument >= 0, arguments + argument, -1),
        start=start,
        end=end,
    )
    named = [(KINDS[key // len(Activity)], Activity(key % len(Activity)).name.lower()) for key in label_keys.tolist()]
    return in_order(slices), named, known


def _lasting(trace: Trace, first: Floats) -> tuple[Spans, Ints, Ints]:
    """Spans that take a nanosecond, and where in the run they begin and end.

    Others cannot be seen, and viewers would take them for a part of their neighbour.
    """
    spans, at = trace.spans, first[trace.spans.section]
    start, end = nanoseconds(at + spans.start, trace.clock), nanoseconds(at + spans.end, trace.clock)
    lasts = end > start
    columns = ("start", "end", "name", "section", "activity", "tier", "bytes")
    kept = replace(spans, **{name: getattr(spans, name)[lasts] for name in columns})
    return kept, start[lasts], end[lasts]


def _add_rows(spans: Spans, kind: Ints, start: Ints, end: Ints, tracks: list[Track]) -> Ints:
    """The row of every span, by section, kind and name; new ones are added to `tracks`."""
    names, place = _shown_order(spans)
    row = (spans.section * np.int64(len(KINDS)) + kind) * len(names) + place[spans.name]
    keys, number = np.unique(np.stack((row, lanes(row, start, end))), axis=1, return_inverse=True)
    begun = len(tracks)
    for key, lane in keys.T.tolist():
        (section, of_kind), name = divmod(key // len(names), len(KINDS)), names[key % len(names)]
        shown = f"{name} ({lane + 1})" if lane else name
        tracks.append(Track(group=section + 1, kind=KINDS[of_kind], name=shown))
    return begun + number.reshape(-1)


def _shown_order(spans: Spans) -> tuple[list[str], Ints]:
    """Names in the order of their rows, and the place of each: resources by name, the others as they come."""

    def key(number: int) -> tuple[object, ...]:
        words = re.split(r"(\d+)", spans.names[number]) if spans.kinds[number] == "resource" else []
        return (bool(words), [int(word) if word.isdigit() else word for word in words], number)

    order = sorted(range(len(spans.names)), key=key)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return [spans.names[number] for number in order], place


def _arguments(spans: Spans) -> tuple[list[dict[str, Argument]], Ints]:
    """Bytes and tier of spans that move something, each pair once; and which of them a span has, -1 for none."""
    moving = np.flatnonzero((spans.bytes > 0.0) | (spans.tier >= 0))
    pairs, number = np.unique(np.stack((spans.bytes[moving], spans.tier[moving])), axis=1, return_inverse=True)
    argument = np.full(spans.bytes.size, -1, dtype=np.int64)
    argument[moving] = number.reshape(-1)
    known = [
        ({"bytes": _whole(moved)} if moved else {}) | ({"tier": spans.tiers[int(tier)]} if tier >= 0 else {})
        for moved, tier in pairs.T.tolist()
    ]
    return known, argument


def _samples(trace: Trace, first: Floats, tracks: list[Track]) -> Samples:
    """Counters of first executions, on rows added to `tracks`: bandwidth of every tier, tiles in every buffer."""
    spans, tiers = trace.spans, len(trace.spans.tiers)
    moves = np.array([kind in (LOAD, STORE) for kind in spans.kinds], dtype=np.bool_)[spans.name] & (spans.tier >= 0)
    key = (spans.section * np.int64(tiers) + spans.tier)[moves]
    at = first[spans.section[moves]]
    rows, time, rate = summed_rates(key, at + spans.start[moves], at + spans.end[moves], spans.bytes[moves])
    names = [f"{tier} bandwidth" for tier in spans.tiers]
    parts = [(_counted(rows, names, BANDWIDTH, "B/s", tracks), time, rate * trace.clock)]
    if (counters := trace.counters) is not None:
        rows = counters.section * np.int64(len(counters.names)) + counters.name
        numbers = _counted(rows, counters.names, BUFFER, "tiles", tracks)
        parts.append((numbers, first[counters.section] + counters.time, counters.value))
    track, cycles, value = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return steps(track, nanoseconds(cycles, trace.clock), value)


def _counted(rows: Ints, names: Sequence[str], kind: str, unit: str, tracks: list[Track]) -> Ints:
    """Numbers of the counters section x names + name, which are added to `tracks`."""
    keys, number = np.unique(rows, return_inverse=True)
    begun = len(tracks)
    for section, name in (divmod(key, len(names)) for key in keys.tolist()):
        tracks.append(Track(group=section + 1, kind=kind, name=names[name], unit=unit))
    return begun + number.reshape(-1)
