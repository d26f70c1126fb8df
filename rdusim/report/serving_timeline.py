"""A serving run as rows over time, for Perfetto: requests and copies of every node, residents and running batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from rdusim.report.timeline import BANDWIDTH, Timeline, Track
from rdusim.report.timeline_rows import Ints, Samples, Slices, in_order, joined, lanes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rdusim.serve.types import ServeResult

    Floats = NDArray[np.float64]

QUEUED: Final = "queued"
PREFILL: Final = "until the first token"
DECODE: Final = "decode"
COPY: Final = "copy"
_SECOND: Final = 1e9  # ns
_MOST: Final = 200_000  # requests drawn: viewers get no further


def serving_timeline(result: ServeResult) -> Timeline:
    """A group for every node: copies of experts, requests in as many lanes as run at once, and two counters.

    A request is two or three slices: queued, until its first token, decode. The first 200,000 requests are drawn.
    """
    served = result.served
    done = np.flatnonzero(np.isfinite(served.finish) & (served.node >= 0))[:_MOST]
    labels = [(QUEUED, QUEUED), (PREFILL, PREFILL), (DECODE, DECODE)]
    labels += [(COPY, expert.name) for expert in result.experts]
    tracks: list[Track] = []
    rows, samples = [], []
    for node in range(result.nodes):
        copies = result.switches.node == node
        copies &= result.switches.expert >= 0
        first = len(tracks)
        tracks.append(Track(group=node, kind="load", name="copies of experts"))
        begin, end = _ns(result.switches.begin[copies]), _ns(result.switches.end[copies])
        rows.append(_slices(np.full(len(begin), first), result.switches.expert[copies] + 3, -1, begin, end))
        rows += _requests(result, done[served.node[done] == node], node, tracks)
        samples += _counters(result, node, tracks)
    slices = rows[0]
    for more in rows[1:]:
        slices = joined(slices, more)
    return Timeline(
        groups=tuple(f"node {node}" for node in range(result.nodes)),
        tracks=tuple(tracks),
        labels=tuple(labels),
        arguments=tuple(
            {
                "request": int(row),
                "prompt_tokens": int(served.requests.prompt_tokens[row]),
                "output_tokens": int(served.requests.output_tokens[row]),
                "expert": result.experts[int(served.requests.expert[row])].name,
            }
            for row in done.tolist()
        )
        if result.nodes == 1
        else (),
        slices=in_order(slices),
        samples=Samples(
            track=np.concatenate([each.track for each in samples]),
            time=np.concatenate([each.time for each in samples]),
            value=np.concatenate([each.value for each in samples]),
        ),
    )


def _requests(result: ServeResult, chosen: Ints, node: int, tracks: list[Track]) -> list[Slices]:
    """Requests of one node, each in the first lane that is free when it arrives."""
    served = result.served
    at = [
        _ns(column[chosen]) for column in (served.requests.arrival, served.scheduled, served.first_token, served.finish)
    ]
    lane = lanes(np.zeros(len(chosen), dtype=np.int64), at[0], at[3])
    first = len(tracks)
    tracks.extend(Track(group=node, kind="stage", name=f"requests {number}") for number in range(_count(lane)))
    argument = np.arange(len(chosen)) if result.nodes == 1 else np.full(len(chosen), -1)
    found = []
    for label in range(3):
        begin, end = at[label], at[label + 1]
        there = end > begin
        found.append(
            _slices(first + lane[there], np.full(int(there.sum()), label), argument[there], begin[there], end[there])
        )
    return found


def _counters(result: ServeResult, node: int, tracks: list[Track]) -> list[Samples]:
    occupancy = result.occupancy
    rows = occupancy.node == node
    found = []
    for name, unit, values in (
        ("experts in the nearest tier", "experts", occupancy.resident),
        ("running", "sequences", occupancy.running),
    ):
        number = len(tracks)
        tracks.append(Track(group=node, kind=BANDWIDTH, name=name, unit=unit))
        time = _ns(occupancy.time[rows])
        found.append(Samples(track=np.full(len(time), number), time=time, value=values[rows].astype(np.float64)))
    return found


def _slices(track: Ints, label: Ints, argument: Ints | int, start: Ints, end: Ints) -> Slices:
    told = np.full(len(start), argument) if isinstance(argument, int) else argument
    return Slices(track=track, label=label, argument=told, start=start, end=end)


def _count(lane: Ints) -> int:
    return int(lane.max()) + 1 if len(lane) else 0


def _ns(seconds: Floats) -> Ints:
    return np.rint(seconds * _SECOND).astype(np.int64)
