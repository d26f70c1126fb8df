"""Sections in the order of their launches: what starting them adds, and what overlaps. docs/model.md, "Launch"."""

from __future__ import annotations

from collections.abc import Sequence

from rdusim.arch.types import Arch
from rdusim.mapping.types import Launch, MappedSection, Orchestration
from rdusim.timing import launch as launch_timing
from rdusim.timing.rdn import scalar_bandwidth


def launch_cycles(
    launches: Sequence[Launch], sections: Sequence[MappedSection], executions: Sequence[float], arch: Arch
) -> list[float]:
    """For each launch entry, the cycles that its starts add, all `times` together.

    Host: program and arguments of a start are sent while the execution before it runs; only what is longer than that
    execution shows, and then what the units themselves must load. Hardware: nothing is sent; a section that keeps its
    program pays arguments and execute; with prefetch (kernel looping) only the first start does.
    """
    clock, added = arch.socket.clock, []
    before, scalars = 0.0, scalar_bandwidth(arch.socket.tile.rdn, clock)
    for number, entry in enumerate(launches):
        section = sections[entry.section].section
        units, streams = section.pcus + section.pmus, section.agcu_streams
        if entry.orchestration is Orchestration.HOST:
            time = launch_timing.host(units, streams, arch.launch, scalars, arch.system.host)
            staged = time.staged * clock
            own = executions[number]
            shown = max(0.0, staged - before) + (entry.times - 1) * max(0.0, staged - own)
            added.append(shown + entry.times * time.exposed * clock)
            before = own
            continue
        start = launch_timing.hardware(units, streams, False, arch.launch, scalars).exposed
        with_program = launch_timing.hardware(units, streams, True, arch.launch, scalars).exposed
        starts = 1 if entry.prefetch else entry.times
        added.append((starts * start + entry.program_loads * (with_program - start)) * clock)
    return added
