"""A stage's PCUs as units that step together, and the rhythm in which they take tiles in and give them out."""

from __future__ import annotations

from math import ceil

from rdusim.arch.types import Arch
from rdusim.mapping.types import MappedSection
from rdusim.program.types import Stage, Stream
from rdusim.sim.alone import stage_time
from rdusim.sim.causes import COLLECTIVE, COMPUTE, PMU
from rdusim.sim.cycle.compute import Rhythm, Unit
from rdusim.sim.cycle.fabric import Fabric
from rdusim.sim.cycle.stage import StageRun
from rdusim.timing import pcu as pcu_timing
from rdusim.timing.work import SimdWork


class Crew:
    """`switches` of each unit: a chain of PCUs, one systolic PCU, or everything of a stage that does not compute."""

    def __init__(self, stage: Stage, outgoing: list[Stream], pcus: list[int], pmus: list[int], run: StageRun) -> None:
        self.stage, self.outgoing, self.run = stage, outgoing, run
        self.pcus, self.pmus = pcus, pmus
        self.rhythm = Rhythm(steps=1, taking=1, giving=1, block=1, fill=0)
        self.switches: list[list[int]] = []

    def unit_at(self, switch: int) -> Unit:
        """Who takes what arrives at a switch of the stage."""
        for unit, switches in zip(self.run.units, self.switches, strict=True):
            if switch in switches:
                return unit
        return self.run.units[0]


def crew_of(mapped: MappedSection, stage: Stage, pcus: list[int], pmus: list[int], fabric: Fabric, arch: Arch) -> Crew:
    """Units of a stage, idle."""
    outgoing = [stream for stream in mapped.section.streams if stream.source == stage.name]
    pcu = arch.socket.tile.pcu
    if stage.collective is not None or not stage.work or not pcus:
        # Latency and occupancy of a collective are those of timing.p2p; a move is as fast as its ports.
        time = stage_time(mapped, stage, arch)
        busy = max(1, ceil(time.interval))
        rhythm = Rhythm(steps=busy, taking=busy, giving=busy, block=1, fill=max(0, round(time.fill)))
        groups, cause = [pcus or pmus], COLLECTIVE if stage.collective is not None else PMU
    else:
        work, cause = stage.work[0], COMPUTE
        steps, fill = int(pcu_timing.interval(work, len(pcus), pcu)), int(pcu_timing.fill(work, len(pcus), pcu))
        if isinstance(work, SimdWork):
            chain = pcu_timing.chain_length(work, pcu)
            rounds = max(1, ceil(chain / len(pcus)))
            taking = max(1, steps // (work.passes * rounds))
            rhythm = Rhythm(steps=max(1, steps), taking=taking, giving=taking, block=1, fill=fill)
            groups = _chains(pcus, chain)
        else:
            blocks = max(1, ceil(pcu_timing.blocks(work, pcu) / len(pcus)))
            block = max(1, ceil(steps / blocks))
            rhythm = Rhythm(steps=max(1, steps), taking=steps, giving=steps, block=block, fill=fill)
            groups = [[switch] for switch in pcus]
    run = StageRun(stage.name, stage.tiles, cause, rhythm.fill, fabric)
    crew = Crew(stage, outgoing, pcus, pmus, run)
    crew.rhythm, crew.switches = rhythm, groups
    run.units = [Unit(run, rhythm) for _ in groups]
    fabric.stages[stage.name] = run
    return crew


def _chains(pcus: list[int], chain: int) -> list[list[int]]:
    """Neighbours in the order of placement; PCUs that make no whole chain only pass on what comes to them."""
    count = max(1, len(pcus) // chain)
    groups = [pcus[number * chain : (number + 1) * chain] for number in range(count)]
    groups[-1] = pcus[(count - 1) * chain :]
    return groups
