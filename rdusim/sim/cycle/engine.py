"""The verb: every section of a small mapping, executed once cycle by cycle."""

from __future__ import annotations

from functools import partial
from typing import Final

from rdusim.arch.types import Arch
from rdusim.errors import OptionError, Problem
from rdusim.mapping.mesh import Mesh, mesh_of
from rdusim.mapping.pieces import places_of
from rdusim.mapping.types import Launch, MappedSection, Mapping, Orchestration, flows_of
from rdusim.sim.cycle.build import build
from rdusim.sim.cycle.record import Run, trace_of
from rdusim.sim.cycle.stuck import stuck
from rdusim.sim.trace import Trace
from rdusim.timing import launch as launch_timing
from rdusim.timing.rdn import scalar_bandwidth

MOST_SWITCHES: Final = 4 * 8 * 8  # of a socket
MOST_MOVES: Final = 5_000_000  # vectors over links in an execution: about a minute of the simulator


def cycle(mapping: Mapping, arch: Arch) -> Trace:
    """Every section once, cycle by cycle; repeats take as long again, and no two executions overlap.

    Raises OptionError where the machine or a section is too large, DeadlockError where nothing can move any more.
    """
    mesh = mesh_of(arch.socket)
    if problems := _too_large(mapping, mesh, arch):
        raise OptionError(*problems)
    runs = []
    for entry in mapping.launches:
        mapped = mapping.sections[entry.section]
        fabric = build(mapped, places_of(mapping, entry), mesh, arch)
        cycles = fabric.run(partial(stuck, fabric, mapped.section))
        runs.append(Run(mapped=mapped, entry=entry, fabric=fabric, cycles=cycles, launch=_launch(mapped, entry, arch)))
    return trace_of(runs, mapping, arch)


def _too_large(mapping: Mapping, mesh: Mesh, arch: Arch) -> list[Problem]:
    problems = machine_too_large(mesh)
    for mapped in mapping.sections:
        if (moves := _moves(mapped, arch)) > MOST_MOVES:
            problems.append(
                Problem(
                    field="--engine cycle",
                    message=f"section {mapped.section.name!r} moves {moves:,} vectors over links, "
                    f"more than {MOST_MOVES:,}",
                    hint="run a smaller shape, or take --engine discrete",
                )
            )
    if any(entry.prefetch for entry in mapping.launches):
        problems.append(
            Problem(
                field="--engine cycle",
                message="it executes sections once: they cannot loop",
                hint="leave --kernel-looping out, or take --engine discrete",
            )
        )
    return problems


def machine_too_large(mesh: Mesh) -> list[Problem]:
    """What forbids this engine whatever runs."""
    if mesh.switches <= MOST_SWITCHES:
        return []
    message = f"the machine has {mesh.switches:,} switches a socket, more than {MOST_SWITCHES}"
    hint = "set socket.tile.rows and cols to 8 and less, or take --engine discrete"
    return [Problem(field="--engine cycle", message=message, hint=hint)]


def _moves(mapped: MappedSection, arch: Arch) -> int:
    """Vectors over links in one execution."""
    total = sum(sum(mapped.routes[flow.name].tile_load) * flow.tiles for flow in flows_of(mapped.section))
    return int(total / arch.socket.tile.rdn.vector_bytes_per_cycle)


def _launch(mapped: MappedSection, entry: Launch, arch: Arch) -> float:
    """Cycles in front of all executions of an entry, one after the other."""
    section, clock = mapped.section, arch.socket.clock
    scalars = scalar_bandwidth(arch.socket.tile.rdn, clock)
    units = section.pcus + section.pmus
    if entry.orchestration is Orchestration.HOST:
        time = launch_timing.host(units, section.agcu_streams, arch.launch, scalars, arch.system.host)
        return float((time.staged + time.exposed) * clock * entry.times)
    plain, loading = (
        launch_timing.hardware(units, section.agcu_streams, loads, arch.launch, scalars).exposed
        for loads in (False, True)
    )
    return float((plain * (entry.times - entry.program_loads) + loading * entry.program_loads) * clock)
