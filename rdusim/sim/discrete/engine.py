"""Engine `discrete`: every section run through the event loop once, then composed exactly as it repeats.

docs/model.md, "The engine discrete". Repeats that run into each other (kernel looping) are all run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Mapping as PyMapping
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from rdusim.arch.types import Arch
from rdusim.kernel.events import Firings, fire
from rdusim.mapping.pieces import places_of
from rdusim.mapping.types import Launch, MappedSection, Mapping
from rdusim.sim.causes import AGCU, COLLECTIVE, COMPUTE, LAUNCH
from rdusim.sim.discrete.explain import critical_path, end_of, stalls
from rdusim.sim.discrete.launches import run_in_order
from rdusim.sim.discrete.section_net import section_net
from rdusim.sim.discrete.spans import Executed, counters, spans
from rdusim.sim.discrete.types import Move, SectionNet
from rdusim.sim.trace import Reason, SectionTiming, StageTiming, Stall, StreamTiming, Trace
from rdusim.units import Cycles


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """A launch entry: `cycles` of the net's run, which is one execution, or all `times` under kernel looping."""

    entry: Launch
    mapped: MappedSection
    made: SectionNet
    fired: Firings
    cycles: float
    executions: int


def discrete(mapping: Mapping, arch: Arch) -> Trace:
    """Time, waits and spans of every section; totals of the run. Raises DeadlockError."""
    runs = [_run(mapping, entry, arch) for entry in mapping.launches]
    order = run_in_order(mapping, [run.cycles for run in runs], arch)
    sections = tuple(_timing(run, waited, arch) for run, waited in zip(runs, order.waited, strict=True))
    tiers = tuple(tier.name for tier in arch.socket.memory)
    executed = [
        Executed(
            section=run.entry.section,
            mapped=run.mapped,
            made=run.made,
            fired=run.fired,
            launch=waited / run.entry.times,
            of=run.executions,
        )
        for run, waited in zip(runs, order.waited, strict=True)
        if not run.entry.first
    ]
    return Trace(
        engine="discrete",
        clock=arch.socket.clock,
        cycles=Cycles(sum(section.cycles for section in sections)),
        sections=sections,
        spans=spans(executed, tiers),
        read_bytes={tier: _moved(runs, tier, written=False) for tier in tiers},
        written_bytes={tier: _moved(runs, tier, written=True) for tier in tiers},
        peak_bytes=dict(mapping.peak_bytes),
        counters=counters(executed),
        events=sum(run.fired.events for run in runs),
    )


def _run(mapping: Mapping, entry: Launch, arch: Arch) -> _Run:
    mapped = mapping.sections[entry.section]
    executions = entry.times if entry.prefetch else 1
    made = section_net(mapped, places_of(mapping, entry), arch, executions)
    fired = fire(made.net)
    cycles, _ = end_of(made, fired)
    return _Run(entry=entry, mapped=mapped, made=made, fired=fired, cycles=cycles, executions=executions)


def _timing(run: _Run, waited: float, arch: Arch) -> SectionTiming:
    times = run.entry.times
    starts = times // run.executions
    breakdown = {cause: Cycles(cycles * starts) for cause, cycles in critical_path(run.made, run.fired).items()}
    if waited > 0.0:
        breakdown[LAUNCH] = Cycles(waited)
    held = stalls(run.made, run.fired)
    nearest = arch.socket.memory[0].name
    return SectionTiming(
        name=run.mapped.section.name,
        first=run.entry.first,
        repeats=times,
        cycles=Cycles(run.cycles * starts + waited),
        execution_cycles=Cycles(run.cycles / run.executions),
        launch_cycles=Cycles(waited / times),
        streaming_cycles=Cycles(_streaming(run, nearest)),
        breakdown=breakdown,
        bounds=_bounds(run),
        bottleneck=max(breakdown, key=lambda name: breakdown[name], default=COMPUTE),
        stages=tuple(_stage(run, name, held) for name in run.made.fires),
        streams=tuple(_streams(run, held)),
    )


def _first_and_last(run: _Run, actor: int) -> tuple[float, float]:
    """Start of the first firing and end of the last, of the first execution."""
    first = int(run.fired.first[actor])
    last = first + run.made.net.actors[actor].firings // run.executions - 1
    return float(run.fired.start[first]), float(run.fired.end[last])


def _stage(run: _Run, name: str, held: PyMapping[int, tuple[Stall, ...]]) -> StageTiming:
    made = run.made
    fires, done = made.fires[name], made.dones[name]
    start, _ = _first_and_last(run, fires)
    _, end = _first_and_last(run, done)
    actor, time = made.net.actors[fires], made.times[name]
    first = int(run.fired.first[fires])
    busy = float((run.fired.end - run.fired.start)[first : first + actor.firings].sum()) / run.executions
    waits = (*held[fires], *(_operands(run, fires, done) if done != fires else ()))
    return StageTiming(
        name=name,
        interval=Cycles(time.interval),
        busy=Cycles(busy),
        start=Cycles(start),
        end=Cycles(end + made.tails.get(done, 0.0)),
        bound=time.cause,
        stalls=_mean([waits], run.executions),
    )


