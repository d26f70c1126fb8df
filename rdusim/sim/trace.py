"""What a simulation gives: spans as columns, and for every section its time, its bounds and where the time went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

import numpy as np
from numpy.typing import NDArray

from rdusim.units import Cycles, Hertz


class Activity(IntEnum):
    COMPUTE = 0
    WAIT_INPUT = 1
    WAIT_CREDIT = 2
    LOAD = 3
    STORE = 4
    COLLECTIVE = 5
    LAUNCH = 6


class Reason(StrEnum):
    """Why something waited."""

    INPUT = "input"  # a tile that has not come yet
    CREDIT = "credit"  # a place in a buffer that has not been read yet
    BANDWIDTH = "bandwidth"  # others on the same link, AGCU, network or memory
    LAUNCH = "launch"  # the section has not been started


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """Cycles of one execution that a stage, load or store waited, and for what.

    `on`: the stream, load, buffer or resource (hbm, agcu, tln, die_to_die, rdn, p2p) it waited for.
    """

    reason: Reason
    on: str
    cycles: Cycles


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """Columns of equal length, a row a change: value of a named quantity from `time` on, in a first execution.

    `name` indexes `names`, which are flows with a buffer of tiles; the value is tiles in it. Time as in `Spans`.
    """

    names: tuple[str, ...]
    time: NDArray[np.float64]
    value: NDArray[np.float64]
    name: NDArray[np.int32]
    section: NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """Columns of equal length, one row a span.

    `name` indexes `names`: a stage, load, store, launch or shared resource; `kinds` says which of these a name is
    (stage | load | store | launch | resource). `tier` indexes `tiers`, -1 for none.

    `start` and `end` in cycles, of the first execution of the span's section counted from that section's own start.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    tiers: tuple[str, ...]
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    name: NDArray[np.int32]
    section: NDArray[np.int32]
    activity: NDArray[np.int8]
    tier: NDArray[np.int8]
    bytes: NDArray[np.float64]


# start, end, name, section, activity, tier, bytes
SpanRow = tuple[float, float, int, int, int, int, float]


def spans_of(rows: Sequence[SpanRow], names: tuple[str, ...], kinds: tuple[str, ...], tiers: tuple[str, ...]) -> Spans:
    """The columns of few spans, given row by row."""
    columns = list(zip(*rows, strict=True)) or [()] * 7
    return Spans(
        names=names,
        kinds=kinds,
        tiers=tiers,
        start=np.array(columns[0], dtype=np.float64),
        end=np.array(columns[1], dtype=np.float64),
        name=np.array(columns[2], dtype=np.int32),
        section=np.array(columns[3], dtype=np.int32),
        activity=np.array(columns[4], dtype=np.int8),
        tier=np.array(columns[5], dtype=np.int8),
        bytes=np.array(columns[6], dtype=np.float64),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTiming:
    """One stage of one execution.

    `interval`: cycles between tiles that it could keep up alone; `busy`: of all its tiles.
    """

    name: str
    interval: Cycles
    busy: Cycles
    start: Cycles
    end: Cycles
    bound: str  # what sets its interval: pcu | pmu | rdn | p2p | hbm ...
    stalls: tuple[Stall, ...] = ()  # engine `steady` knows none


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTiming:
    """One load or store of one execution: rate it is given (bytes per cycle) and bytes moved."""

    name: str
    tier: str
    rate: float
    bytes: float
    start: Cycles
    end: Cycles
    written: bool
    bound: str  # what sets its rate: agcu | hbm | ddr | tln | die_to_die | rdn | stage
    stalls: tuple[Stall, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionTiming:
    """A section, executed `repeats` times from its repeat `first` on, with `launch_cycles` in front of each.

    A section whose later repeats find buffers in another tier of memory has a timing for each such run of repeats.

    `cycles`: all repeats together, launches included. `execution_cycles`: one execution alone.
    `breakdown`: cause -> cycles over all repeats, sums to `cycles` (compute, hbm, ddr, collective, launch,
    fill_drain, rdn, ...). `bounds`: resource -> the least cycles one execution needs on it alone (pcu, pmu, rdn,
    agcu, tln, die_to_die, hbm, ddr, p2p).
    """

    name: str
    repeats: int
    cycles: Cycles
    execution_cycles: Cycles
    launch_cycles: Cycles
    streaming_cycles: Cycles  # of one execution: from the first to the last byte over the nearest tier
    breakdown: Mapping[str, Cycles]
    bounds: Mapping[str, Cycles]
    bottleneck: str
    stages: tuple[StageTiming, ...]
    streams: tuple[StreamTiming, ...]
    first: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Result of an engine. Bytes are those of one socket over the whole run."""

    engine: str
    clock: Hertz
    cycles: Cycles
    sections: tuple[SectionTiming, ...]
    spans: Spans
    read_bytes: Mapping[str, float]
    written_bytes: Mapping[str, float]
    peak_bytes: Mapping[str, int]
    counters: Counters | None = None  # engines that see single tiles
    events: int = 0  # tile events that the engine worked off


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulateOptions:
    """`engine` is a key of sim.simulate.ENGINES."""

    engine: str = "steady"
