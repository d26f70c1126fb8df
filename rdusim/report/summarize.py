"""From cycles to answers: seconds, tokens a second, shares of peak. The only place where cycles become seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Mapping as PyMapping
from dataclasses import dataclass, replace
from math import isclose
from typing import TYPE_CHECKING

from rdusim import __version__
from rdusim.dtypes import size_of
from rdusim.graph.types import Phase
from rdusim.mapping.mesh import mesh_of
from rdusim.report.links import link_name
from rdusim.report.memory_loss import combined
from rdusim.report.types import (
    FORWARD,
    Intensity,
    Latency,
    LinkUse,
    MemoryUse,
    Report,
    SectionUse,
    Setting,
    Simulator,
    Throughput,
    UnitUse,
)
from rdusim.sim.access import efficiency_of, written_share
from rdusim.timing import p2p
from rdusim.units import show

if TYPE_CHECKING:
    from rdusim.arch.types import Arch, MemoryTier
    from rdusim.graph.types import OperatorGraph
    from rdusim.mapping.types import Mapping
    from rdusim.program.types import Program, Section
    from rdusim.sim.trace import SectionTiming, Trace

SRAM = "sram"
PCU = "pcu"
PMU = "pmu"
P2P = "p2p"
FLOPS_PER_MAC = 2
LEAST_SLOWDOWN = 1.005  # what shows in two decimals


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """A section beside its timing, in the order of the schedule; `number` counts the timings of one section."""

    section: Section
    timing: SectionTiming
    number: int = 1

    @property
    def name(self) -> str:
        return self.section.name if self.number == 1 else f"{self.section.name} #{self.number}"

    @property
    def cycles(self) -> float:
        return self.timing.cycles


def summarize(
    trace: Trace, mapping: Mapping, graph: OperatorGraph, arch: Arch, setting: Setting | None = None
) -> Report:
    """The report of one simulated program, in seconds and bytes.

    `setting`: what was asked; what can be known from the other arguments is taken from them, the rest stays absent.
    Bytes, capacities and FLOPs are totals over the sockets in use; sections and units are those of one socket.
    """
    program = mapping.program
    setting = setting or known_setting(trace, mapping, graph, arch)
    runs = _runs(trace, program)
    slowdowns = {mapped.section.name: mapped.slowdown for mapped in mapping.sections}
    total = trace.cycles / trace.clock
    return Report(
        setting=setting,
        latency=_latency(total, setting.phase),
        throughput=throughput(
            None if setting.phase == FORWARD and setting.input_tokens is None else program.tokens,
            total,
            program.batch,
            program.flops,
            peak_flops(arch, setting.dtype, setting.sockets_used),
        ),
        memory=_memory(trace, runs, arch, setting.sockets_used),
        units=_units(runs, arch, trace.cycles),
        links=_links(runs, trace.cycles) if setting.sockets_used > 1 else None,
        sections=tuple(_section_use(run, trace.clock, arch, slowdowns[run.section.name]) for run in runs),
        kernel_launches=program.kernel_launches,
        breakdown_seconds=_breakdown(trace),
        operational_intensity=Intensity(
            flops=program.flops, bytes=setting.sockets_used * sum(map(_off_chip_bytes, program.sections))
        ),
        notes=(*_notes(setting, trace, arch), *_slowed(mapping, arch)),
        simulator=Simulator(version=__version__),
    )


def known_setting(trace: Trace, mapping: Mapping, graph: OperatorGraph, arch: Arch) -> Setting:
    """What the nouns themselves say about how they were made; the phase is not among it."""
    ways = mapping.program.parallelism
    return Setting(
        model=graph.name,
        arch=arch.name,
        sockets=arch.system.sockets,
        sockets_used=ways.sockets,
        phase=None,
        batch=mapping.program.batch,
        engine=trace.engine,
        dtype=main_dtype(graph),
        parallelism={"tp": ways.tp, "pp": ways.pp, "ep": ways.ep, "dp": ways.dp, "sp": ways.sp},
        fusion=mapping.program.fusion.value,
        orchestration=mapping.launches[0].orchestration.value if mapping.launches else None,
        kernel_looping=any(launch.prefetch for launch in mapping.launches),
    )


def main_dtype(graph: OperatorGraph) -> str | None:
    """Number format of most bytes of the graph's tensors, repeats counted once: the one whose peak is compared with."""
    held: dict[str, int] = {}
    for tensor in graph.tensors.values():
        held[tensor.dtype] = held.get(tensor.dtype, 0) + tensor.elements * size_of(tensor.dtype)
    return max(held, key=lambda dtype: held[dtype], default=None)


def peak_flops(arch: Arch, dtype: str | None, sockets: int) -> float | None:
    """FLOP/s of all PCUs of `sockets` sockets, a MAC counted as two; None if the machine does not know `dtype`."""
    macs = arch.socket.tile.pcu.macs_per_cycle.get(dtype or "")
    return macs and FLOPS_PER_MAC * macs * arch.socket.pcus * arch.socket.clock * sockets


