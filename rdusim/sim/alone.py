"""A stage by itself: what every engine takes from `timing`, before anyone contends for anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rdusim.arch.types import Arch
from rdusim.graph.types import Compute
from rdusim.mapping.banks import conflicts
from rdusim.mapping.types import MappedSection
from rdusim.program.types import MemoryStream, Section, Stage
from rdusim.sim.causes import COLLECTIVE, COMPUTE, PMU
from rdusim.timing import p2p, pmu
from rdusim.timing import pcu as pcu_timing
from rdusim.timing.work import SystolicWork


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTime:
    """One stage alone: `interval` between tiles and what sets it, `fill` besides, all in cycles."""

    interval: float
    fill: float
    cause: str


def stage_time(mapped: MappedSection, stage: Stage, arch: Arch) -> StageTime:
    """A stage alone on one tile: its PCUs, its collective, or the PMUs it reads and writes, whatever is slowest."""
    tile, clock = arch.socket.tile, arch.socket.clock
    memory = memory_time(mapped, stage, arch)
    latency = float(tile.pmu.latency)
    if (work := stage.collective) is not None:
        time = p2p.collective(work.kind, work.participants, work.size, arch, work.stride)
        return _slowest(time.occupied * clock, COLLECTIVE, memory, time.latency * clock + latency)
    if stage.work:
        busy = float(pcu_timing.interval(stage.work[0], max(1, stage.pcus), tile.pcu))
        fill = float(pcu_timing.fill(stage.work[0], max(1, stage.pcus), tile.pcu))
        return _slowest(busy, COMPUTE, memory, fill + latency)
    return _slowest(0.0, PMU, memory, latency)


def memory_time(mapped: MappedSection, stage: Stage, arch: Arch) -> float:
    """Cycles that the PMUs of a stage need for one tile: to write the buffers behind it, to read its own operands."""
    memory = arch.socket.tile.pmu
    outgoing = [stream for stream in mapped.section.streams if stream.source == stage.name]
    write = float(pmu.write_cycles(sum(stream.tile_bytes for stream in outgoing), stage.pmus, memory))
    # Where two copies of a buffer share a bank, the next stage reads it in turn with this one's writing.
    shared = sum(stream.sent_bytes for stream in outgoing if conflicts(mapped, stream.name, memory))
    return max(write + float(pmu.read_cycles(shared, stage.pmus, memory)), _operand_time(mapped, stage, arch))


def _operand_time(mapped: MappedSection, stage: Stage, arch: Arch) -> float:
    """Cycles that a stage's own PMUs read operands of a GEMM for one tile.

    What stays is read all the time over a port for each of its streams; a moving operand that is loaded comes out of
    the same PMUs, once for every block of columns that a PCU takes in turn.
    """
    if stage.compute is not Compute.SYSTOLIC or not stage.work or not isinstance(stage.work[0], SystolicWork):
        return 0.0
    tile, work, width = arch.socket.tile, stage.work[0], max(1, stage.pcus)
    _, still = pcu_timing.operand_streams(work, width, tile.pcu)
    moving = sum(
        load.tile_bytes * (max(1, load.tiles // stage.tiles) if load.tiles > 1 else 1)
        for load in mapped.section.loads
        if load.stage == stage.name and load.moving
    )
    read = float(pmu.read_cycles(moving * pcu_timing.resends(work, width, tile.pcu), stage.pmus, tile.pmu))
    return still / max(1, stage.pmus) * float(pcu_timing.interval(work, width, tile.pcu)) + read


def _slowest(busy: float, cause: str, memory: float, fill: float) -> StageTime:
    return StageTime(interval=max(busy, memory), fill=fill, cause=PMU if memory > busy else cause)


def stage_times(mapped: MappedSection, arch: Arch) -> dict[str, StageTime]:
    """Every stage alone."""
    return {stage.name: stage_time(mapped, stage, arch) for stage in mapped.section.stages}


def slowest_stage(section: Section, times: Mapping[str, StageTime]) -> float:
    """Cycles per tile of the section's slowest stage."""
    return max((times[stage.name].interval * stage.tiles / section.tiles for stage in section.stages), default=0.0)


def operand_tail(load: MemoryStream, stage: Stage, time: StageTime, arch: Arch) -> float:
    """Cycles that a stage still works once the last byte of an operand loaded once has come: the part of the last bank.

    Every PMU gets its share of the operand bank after bank, and work on a bank can begin when it is full.
    """
    memory = arch.socket.tile.pmu
    part = load.bytes / max(1, stage.pmus)
    return time.interval * min(1.0, memory.capacity / memory.banks / max(1.0, part))


def comes_whole(load: MemoryStream, stage: Stage) -> bool:
    """Whether all of an operand loaded once must be there before its stage begins; otherwise the stage follows it.

    So with a moving operand, which passes in front of what stays, and a collective, if there is room for all of it.
    """
    return (load.moving or stage.collective is not None) and load.prefetch >= load.bytes


def loop_copies(section: Section, sram: int) -> int:
    """Times that the operands loaded once fit into the SRAM beside everything else of the section: at least once."""
    once = sum(load.prefetch for load in section.loads if load.tiles == 1)
    used = sum(stage.sram for stage in section.stages)
    return 1 + (max(0, sram - used) // once if once else 1)
