"""Is a mapping legal? Judges the result alone.

It shares with placer and router the numbering of the mesh, who gets which share of a tile (`spread`, `multicast`), how
large a buffer is (`banks.buffering`) and what a section claims (`claim`), and nothing of how they went about it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from math import isclose

from rdusim.arch.types import Arch, Socket
from rdusim.errors import Problem
from rdusim.mapping.check_banks import check_banks
from rdusim.mapping.check_routes import check_routes
from rdusim.mapping.claim import capacity, claimed_cycles
from rdusim.mapping.mesh import Mesh, mesh_of
from rdusim.mapping.pack import ALIGNMENT, lifetimes_of
from rdusim.mapping.pieces import boundaries, places_at
from rdusim.mapping.types import Allocation, MappedSection, Mapping, Placement, SiteKind, flows_of
from rdusim.program.types import Buffer, Program, Section
from rdusim.units import show


def check(mapping: Mapping, arch: Arch, mesh: Mesh | None = None) -> list[Problem]:
    """Everything wrong with `mapping` on `arch`; empty where it is legal. `mesh`: that of `arch`, if it is at hand."""
    mesh = mesh or mesh_of(arch.socket)
    problems = [*_operators(mapping.program), *_launches(mapping), *_allocations(mapping, arch.socket)]
    if len(mapping.sections) != len(mapping.program.sections):
        problems.append(
            Problem(message=f"{len(mapping.sections)} of {len(mapping.program.sections)} sections are mapped")
        )
    for section, mapped in zip(mapping.program.sections, mapping.sections, strict=False):
        of_section = [*_budget(section, arch.socket), *_streams(section), *_sites(section, mapped, mesh)]
        of_section += _scratchpads(section, mapped, arch.socket)
        of_section += check_banks(section, mapped, arch.socket.tile.pmu)
        # Routes of misplaced or unknown stages would only repeat what was said.
        of_section = of_section or [*check_routes(section, mapped, mesh), *_rate(section, mapped, mapping, arch)]
        problems += [Problem(message=text, field=f"section {section.name!r}") for text in of_section]
    return problems


def _operators(program: Program) -> Iterator[Problem]:
    """Each operator in exactly one stage."""
    counts = Counter(name for section in program.sections for stage in section.stages for name in stage.operators)
    for name, count in counts.items():
        if count > 1:
            yield Problem(message=f"operator {name!r} is in {count} stages")


def _launches(mapping: Mapping) -> Iterator[Problem]:
    """As many starts as repeats, and no more loads than starts."""
    times: Counter[int] = Counter()
    for launch in mapping.launches:
        times[launch.section] += launch.times
        if not 0 <= launch.program_loads <= launch.times:
            yield Problem(
                message=f"section {launch.section} loads its program {launch.program_loads} times in {launch.times}"
            )
    yield from _tiers_change(mapping)
    for number, section in enumerate(mapping.program.sections):
        if times[number] != section.repeats:
            yield Problem(
                message=f"section {section.name!r} is started {times[number]} times instead of {section.repeats}"
            )
    for number in times.keys() - range(len(mapping.program.sections)):
        yield Problem(message=f"section {number} is started but does not exist")


def _tiers_change(mapping: Mapping) -> Iterator[Problem]:
    """No entry of the schedule goes on where a part of a buffer lies in another tier than before."""
    for launch in mapping.launches:
        if 0 <= launch.section < len(mapping.program.sections):
            section = mapping.program.sections[launch.section]
            for repeat in sorted(boundaries(section, mapping.allocations)):
                if launch.first < repeat < launch.first + launch.times:
                    yield Problem(message=f"section {section.name!r} changes tiers at repeat {repeat} within one entry")


def _allocations(mapping: Mapping, socket: Socket) -> Iterator[Problem]:
    """Every buffer has its bytes and all its parts, in bounds and aligned, and no live buffers overlap."""
    capacity = {tier.name: tier.capacity for tier in socket.memory}
    lifetimes = lifetimes_of(mapping.program.buffers)
    lives: dict[tuple[str, int], tuple[str, int, int, int, int]] = {}
    for buffer in mapping.program.buffers:
        found = mapping.allocations.get(buffer.name)
        if found is None:
            yield Problem(message=f"buffer {buffer.name!r} has no place in memory")
            continue
        size = sum(piece.size for piece in found.pieces)
        if size < buffer.size:
            yield Problem(message=f"buffer {buffer.name!r} has {size} bytes of memory instead of {buffer.size}")
        yield from _parts(buffer, found)
        life = lifetimes[buffer.name]
        for number, piece in enumerate(found.pieces):
            if piece.offset % ALIGNMENT:
                yield Problem(message=f"buffer {buffer.name!r} begins at {piece.offset}, no multiple of {ALIGNMENT}")
            if piece.offset < 0 or piece.offset + piece.size > capacity.get(piece.tier, 0):
                there = show(capacity.get(piece.tier, 0), "size")
                yield Problem(message=f"buffer {buffer.name!r} lies outside the {there} of {piece.tier}")
            lives[buffer.name, number] = (piece.tier, piece.offset, piece.offset + piece.size, life.first, life.last)
    for (one, _), (other, _) in _overlaps(lives):
        yield Problem(message=f"buffers {one!r} and {other!r} overlap in memory while both live")


def _parts(buffer: Buffer, found: Allocation) -> Iterator[Problem]:
    """Pieces hold all parts of a buffer, each once and whole, in order."""
    if found.repeats == 1 and not found.further:
        return
    expected, part = 0, buffer.size // max(1, buffer.repeats)
    for piece in found.pieces:
        if piece.first != expected or piece.size != piece.repeats * part:
            yield Problem(
                message=f"buffer {buffer.name!r}: a piece in {piece.tier} has {piece.size} bytes for {piece.repeats} "
                f"parts from {piece.first} on instead of {piece.repeats * part} from {expected} on"
            )
        expected = piece.first + piece.repeats
    if expected != buffer.repeats:
        yield Problem(message=f"buffer {buffer.name!r} has {expected} parts in memory instead of {buffer.repeats}")


Piece = tuple[str, int]  # name of the buffer, number of the piece


def _overlaps(lives: dict[Piece, tuple[str, int, int, int, int]]) -> Iterator[tuple[Piece, Piece]]:
    """Pairs that share a tier, an address and a time: a sweep over addresses that drops what has ended."""
    open_: list[tuple[Piece, tuple[str, int, int, int, int]]] = []
    for name, life in sorted(lives.items(), key=lambda of: of[1]):
        tier, begin, _, first, last = life
        open_ = [(other, of) for other, of in open_ if of[0] == tier and of[2] > begin]
        yield from ((other, name) for other, of in open_ if of[3] <= last and first <= of[4])
        open_.append((name, life))


def _budget(section: Section, socket: Socket) -> Iterator[str]:
    """No more units and AGCU contexts than the socket has."""
    contexts = sum(stream.agcus for stream in (*section.loads, *section.stores))
    for kind, needed, there in (
        ("PCUs", section.pcus, socket.pcus),
        ("PMUs", section.pmus, socket.pmus),
        ("AGCU contexts", contexts, socket.agcus * socket.tile.agcu.streams),
    ):
        if needed > there:
            yield f"needs {needed:,} {kind}, the socket has {there:,}"


def _streams(section: Section) -> Iterator[str]:
    """Names are unique, ends exist, and data goes from earlier to later stages."""
    order = {stage.name: number for number, stage in enumerate(section.stages)}
    yield from _twice((stage.name for stage in section.stages), "stage")
    yield from _twice((stream.name for stream in flows_of(section)), "stream")
    for stream in section.streams:
        missing = [name for name in (stream.source, stream.target) if name not in order]
        if missing:
            yield f"stream {stream.name!r} joins stage {missing[0]!r}, which does not exist"
        elif order[stream.source] >= order[stream.target]:
            yield f"stream {stream.name!r} goes back from {stream.source!r} to {stream.target!r}"
    for memory in (*section.loads, *section.stores):
        if memory.stage not in order:
            yield f"stream {memory.name!r} joins stage {memory.stage!r}, which does not exist"


def _twice(names: Iterable[str], what: str) -> Iterator[str]:
    counts = Counter(names)
    if len(counts) != counts.total():
        yield from (f"two of {what} {name!r}" for name, count in counts.items() if count > 1)


def _sites(section: Section, mapped: MappedSection, mesh: Mesh) -> Iterator[str]:
    """Every stage has the sites it asked for, on the mesh, of the right kind, and no other stage has them."""
    placed = {placement.stage: placement for placement in mapped.placements}
    nowhere = Placement(stage="", pcus=(), pmus=())
    taken: Counter[int] = Counter()
    squares = mesh.sites
    for stage in section.stages:
        placement = placed.get(stage.name, nowhere)
        for kind, sites, asked in (
            (SiteKind.PCU, placement.pcus, stage.pcus),
            (SiteKind.PMU, placement.pmus, stage.pmus),
        ):
            if len(sites) != asked:
                yield f"stage {stage.name!r} has {len(sites)} {kind.name}s instead of {asked}"
            switches = mesh.switches_of(sites).tolist()
            # What is where it should be is the mesh's own site; comparing by identity first makes this cheap.
            for switch, site in zip(switches, sites, strict=True):
                there = squares[switch] if 0 <= switch < len(squares) else None
                if site is not there and site != there:
                    yield f"stage {stage.name!r}: there is no {kind.name} at {_where(site.tile, site.row, site.col)}"
                elif site.kind is not kind:
                    yield f"stage {stage.name!r} has a {site.kind.name} among its {kind.name}s"
            taken.update(switches)
    if len(taken) != taken.total():
        for switch, count in taken.items():
            if count > 1 and 0 <= switch < mesh.switches:
                site = mesh.sites[switch]
                yield f"the {site.kind.name} at {_where(site.tile, site.row, site.col)} is used {count} times"
    yield from (f"stage {name!r} is placed but does not exist" for name in placed.keys() - _names(section))


def _rate(section: Section, mapped: MappedSection, mapping: Mapping, arch: Arch) -> Iterator[str]:
    """The stated claim is the section's, and the slowdown what its busiest link makes of it."""
    claimed = claimed_cycles(section, places_at(mapping.allocations, 0), arch)
    if not isclose(mapped.claimed, claimed, abs_tol=1e-9):
        yield f"it asks for {claimed:.0f} cycles, not {mapped.claimed:.0f}"
        return
    slowdown = max(1.0, mapped.link_load * arch.socket.tile.rdn.vector_links / capacity(claimed, arch))
    if not isclose(mapped.slowdown, slowdown):
        yield f"its links slow it down by {slowdown:.3f}, not {mapped.slowdown:.3f}"


def _names(section: Section) -> set[str]:
    return {stage.name for stage in section.stages}


def _where(tile: int, row: int, col: int) -> str:
    return f"tile {tile}, row {row}, column {col}"


def _scratchpads(section: Section, mapped: MappedSection, socket: Socket) -> Iterator[str]:
    """A stage's bytes fit its PMUs."""
    counts = {placement.stage: len(placement.pmus) for placement in mapped.placements}
    for stage in section.stages:
        there = counts.get(stage.name, 0) * socket.tile.pmu.capacity
        if stage.sram > there:
            yield (
                f"stage {stage.name!r} keeps {show(stage.sram, 'size')} in {counts.get(stage.name, 0)} PMUs of "
                f"{show(socket.tile.pmu.capacity, 'size')}"
            )
