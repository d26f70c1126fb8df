"""What happened in the fabrics, as a trace: times, stalls, spans and levels of buffers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rdusim.arch.types import Arch
from rdusim.mapping.types import Launch, MappedSection, Mapping
from rdusim.program.types import MemoryStream
from rdusim.sim.alone import stage_times
from rdusim.sim.causes import AGCU, COLLECTIVE, COMPUTE, DIE, FILL, LAUNCH, PMU, RDN, TLN
from rdusim.sim.cycle.agcu import Transfer
from rdusim.sim.cycle.fabric import Fabric
from rdusim.sim.cycle.network import Port
from rdusim.sim.trace import (
    Activity,
    Counters,
    Reason,
    SectionTiming,
    SpanRow,
    Spans,
    StageTiming,
    Stall,
    StreamTiming,
    Trace,
    spans_of,
)
from rdusim.units import Cycles


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One entry of the schedule. `cycles`: of one execution; `launch`: in front of all of them together."""

    mapped: MappedSection
    entry: Launch
    fabric: Fabric
    cycles: int
    launch: float

    @property
    def offset(self) -> float:
        """Cycles that the first execution starts after its launch began."""
        return self.launch / self.entry.times


def trace_of(runs: Sequence[Run], mapping: Mapping, arch: Arch) -> Trace:
    """Totals, and everything by section."""
    tiers = [tier.name for tier in arch.socket.memory]
    sections = tuple(_section(run, arch) for run in runs)
    return Trace(
        engine="cycle",
        clock=arch.socket.clock,
        cycles=Cycles(sum(section.cycles for section in sections)),
        sections=sections,
        spans=_spans(runs, tuple(tiers)),
        read_bytes={name: _moved(runs, name, written=False) for name in tiers},
        written_bytes={name: _moved(runs, name, written=True) for name in tiers},
        peak_bytes=dict(mapping.peak_bytes),
        counters=_counters(runs),
        events=sum(run.fabric.clock.moved for run in runs),
    )


def _section(run: Run, arch: Arch) -> SectionTiming:
    fabric, times = run.fabric, run.entry.times
    breakdown = {name: Cycles(cycles * times) for name, cycles in fabric.spent.items() if cycles > 0.0}
    # The last vectors of a memory arrive when nothing else moves: what is not yet spoken for is draining.
    rest = run.cycles * times - sum(breakdown.values())
    breakdown[FILL] = Cycles(max(0.0, breakdown.get(FILL, 0.0) + rest))
    if run.launch > 0.0:
        breakdown[LAUNCH] = Cycles(run.launch)
    breakdown = {name: cycles for name, cycles in breakdown.items() if cycles > 0.0}
    nearest = fabric.tiers[arch.socket.memory[0].name]
    return SectionTiming(
        name=run.mapped.section.name,
        first=run.entry.first,
        repeats=times,
        cycles=Cycles(run.cycles * times + run.launch),
        execution_cycles=Cycles(run.cycles),
        launch_cycles=Cycles(run.offset),
        streaming_cycles=Cycles(nearest.last - nearest.first if nearest.first is not None else 0.0),
        breakdown=breakdown,
        bounds=_bounds(run, arch),
        bottleneck=max(breakdown, key=lambda name: breakdown[name], default=COMPUTE),
        stages=_stages(run, arch),
        streams=tuple(_stream(fabric.transfers[flow.name], flow, arch) for flow in _memory(run)),
    )


def _memory(run: Run) -> tuple[MemoryStream, ...]:
    return (*run.mapped.section.loads, *run.mapped.section.stores)


def _stages(run: Run, arch: Arch) -> tuple[StageTiming, ...]:
    alone = stage_times(run.mapped, arch)
    found = []
    for stage in run.mapped.section.stages:
        ran, time = run.fabric.stages[stage.name], alone[stage.name]
        stalls = sorted(ran.stalls.items(), key=lambda item: -item[1])
        found.append(
            StageTiming(
                name=stage.name,
                interval=Cycles(time.interval),
                busy=Cycles(time.interval * stage.tiles),
                start=Cycles(ran.spans[0][0]),
                end=Cycles(ran.spans[-1][1]),
                bound=time.cause,
                stalls=tuple(
                    Stall(reason=reason, on=on, cycles=Cycles(cycles)) for (reason, on), cycles in stalls if cycles
                ),
            )
        )
    return tuple(found)


