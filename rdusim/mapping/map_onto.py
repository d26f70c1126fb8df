"""The verb: a program in its place on one socket of a machine."""

from __future__ import annotations

from collections.abc import Mapping as PyMapping

import numpy as np

from rdusim.arch.types import Arch, Socket
from rdusim.errors import MappingError, Problem
from rdusim.mapping.allocate import allocate
from rdusim.mapping.banks import assign
from rdusim.mapping.check import check
from rdusim.mapping.claim import capacity, claimed_cycles, flow_cycles
from rdusim.mapping.improve import fixed, improve
from rdusim.mapping.launch import check_options, launches
from rdusim.mapping.mesh import Mesh, mesh_of
from rdusim.mapping.negotiate import Limits
from rdusim.mapping.order import dear_of
from rdusim.mapping.pieces import places_at
from rdusim.mapping.place import Window, whole, windows
from rdusim.mapping.promise import Promise
from rdusim.mapping.route import routes_of
from rdusim.mapping.types import Allocation, MapOptions, MappedSection, Mapping, Placement
from rdusim.program.types import Program, Section


def map_onto(
    program: Program,
    arch: Arch,
    options: MapOptions | None = None,
    sites: PyMapping[str, Placement] | None = None,
) -> Mapping:
    """Sites, routes, memory and schedule for `program` on one socket; every result has passed `check`.

    Offsets and sizes are bytes of one socket's tiers; what links carry is in bytes of a stream's tile. `sites`: by
    stage, instead of those that the placer would choose.

    Raises MappingError (what does not fit, and where) and OptionError (options that exclude each other).
    """
    options = options or MapOptions()
    check_options(options)
    if problems := _too_wide(program, arch.socket):
        raise MappingError(*problems)
    mesh = mesh_of(arch.socket)
    allocations, peak_bytes = allocate(program.buffers, arch.socket.memory, options.tiers, options.spill)
    nearest = places_at(allocations, 0)  # what the links must keep up with: later repeats come from no nearer tier
    shares = _shares(program, mesh)
    sections = [
        _mapped(section, shares.get(number, whole(mesh)), nearest, sites or {}, options, mesh, arch)
        for number, section in enumerate(program.sections)
    ]
    mapping = Mapping(
        program=program,
        sections=tuple(sections),
        allocations=allocations,
        launches=launches(program, [section.placements for section in sections], allocations, mesh, options),
        peak_bytes=peak_bytes,
    )
    if problems := check(mapping, arch, mesh):
        raise MappingError(*problems)
    return mapping


def _mapped(
    section: Section,
    window: Window,
    allocations: PyMapping[str, Allocation],
    given: PyMapping[str, Placement],
    options: MapOptions,
    mesh: Mesh,
    arch: Arch,
) -> MappedSection:
    """Sites within `window`, but for those that are given, and routes within what the links carry."""
    claimed = claimed_cycles(section, allocations, arch)
    own = flow_cycles(section, allocations, arch, claimed)
    limits = Limits(
        all_flows=capacity(claimed, arch),
        of_flow=np.array([capacity(cycles, arch) for cycles in own], dtype=np.float64),
    )
    placed = (
        fixed(section, mesh, window, limits, given)
        if any(stage.name in given for stage in section.stages)
        else improve(
            section,
            mesh,
            window,
            limits,
            dear_of(arch.socket, mesh),
            Promise(
                section=section,
                allocations=allocations,
                arch=arch,
                mesh=mesh,
                claimed=claimed,
                capacity=limits.all_flows,
            ),
            seed=options.seed,
            effort=options.effort,
        )
    )
    sites, routing = placed.sites, placed.routing
    return MappedSection(
        section=section,
        placements=sites.placements(mesh),
        routes=routes_of(routing, section, sites.pcus, sites.pmus, mesh),
        link_load=routing.link_load / mesh.vector_links,
        busiest_link=routing.busiest_link,
        claimed=claimed,
        slowdown=max(1.0, routing.link_load / limits.all_flows),
        sram=assign(section, arch.socket.tile.pmu),
    )


def _too_wide(program: Program, socket: Socket) -> list[Problem]:
    """Sections with more units than there are."""
    return [
        Problem(
            message=f"section {section.name!r} needs {needed:,} {kind}s, the socket has {there:,}",
            hint="shard over more sockets or fuse less",
        )
        for section in program.sections
        for kind, needed, there in (("PCU", section.pcus, socket.pcus), ("PMU", section.pmus, socket.pmus))
        if needed > there
    ]


def _shares(program: Program, mesh: Mesh) -> dict[int, Window]:
    """Slots for sections that alternate and fit on the chip together, so that each loads its program only once."""
    shares: dict[int, Window] = {}
    for numbers, times in program.order:
        alternating = sorted(set(numbers))
        if times > 1 and len(alternating) > 1 and not any(number in shares for number in alternating):
            found = windows([program.sections[number] for number in alternating], mesh)
            shares |= dict(zip(alternating, found, strict=True)) if found else {}
    return shares