def throughput(tokens: float | None, seconds: float, batch: int, flops: float, peak: float | None) -> Throughput:
    """Rates over `seconds`; `tokens` of all users together, None for a graph that knows none."""
    rate = flops / seconds
    return Throughput(
        tokens_per_second=None if tokens is None else tokens / seconds,
        tokens_per_second_per_user=None if tokens is None else tokens / seconds / batch,
        flops_per_second=rate,
        model_flops_utilization=rate / peak if peak else None,
    )


def _runs(trace: Trace, program: Program) -> tuple[_Run, ...]:
    sections = {section.name: section for section in program.sections}
    assert sections.keys() == {timing.name for timing in trace.sections}, "the trace is of another program"
    seen = dict.fromkeys(sections, 0)
    runs = []
    for timing in trace.sections:
        seen[timing.name] += 1
        runs.append(_Run(section=sections[timing.name], timing=timing, number=seen[timing.name]))
    return tuple(runs)


def _latency(total: float, phase: str | None) -> Latency:
    return Latency(
        total_seconds=total,
        time_to_first_token_seconds=total if phase == Phase.PREFILL else None,
        time_per_output_token_seconds=total if phase == Phase.DECODE else None,
    )


def _breakdown(trace: Trace) -> dict[str, float]:
    """Cause -> seconds, largest first. Every cycle has one cause, so they sum to the total."""
    cycles: dict[str, float] = {}
    for timing in trace.sections:
        for cause, share in timing.breakdown.items():
            cycles[cause] = cycles.get(cause, 0.0) + share
    explained = sum(cycles.values())
    assert isclose(explained, trace.cycles, rel_tol=1e-6), f"{explained} of {trace.cycles} cycles are explained"
    return {cause: cycles[cause] / trace.clock for cause in sorted(cycles, key=lambda cause: -cycles[cause])}


def _memory(trace: Trace, runs: Sequence[_Run], arch: Arch, sockets: int) -> tuple[MemoryUse, ...]:
    socket = arch.socket
    held = max((sum(stage.sram for stage in run.section.stages) for run in runs), default=0)
    on_chip = MemoryUse(
        tier=SRAM,
        capacity_bytes=sockets * socket.sram,
        peak_bytes=sockets * max(held, trace.peak_bytes.get(SRAM, 0)),
    )
    nearest = socket.memory[0]
    return (on_chip, *(_tier_use(tier, trace, runs, sockets, nearest=tier is nearest) for tier in socket.memory))


def _tier_use(tier: MemoryTier, trace: Trace, runs: Sequence[_Run], sockets: int, *, nearest: bool) -> MemoryUse:
    read, written = trace.read_bytes.get(tier.name, 0.0), trace.written_bytes.get(tier.name, 0.0)
    rate = (read + written) / (trace.cycles / trace.clock)
    streaming = _streaming_rate(tier.name, runs, nearest=nearest) * trace.clock
    return MemoryUse(
        tier=tier.name,
        capacity_bytes=sockets * tier.capacity,
        peak_bytes=sockets * trace.peak_bytes.get(tier.name, 0),
        read_bytes=sockets * read,
        written_bytes=sockets * written,
        achieved_bytes_per_second=sockets * rate,
        bandwidth_utilization=rate / tier.bandwidth,
        streaming_utilization=streaming / tier.bandwidth if streaming else None,
        peak_bytes_per_second=sockets * tier.bandwidth,
        efficiency=combined(list(_patterns(tier, runs)), rate / tier.bandwidth),
    )


def _patterns(tier: MemoryTier, runs: Sequence[_Run]) -> Iterator[tuple[float, PyMapping[str, float]]]:
    """Bytes of each load and store over a tier, and what its pattern makes of the peak."""
    for run in runs:
        here = {timing.name for timing in run.timing.streams if timing.tier == tier.name}
        mixed = written_share(run.section)
        for stream in (*run.section.loads, *run.section.stores):
            if stream.name in here:
                found = efficiency_of(stream, run.section, tier, mixed if stream.tiles > 1 else 0.0)
                yield run.timing.repeats * float(stream.bytes), found.factors()


def _streaming_rate(tier: str, runs: Sequence[_Run], *, nearest: bool) -> float:
    """Bytes per cycle over a tier while the section streams that moves most of its bytes; 0 if nothing moves."""

    def moved(run: _Run) -> float:
        return sum(stream.bytes for stream in run.timing.streams if stream.tier == tier)

    busiest = max(runs, key=lambda run: run.timing.repeats * moved(run), default=None)
    if busiest is None or not moved(busiest):
        return 0.0
    timing = busiest.timing
    if nearest and timing.streaming_cycles:
        return moved(busiest) / timing.streaming_cycles
    streams = [stream for stream in timing.streams if stream.tier == tier]
    window = max(stream.end for stream in streams) - min(stream.start for stream in streams)
    return moved(busiest) / window if window else 0.0