def _stream(transfer: Transfer, flow: MemoryStream, arch: Arch) -> StreamTiming:
    start = max(0.0, transfer.start)
    taken = max(1.0, transfer.end - start)
    waited = max(transfer.stalls.items(), key=lambda item: item[1], default=((Reason.BANDWIDTH, ""), 0.0))
    (reason, on), cycles = waited
    bound = transfer.tier.name if cycles < taken / 2 else "stage" if reason is not Reason.BANDWIDTH else on
    return StreamTiming(
        name=flow.name,
        tier=transfer.tier.name,
        rate=flow.bytes / taken,
        bytes=float(flow.bytes),
        start=Cycles(start),
        end=Cycles(transfer.end),
        written=transfer.written,
        bound=bound,
        stalls=tuple(
            Stall(reason=why, on=what, cycles=Cycles(wait)) for (why, what), wait in transfer.stalls.items() if wait
        ),
    )


def _bounds(run: Run, arch: Arch) -> dict[str, Cycles]:
    """Cycles for which the busiest unit of each kind was busy."""
    fabric, socket = run.fabric, arch.socket
    alone = stage_times(run.mapped, arch)
    bounds: dict[str, float] = {}

    def at_least(name: str, cycles: float) -> None:
        bounds[name] = max(bounds.get(name, 0.0), cycles)

    for stage in run.mapped.section.stages:
        cause = alone[stage.name].cause
        kind = {COMPUTE: "pcu", COLLECTIVE: "p2p"}.get(cause, cause)
        at_least(kind, alone[stage.name].interval * stage.tiles)
    for link, port in fabric.links.items():
        at_least(RDN if link < 4 * socket.tiles * socket.tile.rows * socket.tile.cols else AGCU, _busy(port))
    for scratchpad in fabric.scratchpads.values():
        at_least(PMU, max(_busy(scratchpad.read), _busy(scratchpad.write)))
    at_least(TLN, fabric.outside.tln.carried / fabric.outside.tln.bytes_per_cycle)
    at_least(DIE, max(way.carried / way.bytes_per_cycle for way in fabric.outside.between))
    for tier in fabric.tiers.values():
        at_least(tier.name, max(channel.busy for channel in tier.channels))
    return {name: Cycles(cycles) for name, cycles in bounds.items() if cycles > 0.0}


def _busy(port: Port) -> float:
    return port.carried * port.period / port.width


def _moved(runs: Sequence[Run], tier: str, written: bool) -> float:
    return float(
        sum(
            flow.bytes * run.entry.times
            for run in runs
            for flow in _memory(run)
            if (found := run.fabric.transfers[flow.name]).tier.name == tier and found.written is written
        )
    )


def _spans(runs: Sequence[Run], tiers: tuple[str, ...]) -> Spans:
    """A row for every firing of a stage, for every load, store and launch, of first executions."""
    names: dict[str, int] = {}
    kinds: list[str] = []
    rows: list[SpanRow] = []

    def number(name: str, kind: str) -> int:
        if name not in names:
            names[name] = len(names)
            kinds.append(kind)
        return names[name]

    for run in runs:
        if run.entry.first:
            continue
        section, offset = run.entry.section, run.offset
        rows.append((0.0, offset, number("launch", "launch"), section, Activity.LAUNCH, -1, 0.0))
        for stage in run.fabric.stages.values():
            activity = Activity.COLLECTIVE if stage.cause == COLLECTIVE else Activity.COMPUTE
            at = number(stage.name, "stage")
            rows += [(offset + start, offset + end, at, section, activity, -1, 0.0) for start, end in stage.spans]
        for flow in _memory(run):
            transfer = run.fabric.transfers[flow.name]
            activity = Activity.STORE if transfer.written else Activity.LOAD
            start = offset + max(0.0, transfer.start)
            at, tier = number(flow.name, activity.name.lower()), tiers.index(transfer.tier.name)
            rows.append((start, offset + transfer.end, at, section, activity, tier, float(flow.bytes)))
    return spans_of(rows, tuple(names), tuple(kinds), tiers)


def _counters(runs: Sequence[Run]) -> Counters:
    """Tiles in every buffer, whenever their number changes."""
    names: dict[str, int] = {}
    rows = [
        (run.offset + cycle, float(tiles), names.setdefault(name, len(names)), run.entry.section)
        for run in runs
        if not run.entry.first
        for cycle, name, tiles in run.fabric.levels
    ]
    columns = list(zip(*rows, strict=True)) or [()] * 4
    return Counters(
        names=tuple(names),
        time=np.array(columns[0], dtype=np.float64),
        value=np.array(columns[1], dtype=np.float64),
        name=np.array(columns[2], dtype=np.int32),
        section=np.array(columns[3], dtype=np.int32),
    )
