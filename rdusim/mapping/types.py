"""Where a program goes: sites on the mesh, routes on the vector network, ranges of memory, launches."""

from __future__ import annotations

from collections.abc import Mapping as PyMapping
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from rdusim.program.types import MemoryStream, Program, Section, Stream
from rdusim.units import Bytes


class SiteKind(StrEnum):
    PCU = "pcu"
    PMU = "pmu"


class Orchestration(StrEnum):
    """Who starts a section: the host, or a static schedule in the AGCUs (MICRO'24 sec. IV-D)."""

    HOST = "host"
    HARDWARE = "hardware"


class SpillOrder(StrEnum):
    """What leaves a tier that is too small. TRANSFER: least traffic in all first, weights last (MICRO'24 sec. V-A).

    DENSITY: least traffic for each byte that it takes first, whatever it is.
    """

    TRANSFER = "transfer"
    DENSITY = "density"


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOptions:
    """How a program is put onto a machine. `kernel_looping` needs hardware orchestration.

    `effort`: rounds of the search for a better placement, 0 for none; `seed` of its dice. Equal seeds, equal mappings.
    `tiers`: symbol -> the tier of memory where all of it must lie.
    """

    orchestration: Orchestration = Orchestration.HARDWARE
    kernel_looping: bool = False
    seed: int = 0
    effort: int = 32
    tiers: PyMapping[str, str] = field(default_factory=dict)
    spill: SpillOrder = SpillOrder.TRANSFER


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One unit: tile of the socket, row and column in the tile's mesh (also its switch)."""

    tile: int
    row: int
    col: int
    kind: SiteKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The sites of a stage."""

    stage: str
    pcus: tuple[Site, ...]
    pmus: tuple[Site, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Net:
    """One share of a tile on its way: a tree of links on one hardware tile, from one switch to all `targets`.

    `source`: the switch where it starts, at a unit, or at the head of the port by which it comes in. `targets`:
    switches of the units that take it; of a net that only goes out, the tail of its port. `links`: numbers of the links
    and ports, each after the one that feeds it. `bytes`: of one tile of the stream; every link of the tree carries them
    once.
    """

    source: int
    targets: tuple[int, ...]
    links: tuple[int, ...]
    bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SramRange:
    """Bytes [offset, offset + size) in each PMU of `stage` that hold copy `copy` of a flow's buffer.

    A double-buffered stream has copies 0 and 1: one is written while the other is read. They conflict where they
    share a bank (bank = offset // (capacity / banks)).
    """

    flow: str
    stage: str
    copy: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The path of a stream (or of a load or store, between the AGCUs and its stage) as a tree of mesh links.

    `hops`: switches on the longest way, the one between the stage's own PCUs and PMUs included. `links`: numbers of the
    mesh links and ports used (see `mapping.mesh`), and `tile_load` the bytes that one tile of the stream puts on each.
    `die_crossing_bytes`, `tln_bytes`: of one tile, over the links between dies and on the TLN. `nets`: the same, share
    by share. `sequenced`: shares of several sources meet at one target, which puts them in order by sequence ids.
    """

    stream: str
    hops: int
    links: tuple[int, ...]
    tile_load: tuple[float, ...]
    die_crossing_bytes: float
    tln_bytes: float
    nets: Sequence[Net] = ()
    sequenced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedSection:
    """A section with its sites and routes.

    `link_load`: bytes on the most loaded mesh link in one execution, one of the `vector_links` parallel ones, and
    `busiest_link` its number. `claimed`: cycles of one execution that stages and memories ask for, each alone.
    `slowdown`: how much longer the busiest link takes than that, at least 1: above 1 the section could not be routed at
    the claimed rate. `sram`: by flow, where its buffer lies in the PMUs that hold it.
    """

    section: Section
    placements: tuple[Placement, ...]
    routes: PyMapping[str, Route]
    link_load: float
    busiest_link: int = -1
    claimed: float = 0.0
    slowdown: float = 1.0
    sram: PyMapping[str, tuple[SramRange, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """The place of a buffer in an off-chip tier: an address range of one socket.

    Of a buffer with a part for each repeat of its block it holds `repeats` parts, those from `first` on. What the tier
    could not take lies in the `further` pieces, each in a tier further away, in the order of repeats.
    """

    buffer: str
    tier: str
    offset: Bytes
    size: Bytes
    first: int = 0
    repeats: int = 1
    further: tuple[Allocation, ...] = ()

    @property
    def pieces(self) -> tuple[Allocation, ...]:
        """Itself and what lies further away."""
        return (self, *self.further)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One entry of the schedule: a section started `times` in a row, from its repeat `first` on.

    Throughout an entry the parts of the section's buffers lie in the same tiers (`mapping.pieces`). Entries of one
    `group` take turns. `program_loads`: how many of these starts must load the program first. `prefetch`: the next
    start's weights run ahead while this one drains (kernel looping).
    """

    section: int
    times: int
    orchestration: Orchestration
    program_loads: int
    prefetch: bool
    first: int = 0
    group: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """A program in its place on one socket of a machine."""

    program: Program
    sections: tuple[MappedSection, ...]
    allocations: PyMapping[str, Allocation]
    launches: tuple[Launch, ...]
    peak_bytes: PyMapping[str, Bytes]


Flow = Stream | MemoryStream


def flows_of(section: Section) -> tuple[Flow, ...]:
    """Everything that has a route: streams, then loads, then stores."""
    return (*section.streams, *section.loads, *section.stores)
