"""The static schedule of the AGCUs: when each part of a load or store is needed, were memory no limit.

Tile 0 reaches a stage after the work of the stages before it; tile k comes k paces later, the pace being that of the
slowest stage. An AGCU serves the part that is needed first. docs/model.md, "Needs".
"""

from __future__ import annotations

from dataclasses import dataclass

from rdusim.arch.types import Arch
from rdusim.mapping.claim import interval_cycles, stage_cycles
from rdusim.mapping.types import MappedSection
from rdusim.program.types import Section


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Cycles after the start of a section at which part 0 is needed, and from one part to the next."""

    first: float
    step: float

    def of(self, part: int) -> float:
        return self.first + part * self.step


def stages_before(section: Section) -> dict[str, set[str]]:
    """By stage, all stages whose results it needs, directly or not."""
    found: dict[str, set[str]] = {stage.name: set() for stage in section.stages}
    for stage in section.stages:
        for stream in section.streams:
            if stream.target == stage.name:
                found[stage.name] |= {stream.source} | found[stream.source]
    return found


def needs(mapped: MappedSection, arch: Arch) -> dict[str, Need]:
    """By load and store. What is stored counts from when its stage has made it."""
    section = mapped.section
    reached: dict[str, float] = {}
    made: dict[str, float] = {}
    for stage in section.stages:
        before = (made.get(stream.source, 0.0) for stream in section.streams if stream.target == stage.name)
        reached[stage.name] = max(before, default=0.0)
        made[stage.name] = reached[stage.name] + stage_cycles(stage, arch)
    busy = max((stage.tiles * interval_cycles(stage, arch) for stage in section.stages), default=0.0)
    found = {
        stream.name: Need(first=reached[stream.stage], step=busy / max(1, stream.tiles)) for stream in section.loads
    }
    found |= {
        stream.name: Need(first=made[stream.stage], step=busy / max(1, stream.tiles)) for stream in section.stores
    }
    return found
