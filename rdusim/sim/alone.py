"""A stage by itself: what every engine takes from `timing`, before anyone contends for anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rdusim.arch.types import Arch
from rdusim.graph.types import Compute
from rdusim.program.types import MemoryStream, Section, Stage, Stream
from rdusim.sim.causes import COLLECTIVE, COMPUTE, PMU
from rdusim.timing import p2p, pmu
from rdusim.timing import pcu as pcu_timing


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTime:
    """One stage alone: `interval` between tiles and what sets it, `fill` besides, all in cycles."""

    interval: float
    fill: float
    cause: str


def stage_time(stage: Stage, outgoing: Sequence[Stream], arch: Arch) -> StageTime:
    """A stage alone on one tile: its PCUs, its collective, or the PMUs it reads and writes, whatever is slowest."""
    tile, clock = arch.socket.tile, arch.socket.clock
    memory = memory_time(stage, outgoing, arch)
    latency = float(tile.pmu.latency)
    if stage.collective is not None:
        time = p2p.collective(stage.collective.kind, stage.collective.participants, stage.collective.size, arch)
        return _slowest(time.occupied * clock, COLLECTIVE, memory, time.latency * clock + latency)
    if stage.work:
        busy = float(pcu_timing.interval(stage.work[0], max(1, stage.pcus), tile.pcu))
        fill = float(pcu_timing.fill(stage.work[0], max(1, stage.pcus), tile.pcu))
        return _slowest(busy, COMPUTE, memory, fill + latency)
    return _slowest(0.0, PMU, memory, latency)


def memory_time(stage: Stage, outgoing: Sequence[Stream], arch: Arch) -> float:
    """Cycles that the PMUs of a stage need for one tile: to write the buffers behind it, to read its own operands."""
    tile = arch.socket.tile
    # Beyond its PCUs a stage writes its tile into the buffers behind it.
    written = sum(stream.tile_bytes for stream in outgoing)
    memory = float(pmu.write_cycles(written, stage.pmus, tile.pmu)) if outgoing else 0.0
    depth = max((stream.depth for stream in outgoing), default=1)
    memory *= pmu.bank_conflict(stage.sram, 1 if depth == 1 else 2, max(1, stage.pmus) * 2, tile.pmu)
    if stage.work and stage.collective is None:
        busy = float(pcu_timing.interval(stage.work[0], max(1, stage.pcus), tile.pcu))
        _, still = pcu_timing.operand_streams(stage.work[0], max(1, stage.pcus), tile.pcu)
        memory = max(memory, busy * max(1.0, (still if stage.compute is Compute.SYSTOLIC else 0) / max(1, stage.pmus)))
    return memory


def _slowest(busy: float, cause: str, memory: float, fill: float) -> StageTime:
    return StageTime(interval=max(busy, memory), fill=fill, cause=PMU if memory > busy else cause)


def stage_times(section: Section, arch: Arch) -> dict[str, StageTime]:
    """Every stage alone."""
    outgoing: dict[str, list[Stream]] = {stage.name: [] for stage in section.stages}
    for stream in section.streams:
        outgoing[stream.source].append(stream)
    return {stage.name: stage_time(stage, outgoing[stage.name], arch) for stage in section.stages}


def slowest_stage(section: Section, times: Mapping[str, StageTime]) -> float:
    """Cycles per tile of the section's slowest stage."""
    return max((times[stage.name].interval * stage.tiles / section.tiles for stage in section.stages), default=0.0)


def operand_tail(load: MemoryStream, stage: Stage, time: StageTime, arch: Arch) -> float:
    """Cycles that a stage still works once the last byte of an operand loaded once has come: it reads the last bank."""
    memory = arch.socket.tile.pmu
    bank = min(load.bytes / max(1, stage.pmus), memory.capacity / memory.banks)
    return min(time.interval, float(pmu.read_cycles(bank, 1, memory)))


def loop_copies(section: Section, sram: int) -> int:
    """Times that the operands loaded once fit into the SRAM beside everything else of the section: at least once."""
    once = sum(load.prefetch for load in section.loads if load.tiles == 1)
    used = sum(stage.sram for stage in section.stages)
    return 1 + (max(0, sram - used) // once if once else 1)
