"""Engine `steady`: every section as a timed event graph, solved for its last tile by max-plus algebra.

Time to the first tile plus (tiles - 1) x the maximum cycle mean, exact once the firings repeat (kernel/makespan.py);
the cost does not grow with the number of tiles. Shared bandwidth is divided statically (sim/flow.py).
"""

from __future__ import annotations

from collections.abc import Mapping as PyMapping
from dataclasses import dataclass

from rdusim.arch.types import Arch
from rdusim.kernel.makespan import Makespan, makespan
from rdusim.mapping.pieces import places_of
from rdusim.mapping.types import Launch, MappedSection, Mapping
from rdusim.sim.alone import loop_copies, slowest_stage, stage_times
from rdusim.sim.causes import COLLECTIVE, COMPUTE, LAUNCH, Causes
from rdusim.sim.credits import check_credits
from rdusim.sim.flow import Flow, flows
from rdusim.sim.schedule import launch_cycles
from rdusim.sim.section_graph import SectionGraph, section_graph
from rdusim.sim.trace import Activity, SectionTiming, SpanRow, Spans, StageTiming, StreamTiming, Trace, spans_of
from rdusim.units import Cycles


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One section, executed once or, with kernel looping, all its repeats in a row."""

    mapped: MappedSection
    moves: tuple[Flow, ...]
    graph: SectionGraph
    once: Makespan
    looped: Makespan | None
    by_cause: PyMapping[str, float]  # of all `times`, launches left out
    cycles: float  # the same in all


def steady(mapping: Mapping, arch: Arch) -> Trace:
    """Time, bounds and breakdown of every section; totals of the run."""
    causes = Causes(tuple(tier.name for tier in arch.socket.memory))
    runs = [_run(mapping, entry, arch, causes) for entry in mapping.launches]
    executions = [run.once.cycles for run in runs]
    starts = launch_cycles(mapping, executions, arch)
    sections = tuple(
        _timing(run, entry, start, arch) for run, entry, start in zip(runs, mapping.launches, starts, strict=True)
    )
    tiers = [tier.name for tier in arch.socket.memory]
    return Trace(
        engine="steady",
        clock=arch.socket.clock,
        cycles=Cycles(sum(section.cycles for section in sections)),
        sections=sections,
        spans=_spans(runs, starts, mapping, tuple(tiers)),
        read_bytes={tier: _moved(runs, mapping, tier, written=False) for tier in tiers},
        written_bytes={tier: _moved(runs, mapping, tier, written=True) for tier in tiers},
        peak_bytes=dict(mapping.peak_bytes),
    )


def _run(mapping: Mapping, entry: Launch, arch: Arch, causes: Causes) -> _Run:
    mapped = mapping.sections[entry.section]
    section = mapped.section
    check_credits(section)
    slowest = slowest_stage(section, stage_times(mapped, arch))
    moves = flows(section, mapped.routes, places_of(mapping, entry), arch, slowest)
    graph = section_graph(mapped, moves, arch, causes)
    once = makespan(graph.graph, section.tiles, graph.end)
    looped: Makespan | None = None
    if not entry.prefetch:
        by_cause = {name: cycles * entry.times for name, cycles in causes.of(once.by_label).items()}
        return _Run(
            mapped=mapped,
            moves=moves,
            graph=graph,
            once=once,
            looped=None,
            by_cause=by_cause,
            cycles=once.cycles * entry.times,
        )
    copies = loop_copies(section, arch.socket.sram)
    if section.tiles == 1:
        ring = section_graph(mapped, moves, arch, causes, loop=copies)
        looped = makespan(ring.graph, entry.times, ring.end)
        by_cause = causes.of(looped.by_label)
        return _Run(
            mapped=mapped, moves=moves, graph=graph, once=once, looped=looped, by_cause=by_cause, cycles=looped.cycles
        )
    by_cause, cycles = _overlap(section.tiles, entry.times, once, graph, slowest, copies, causes)
    return _Run(mapped=mapped, moves=moves, graph=graph, once=once, looped=None, by_cause=by_cause, cycles=cycles)


def _overlap(
    tiles: int, times: int, once: Makespan, graph: SectionGraph, slowest: float, copies: int, causes: Causes
) -> tuple[dict[str, float], float]:
    """Repeats of a section of many tiles under kernel looping: the next one fills while this one drains.

    A repeat follows the one before at the pace of its slowest loop, stage or shared resource, but not before its own
    first tile has passed, and only where a second set of the operands that stay fits; the rest of filling shows once.
    """
    spent = causes.of(once.by_label)
    if copies < 2:
        return {name: cycles * times for name, cycles in spent.items()}, once.cycles * times
    busiest = max(graph.shared.values(), default=0.0)
    pace = max(tiles * max(once.period, slowest, busiest), once.first[graph.end])
    pace = min(pace, once.cycles)
    hidden = (once.cycles - pace) * (times - 1)
    total = once.cycles * times - hidden
    scale = total / (once.cycles * times)
    return {name: cycles * times * scale for name, cycles in spent.items()}, total


def _timing(run: _Run, entry: Launch, start: float, arch: Arch) -> SectionTiming:
    section = run.mapped.section
    breakdown = {name: Cycles(cycles) for name, cycles in run.by_cause.items() if cycles > 0.0}
    if start > 0.0:
        breakdown[LAUNCH] = Cycles(breakdown.get(LAUNCH, 0.0) + start)
    graph = run.graph
    first = run.once.first
    last = run.once.last
    stages = tuple(
        StageTiming(
            name=stage.name,
            interval=Cycles(graph.times[stage.name].interval),
            busy=Cycles(graph.times[stage.name].interval * stage.tiles),
            start=Cycles(first[graph.starts[stage.name]]),
            end=Cycles(last[graph.ends[stage.name]]),
            bound=graph.times[stage.name].cause,
        )
        for stage in section.stages
    )
    streams = tuple(_stream_timing(flow, run) for flow in run.moves)
    return SectionTiming(
        name=section.name,
        first=entry.first,
        repeats=entry.times,
        cycles=Cycles(run.cycles + start),
        execution_cycles=Cycles(run.cycles / entry.times),
        launch_cycles=Cycles(start / entry.times),
        streaming_cycles=Cycles(_streaming(run, arch)),
        breakdown=breakdown,
        bounds=_bounds(run, arch),
        bottleneck=max(breakdown, key=lambda name: breakdown[name], default=COMPUTE),
        stages=stages,
        streams=streams,
    )


def _stream_timing(flow: Flow, run: _Run) -> StreamTiming:
    event, graph = run.graph.moved[flow.stream.name], run.graph
    begun = graph.begun.get(flow.stream.name)
    service = flow.stream.tile_bytes / flow.rate
    start = run.once.first[begun] if begun is not None else max(0.0, run.once.first[event] - service)
    return StreamTiming(
        name=flow.stream.name,
        tier=flow.tier,
        rate=flow.rate,
        bytes=float(flow.stream.bytes),
        start=Cycles(start),
        end=Cycles(run.once.last[event]),
        written=flow.written,
        bound=flow.limit,
    )


def _streaming(run: _Run, arch: Arch) -> float:
    """Cycles from the first to the last byte that the nearest tier moves in one execution (of a loop: on average)."""
    if run.looped is not None:
        return run.cycles / max(1, run.looped.fired) if run.looped.period == 0.0 else run.looped.period
    nearest = arch.socket.memory[0].name
    spans = [_stream_timing(flow, run) for flow in run.moves if flow.tier == nearest and not flow.written]
    if not spans:
        return 0.0
    apart = max(span.end for span in spans) - min(span.start for span in spans)
    # Tiles that run ahead borrow from operands that are loaded once: the tier itself is never faster than its rate.
    return max(apart, sum(flow.stream.bytes / flow.tier_rate for flow in run.moves if flow.tier == nearest))


def _bounds(run: _Run, arch: Arch) -> dict[str, Cycles]:
    """Least cycles of one execution on each resource alone."""
    graph, section = run.graph, run.mapped.section
    bounds = {name: Cycles(cycles * section.tiles) for name, cycles in graph.shared.items() if cycles > 0.0}
    busy: dict[str, float] = {}
    for stage in section.stages:
        time = graph.times[stage.name]
        if time.cause != COLLECTIVE:
            kind = "pcu" if time.cause == COMPUTE else time.cause
            busy[kind] = max(busy.get(kind, 0.0), time.interval * stage.tiles)
    if COLLECTIVE in bounds:
        bounds["p2p"] = bounds.pop(COLLECTIVE)
    for name, cycles in busy.items():
        bounds[name] = Cycles(max(bounds.get(name, 0.0), cycles))
    return bounds


def _moved(runs: list[_Run], mapping: Mapping, tier: str, written: bool) -> float:
    return float(
        sum(
            flow.stream.bytes * entry.times
            for run, entry in zip(runs, mapping.launches, strict=True)
            for flow in run.moves
            if flow.tier == tier and flow.written is written
        )
    )


def _spans(runs: list[_Run], starts: list[float], mapping: Mapping, tiers: tuple[str, ...]) -> Spans:
    """One row for each stage, load, store and launch of a section's first execution."""
    names: dict[str, int] = {}
    kinds: dict[str, str] = {}
    rows: list[SpanRow] = []
    for run, start, entry in zip(runs, starts, mapping.launches, strict=True):
        if entry.first:
            continue
        offset = start / entry.times
        kinds["launch"] = "launch"
        rows.append((0.0, offset, names.setdefault("launch", len(names)), entry.section, Activity.LAUNCH, -1, 0.0))
        graph = run.graph
        for stage in run.mapped.section.stages:
            begin, end = run.once.first[graph.starts[stage.name]], run.once.last[graph.ends[stage.name]]
            activity = Activity.COLLECTIVE if stage.collective is not None else Activity.COMPUTE
            kinds[stage.name] = "stage"
            number = names.setdefault(stage.name, len(names))
            rows.append((offset + begin, offset + end, number, entry.section, activity, -1, 0.0))
        for flow in run.moves:
            timing = _stream_timing(flow, run)
            activity = Activity.STORE if flow.written else Activity.LOAD
            kinds[flow.stream.name] = activity.name.lower()
            number, tier = names.setdefault(flow.stream.name, len(names)), tiers.index(flow.tier)
            rows.append(
                (offset + timing.start, offset + timing.end, number, entry.section, activity, tier, timing.bytes)
            )
    return spans_of(rows, tuple(names), tuple(kinds[name] for name in names), tiers)
