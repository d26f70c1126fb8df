"""The verb: a program in its place on one socket of a machine."""

from __future__ import annotations

from rdusim.arch.types import Arch, Socket
from rdusim.errors import MappingError, Problem
from rdusim.mapping.allocate import allocate
from rdusim.mapping.check import check
from rdusim.mapping.launch import check_options, launches
from rdusim.mapping.mesh import Mesh, mesh_of
from rdusim.mapping.place import Window, place, windows
from rdusim.mapping.route import route
from rdusim.mapping.types import MapOptions, MappedSection, Mapping
from rdusim.program.types import Program


def map_onto(program: Program, arch: Arch, options: MapOptions | None = None) -> Mapping:
    """Sites, routes, memory and schedule for `program`; every result has passed `check`.

    Raises MappingError (what does not fit, and where) and OptionError (options that exclude each other).
    """
    options = options or MapOptions()
    check_options(options)
    if problems := _too_wide(program, arch.socket):
        raise MappingError(*problems)
    mesh = mesh_of(arch.socket)
    allocations, peak_bytes = allocate(program.buffers, arch.socket.memory)
    shares = _shares(program, mesh)
    placements = [place(section, mesh, shares.get(number)) for number, section in enumerate(program.sections)]
    sections = []
    for section, placed in zip(program.sections, placements, strict=True):
        routes, link_load = route(section, placed, mesh)
        sections.append(MappedSection(section=section, placements=placed, routes=routes, link_load=link_load))
    mapping = Mapping(
        program=program,
        sections=tuple(sections),
        allocations=allocations,
        launches=launches(program, placements, mesh, options),
        peak_bytes=peak_bytes,
    )
    if problems := check(mapping, arch, mesh):
        raise MappingError(*problems)
    return mapping


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