def _operands(run: _Run, fires: int, done: int) -> tuple[Stall, ...]:
    """What a stage waited for after its own work: operands that come once, or its collective."""
    made, fired = run.made, run.fired
    mine = slice(int(fired.first[done]), int(fired.first[done]) + made.net.actors[done].firings)
    worked = slice(int(fired.first[fires]), int(fired.first[fires]) + made.net.actors[fires].firings)
    late = np.maximum(0.0, fired.ready[mine] - np.maximum(fired.end[worked], np.r_[0.0, fired.ready[mine][:-1]]))
    waited: dict[tuple[Reason, str], float] = {}
    for at in np.flatnonzero((late > 0.0) & (fired.cause[mine] >= 0)).tolist():
        wait = made.waits[int(fired.cause[mine][at])]
        waited[wait.reason, wait.on] = waited.get((wait.reason, wait.on), 0.0) + float(late[at])
    return tuple(Stall(reason=reason, on=on, cycles=Cycles(cycles)) for (reason, on), cycles in waited.items())


def _streams(run: _Run, held: PyMapping[int, tuple[Stall, ...]]) -> Iterator[StreamTiming]:
    """Loads and stores, all AGCUs of each together."""
    for _, group in groupby(run.made.moves, key=lambda move: move.stream.name):
        moves = list(group)
        spans = [_first_and_last(run, move.actor) for move in moves]
        start, end = min(span[0] for span in spans), max(span[1] for span in spans)
        move, moving = moves[0], max(end - start, 1e-9)
        waits = _mean([held[each.actor] for each in moves], run.executions)
        yield StreamTiming(
            name=move.stream.name,
            tier=move.tier,
            rate=move.stream.bytes / moving,
            bytes=float(move.stream.bytes),
            start=Cycles(start),
            end=Cycles(end + move.tail),
            written=move.written,
            bound=_bound(run, move, waits, moving),
            stalls=waits,
        )


def _bound(run: _Run, move: Move, waits: Sequence[Stall], moving: float) -> str:
    """What a load or store waited for most while it moved, or else what it moves with: its AGCUs."""
    late = [wait for wait in waits if wait.reason is not Reason.INPUT]
    if late and late[0].cycles > moving / 4:
        if late[0].reason is Reason.CREDIT:
            return "stage"
        net = run.made.net
        return run.made.resource_causes[net.shared.index(late[0].on)] if late[0].on in net.shared else late[0].on
    return AGCU


def _mean(waits: Sequence[Sequence[Stall]], executions: int) -> tuple[Stall, ...]:
    """Cycles of one execution, on average over the AGCUs; the longest first."""
    total: dict[tuple[Reason, str], float] = {}
    for wait in (wait for each in waits for wait in each):
        total[wait.reason, wait.on] = total.get((wait.reason, wait.on), 0.0) + wait.cycles
    ordered = sorted(total.items(), key=lambda item: -item[1])
    return tuple(
        Stall(reason=reason, on=on, cycles=Cycles(cycles / len(waits) / executions)) for (reason, on), cycles in ordered
    )


def _streaming(run: _Run, tier: str) -> float:
    """Cycles from the first to the last byte that a tier gives in one execution; in a loop, on average."""
    spans = [_first_and_last(run, move.actor) for move in run.made.moves if move.tier == tier and not move.written]
    if not spans:
        return 0.0
    apart = max(end for _, end in spans) - min(start for start, _ in spans)
    return min(apart, run.cycles / run.executions) if run.executions > 1 else apart


def _bounds(run: _Run) -> dict[str, Cycles]:
    """Least cycles of one execution on each resource alone: the busiest of each kind."""
    made = run.made
    busy = [0.0] * len(made.net.shared)
    doors = [0.0] * len(made.net.exclusive)
    for actor in made.net.actors:
        for use in actor.shared:
            busy[use.resource] += use.cycles * actor.firings / run.executions
        if actor.exclusive is not None:
            doors[actor.exclusive.resource] += actor.exclusive.cycles * actor.firings / run.executions
    bounds = {AGCU: max(doors, default=0.0)}
    for resource, cycles in enumerate(busy):
        kind = "p2p" if made.resource_causes[resource] == COLLECTIVE else made.resource_causes[resource]
        bounds[kind] = max(bounds.get(kind, 0.0), cycles)
    for stage in run.mapped.section.stages:
        time = made.times[stage.name]
        if time.cause != COLLECTIVE:
            kind = "pcu" if time.cause == COMPUTE else time.cause
            bounds[kind] = max(bounds.get(kind, 0.0), time.interval * stage.tiles)
    return {name: Cycles(cycles) for name, cycles in bounds.items() if cycles > 0.0}


def _moved(runs: Sequence[_Run], tier: str, written: bool) -> float:
    return float(
        sum(
            move.chunk * move.chunks * move.stream.tiles * run.entry.times
            for run in runs
            for move in run.made.moves
            if move.tier == tier and move.written is written
        )
    )
