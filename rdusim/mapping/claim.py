"""The rate that a section claims: cycles of one execution that its stages and memories ask for, each by itself.

No section is quicker than its slowest stage, than all its collectives one after the other, or than its bytes over their
memory. So these cycles are what the links must keep up with. docs/model.md, "Routes and link loads".
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from rdusim.arch.types import Arch, MemoryTier
from rdusim.mapping.types import Allocation
from rdusim.program.types import MemoryStream, Section, Stage
from rdusim.timing import dram, p2p, pcu, rdn


def claimed_cycles(section: Section, allocations: Mapping[str, Allocation], arch: Arch) -> float:
    """Cycles of one execution: the most that a stage, the collectives, a memory, a load or a store need alone.

    Loads and stores of buffers without an allocation count as going to the nearest tier.
    """
    computing = (_stage(stage, arch) * stage.tiles for stage in section.stages if stage.collective is None)
    collectives = sum(_collective(stage, arch) * stage.tiles for stage in section.stages)
    moving = dict.fromkeys((tier.name for tier in arch.socket.memory), 0.0)
    for stream in (*section.loads, *section.stores):
        tier = tier_of(stream, allocations, arch)
        moving[tier.name] += stream.bytes / rate_of(stream, tier, arch)
    return max(collectives, *moving.values(), *computing, *_alone(section, allocations, arch))


def flow_cycles(section: Section, allocations: Mapping[str, Allocation], arch: Arch, claimed: float) -> list[float]:
    """Cycles in which each flow must pass, streams first, then loads, then stores.

    Operands loaded once come one after the other, each at its own rate. All else has the `claimed` cycles.
    """
    memory = zip((*section.loads, *section.stores), _alone(section, allocations, arch), strict=True)
    own = [alone if stream.tiles == 1 and alone > 0.0 else claimed for stream, alone in memory]
    return [*([claimed] * len(section.streams)), *own]


def capacity(cycles: float, arch: Arch) -> float:
    """Bytes that the parallel links of one step carry in `cycles`; no limit where nothing is claimed."""
    mesh = arch.socket.tile.rdn
    return cycles * mesh.vector_links / rdn.link_cycles(1.0, mesh) if cycles > 0.0 else inf


def interval_cycles(stage: Stage, arch: Arch) -> float:
    """Cycles between two tiles of a stage: of its PCUs, or of the busiest link of its collective."""
    return _stage(stage, arch) if stage.collective is None else _collective(stage, arch)


def _alone(section: Section, allocations: Mapping[str, Allocation], arch: Arch) -> list[float]:
    """Cycles of each load and store at the rate of its memory, its AGCUs or their ports, or its PMUs."""
    tile = arch.socket.tile
    door = min(float(tile.agcu.bytes_per_cycle), capacity(1.0, arch))
    pmus = {stage.name: max(1, stage.pmus) for stage in section.stages}
    return [
        stream.bytes
        / min(
            rate_of(stream, tier_of(stream, allocations, arch), arch),
            stream.agcus * door,
            float(pmus[stream.stage] * tile.pmu.write_bytes_per_cycle),
        )
        for stream in (*section.loads, *section.stores)
    ]


def stage_cycles(stage: Stage, arch: Arch) -> float:
    """Cycles of one tile: of the stage's PCUs, or of its collective from the first byte to the last."""
    if (work := stage.collective) is not None:
        time = p2p.collective(work.kind, work.participants, work.size, arch, work.stride)
        return (time.occupied + time.latency) * arch.socket.clock
    return _stage(stage, arch)


def _stage(stage: Stage, arch: Arch) -> float:
    """Cycles between two tiles of a stage's PCUs."""
    return float(pcu.interval(stage.work[0], max(1, stage.pcus), arch.socket.tile.pcu)) if stage.work else 0.0


def _collective(stage: Stage, arch: Arch) -> float:
    if (work := stage.collective) is None:
        return 0.0
    return p2p.collective(work.kind, work.participants, work.size, arch, work.stride).occupied * arch.socket.clock


def tier_of(stream: MemoryStream, allocations: Mapping[str, Allocation], arch: Arch) -> MemoryTier:
    place = allocations.get(stream.buffer)
    tiers = arch.socket.memory
    return next(tier for tier in tiers if tier.name == place.tier) if place else tiers[0]


def rate_of(stream: MemoryStream, tier: MemoryTier, arch: Arch) -> float:
    """Bytes per cycle; all but gathers follow each other in memory."""
    return dram.bytes_per_cycle(tier, arch.socket.clock, stream.contiguous, 0.0, gathered=stream.gathered)
