"""Sections in the order of their launches: what starting them adds, and what overlaps. docs/model.md, "Launch"."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rdusim.arch.types import Arch
from rdusim.mapping.types import Launch, Mapping, Orchestration
from rdusim.program.types import Section
from rdusim.timing import launch as launch_timing
from rdusim.timing.rdn import scalar_bandwidth


def launch_cycles(mapping: Mapping, executions: Sequence[float], arch: Arch) -> list[float]:
    """For each launch entry, the cycles that its starts add, all `times` together.

    Host: program and arguments of a start are sent while the execution before it runs; only what is longer than that
    execution shows, and then what the units themselves must load. Hardware: nothing is sent; a section that keeps its
    program pays arguments and execute; with prefetch (kernel looping) only the first start does.
    """
    added: list[float] = []
    last = 0.0  # nothing runs before the first start
    for _, members in groupby(range(len(mapping.launches)), lambda at: mapping.launches[at].group):
        group = list(members)
        for number in group:
            entry = mapping.launches[number]
            if entry.orchestration is Orchestration.HOST:
                # The sections of a group take turns: from the second round on the last one is before the first.
                later = executions[number - 1] if number > group[0] else executions[group[-1]]
                added.append(_by_host(mapping.sections[entry.section].section, entry, last, later, arch))
            else:
                added.append(_by_hardware(mapping.sections[entry.section].section, entry, arch))
            last = executions[number]
    return added


def _by_host(section: Section, entry: Launch, before: float, later: float, arch: Arch) -> float:
    """`before`: cycles of the execution before the first start; `later`: before each further one."""
    clock, scalars = arch.socket.clock, scalar_bandwidth(arch.socket.tile.rdn, arch.socket.clock)
    units, streams = section.pcus + section.pmus, section.agcu_streams
    time = launch_timing.host(units, streams, arch.launch, scalars, arch.system.host)
    staged = time.staged * clock
    shown = max(0.0, staged - before) + (entry.times - 1) * max(0.0, staged - later)
    return shown + entry.times * time.exposed * clock


def _by_hardware(section: Section, entry: Launch, arch: Arch) -> float:
    clock, scalars = arch.socket.clock, scalar_bandwidth(arch.socket.tile.rdn, arch.socket.clock)
    units, streams = section.pcus + section.pmus, section.agcu_streams
    start = launch_timing.hardware(units, streams, False, arch.launch, scalars).exposed
    with_program = launch_timing.hardware(units, streams, True, arch.launch, scalars).exposed
    starts = 1 if entry.prefetch else entry.times
    return (starts * start + entry.program_loads * (with_program - start)) * clock