def _units(runs: Sequence[_Run], arch: Arch, total: float) -> tuple[UnitUse, ...]:
    counts = {
        PCU: (arch.socket.pcus, [run.section.pcus for run in runs]),
        PMU: (arch.socket.pmus, [run.section.pmus for run in runs]),
    }
    return tuple(
        UnitUse(
            unit=unit,
            available=available,
            peak=max(used, default=0),
            configured=sum(run.cycles * width for run, width in zip(runs, used, strict=True)) / (total * available),
            busy=_bound_share(runs, unit, total),
        )
        for unit, (available, used) in counts.items()
    )


def _bound_share(runs: Sequence[_Run], resource: str, total: float) -> float:
    """Share of the run that `resource` alone would need at least."""
    return sum(run.timing.repeats * run.timing.bounds.get(resource, 0.0) for run in runs) / total


def _links(runs: Sequence[_Run], total: float) -> LinkUse:
    payload = sum(
        run.timing.repeats * stage.tiles * stage.collective.size
        for run in runs
        for stage in run.section.stages
        if stage.collective is not None
    )
    return LinkUse(payload_bytes=payload, busy=_bound_share(runs, P2P, total))


def _section_use(run: _Run, clock: float, arch: Arch, slowdown: float) -> SectionUse:
    section, timing = run.section, run.timing
    return SectionUse(
        name=run.name,
        repeats=timing.repeats,
        seconds=timing.cycles / clock,
        execution_seconds=timing.execution_cycles / clock,
        launch_seconds=timing.launch_cycles / clock,
        stages=len(section.stages),
        pcus=section.pcus,
        pmus=section.pmus,
        pcu_share=section.pcus / arch.socket.pcus,
        pmu_share=section.pmus / arch.socket.pmus,
        bottleneck=timing.bottleneck,
        bound_seconds=_descending({resource: cycles / clock for resource, cycles in timing.bounds.items()}),
        breakdown_seconds=_descending({cause: cycles / clock for cause, cycles in timing.breakdown.items()}),
        rdn_slowdown=slowdown,
        agcu_streams=section.agcu_streams,
        flops=timing.repeats * section.flops,
        moved_bytes=dict(_moved(run, arch)),
    )


def _moved(run: _Run, arch: Arch) -> Iterator[tuple[str, float]]:
    """By tier, nearest first, what all repeats read and write there; then what a socket sends to others."""
    for tier in arch.socket.memory:
        if moved := sum(stream.bytes for stream in run.timing.streams if stream.tier == tier.name):
            yield tier.name, run.timing.repeats * moved
    sent = 0.0
    for stage in run.section.stages:
        if (work := stage.collective) is not None:
            time = p2p.collective(work.kind, work.participants, work.size, arch, work.stride)
            sent += stage.tiles * time.bytes_per_socket
    if sent:
        yield P2P, run.timing.repeats * sent


def _descending(values: PyMapping[str, float]) -> dict[str, float]:
    return {name: values[name] for name in sorted(values, key=lambda name: -values[name])}


def _off_chip_bytes(section: Section) -> float:
    return section.repeats * sum(stream.bytes for stream in (*section.loads, *section.stores))


def _notes(setting: Setting, trace: Trace, arch: Arch) -> tuple[str, ...]:
    """What a reader would otherwise wonder about: idle sockets, spilled tiers."""
    notes: list[str] = []
    if idle := setting.sockets - setting.sockets_used:
        ways = ", ".join(f"{axis}={count}" for axis, count in setting.parallelism.items() if count > 1) or "tp=1"
        notes.append(f"{ways}: {idle} of {setting.sockets} sockets idle")
    for tier in arch.socket.memory[1:]:
        if moved := trace.read_bytes.get(tier.name, 0.0) + trace.written_bytes.get(tier.name, 0.0):
            share = moved / (sum(trace.read_bytes.values()) + sum(trace.written_bytes.values()))
            nearest = arch.socket.memory[0].name
            notes.append(f"{show(share, 'share')} of the bytes moved are {tier.name}'s: not everything fits {nearest}")
    return tuple(notes)


def _slowed(mapping: Mapping, arch: Arch) -> Iterator[str]:
    """Sections whose streams could not be routed at the rate that stages and memories ask for."""
    for mapped in mapping.sections:
        if mapped.slowdown >= LEAST_SLOWDOWN:
            where = f"; busiest: {link_name(mapped.busiest_link, mesh_of(arch.socket))}" * (mapped.busiest_link >= 0)
            yield f"section {mapped.section.name}: links need {mapped.slowdown:.2f}x the claimed time{where}"


def with_simulator(report: Report, *, wall_seconds: float) -> Report:
    """The same report, and how long making it took."""
    return replace(report, simulator=replace(report.simulator, wall_seconds=wall_seconds))
