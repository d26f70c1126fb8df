"""The timeline of each section's first execution as columns: firings, waits, the use of shared resources, buffers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rdusim.kernel.actors import Floats
from rdusim.kernel.events import Firings
from rdusim.mapping.types import MappedSection
from rdusim.sim.causes import COLLECTIVE
from rdusim.sim.discrete.types import SectionNet
from rdusim.sim.trace import Activity, Counters, Reason, Spans


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """A section's run: `launch` cycles before each execution, `of` executions in the run."""

    section: int
    mapped: MappedSection
    made: SectionNet
    fired: Firings
    launch: float
    of: int

    def firings(self, actor: int) -> slice:
        """Places, in the columns, of an actor's firings in the first execution."""
        first = int(self.fired.first[actor])
        return slice(first, first + self.made.net.actors[actor].firings // self.of)


class _Rows:
    """Blocks of rows that share section, name, activity and tier."""

    def __init__(self, tiers: tuple[str, ...]) -> None:
        self.tiers = tiers
        self.names: dict[tuple[str, str], int] = {}
        self.blocks: list[tuple[Floats, Floats, int, int, int, int, float]] = []

    def add(
        self,
        begin: Floats,
        end: Floats,
        name: str,
        kind: str,
        section: int,
        activity: Activity,
        tier: int = -1,
        size: float = 0.0,
    ) -> None:
        if begin.size:
            number = self.names.setdefault((name, kind), len(self.names))
            self.blocks.append((begin, end, number, section, activity, tier, size))

    def spans(self) -> Spans:
        sizes = [block[0].size for block in self.blocks]

        def spread(at: int, dtype: type) -> NDArray[np.generic]:
            return np.repeat(np.array([block[at] for block in self.blocks], dtype=dtype), sizes)

        empty = np.zeros(0)
        return Spans(
            names=tuple(name for name, _ in self.names),
            kinds=tuple(kind for _, kind in self.names),
            tiers=self.tiers,
            start=np.concatenate([block[0] for block in self.blocks] or [empty]),
            end=np.concatenate([block[1] for block in self.blocks] or [empty]),
            name=spread(2, np.int32).astype(np.int32),
            section=spread(3, np.int32).astype(np.int32),
            activity=spread(4, np.int8).astype(np.int8),
            tier=spread(5, np.int8).astype(np.int8),
            bytes=spread(6, np.float64).astype(np.float64),
        )


def spans(executed: Sequence[Executed], tiers: tuple[str, ...]) -> Spans:
    """One row for each launch, each tile of a stage and each wait before it, each chunk, each use of a resource."""
    rows = _Rows(tiers)
    for run in executed:
        rows.add(np.zeros(1), np.array([run.launch]), "launch", "launch", run.section, Activity.LAUNCH)
        for stage in run.mapped.section.stages:
            _stage(rows, run, stage.name, stage.collective is not None)
        for move in run.made.moves:
            mine = run.firings(move.actor)
            activity, kind = (Activity.STORE, "store") if move.written else (Activity.LOAD, "load")
            begin, end = run.fired.start[mine] + run.launch, run.fired.end[mine] + run.launch
            tier = tiers.index(move.tier)
            rows.add(begin, end, move.stream.name, kind, run.section, activity, tier, move.chunk)
        _resources(rows, run, tiers)
    return rows.spans()


def counters(executed: Sequence[Executed]) -> Counters:
    """Tiles in the buffer of every stream: one more when its source has made one, one fewer when it has been read."""
    names: dict[str, int] = {}
    blocks: list[tuple[Floats, Floats, int, int]] = []
    for run in executed:
        for stream in run.mapped.section.streams:
            made, read = run.made.dones[stream.source], run.made.reads[stream.target]
            ends = [run.fired.end[run.firings(made)], run.fired.end[run.firings(read)]]
            steps = [np.full(ends[0].size, stream.tiles / ends[0].size), np.full(ends[1].size, -1.0 / ends[1].size)]
            steps[1] *= stream.tiles
            time, step = np.concatenate(ends), np.concatenate(steps)
            order = np.argsort(time, kind="stable")
            number = names.setdefault(stream.name, len(names))
            blocks.append((time[order] + run.launch, np.cumsum(step[order]), number, run.section))
    sizes = [block[0].size for block in blocks]
    empty = np.zeros(0)
    return Counters(
        names=tuple(names),
        time=np.concatenate([block[0] for block in blocks] or [empty]),
        value=np.concatenate([block[1] for block in blocks] or [empty]),
        name=np.repeat(np.array([block[2] for block in blocks], dtype=np.int32), sizes),
        section=np.repeat(np.array([block[3] for block in blocks], dtype=np.int32), sizes),
    )


def _stage(rows: _Rows, run: Executed, name: str, collective: bool) -> None:
    """A tile lasts from its start to its end; in between, the stage waits."""
    actor = run.made.fires[name]
    mine = run.firings(actor)
    begin, end, ready = run.fired.start[mine], run.fired.end[mine], run.fired.ready[mine]
    if collective:
        end = np.maximum(end, np.minimum(run.fired.end[run.firings(run.made.dones[name])], np.r_[begin[1:], np.inf]))
    activity = Activity.COLLECTIVE if collective else Activity.COMPUTE
    rows.add(begin + run.launch, end + run.launch, name, "stage", run.section, activity)
    before, cause = np.r_[0.0, end[:-1]], run.fired.cause[mine]
    credit = np.array([wait.reason is Reason.CREDIT for wait in run.made.waits] + [False])
    for held, waiting in ((False, Activity.WAIT_INPUT), (True, Activity.WAIT_CREDIT)):
        late = (ready > before) & (cause >= 0) & (credit[cause] == held)
        rows.add(before[late] + run.launch, ready[late] + run.launch, name, "stage", run.section, waiting)


def _resources(rows: _Rows, run: Executed, tiers: tuple[str, ...]) -> None:
    """Every use of a link, AGCU, network or memory: in order of arrival, each after the one before."""
    uses: dict[int, list[tuple[Floats, float]]] = {}
    held: dict[int, list[tuple[Floats, Floats]]] = {}
    for number, actor in enumerate(run.made.net.actors):
        begin = run.fired.start[run.firings(number)]
        for use in actor.shared:
            uses.setdefault(use.resource, []).append((begin, use.cycles))
        if actor.exclusive is not None:
            held.setdefault(actor.exclusive.resource, []).append((begin, begin + actor.exclusive.cycles))
    for resource, parts in uses.items():
        name = run.made.net.shared[resource]
        activity = Activity.COLLECTIVE if run.made.resource_causes[resource] == COLLECTIVE else Activity.LOAD
        begin, end = _served(parts)
        tier = tiers.index(name) if name in tiers else -1
        rows.add(begin + run.launch, end + run.launch, name, "resource", run.section, activity, tier)
    for resource, spans_held in held.items():
        begin = np.concatenate([begin for begin, _ in spans_held])
        end = np.concatenate([end for _, end in spans_held])
        order = np.argsort(begin, kind="stable")
        name = run.made.net.exclusive[resource]
        rows.add(begin[order] + run.launch, end[order] + run.launch, name, "resource", run.section, Activity.LOAD)


def _served(parts: Sequence[tuple[Floats, float]]) -> tuple[Floats, Floats]:
    """Begin and end of uses served one after another: end_i = max(asked_i, end_(i-1)) + cycles_i, in closed form."""
    asked = np.concatenate([begin for begin, _ in parts])
    cycles = np.repeat([cycles for _, cycles in parts], [begin.size for begin, _ in parts])
    order = np.argsort(asked, kind="stable")
    asked, cycles = asked[order], cycles[order]
    total = np.cumsum(cycles)
    end = total + np.maximum.accumulate(asked - (total - cycles))
    return end - cycles, end
