"""The machine: frozen, in SI units and cycles. `load` builds it; the files of `arch/` have its numbers and sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rdusim.units import Bytes, BytesPerSecond, Cycles, Hertz, Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Pcu:
    """Pattern compute unit: a systolic array or a SIMD pipeline (MICRO'24 sec. IV-A).

    `systolic_rows` x `systolic_cols` is the block of outputs held at once; a cycle feeds
    macs_per_cycle / (rows x cols) steps of the contraction. `vector_bytes` is one input port, a cycle.
    """

    lanes: int
    stages: int
    systolic_rows: int
    systolic_cols: int
    macs_per_cycle: Mapping[str, int]
    vector_ports: int
    vector_bytes: Bytes
    tail_latency: Cycles


@dataclass(frozen=True, slots=True, kw_only=True)
class Pmu:
    """Pattern memory unit: a banked scratchpad with one read and one write vector port."""

    capacity: Bytes
    banks: int
    read_bytes_per_cycle: Bytes
    write_bytes_per_cycle: Bytes
    latency: Cycles


@dataclass(frozen=True, slots=True, kw_only=True)
class Agcu:
    """Address generator and coalescing unit: a tile's door to the top-level network. `streams`: contexts it holds."""

    outstanding_requests: int
    request_size: Bytes
    bytes_per_cycle: Bytes
    streams: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rdn:
    """On-chip mesh of a tile: `vector_links` links of `vector_bytes_per_cycle` each way between neighbour switches."""

    vector_links: int
    vector_bytes_per_cycle: Bytes
    scalar_bytes_per_cycle: Bytes
    hop_cycles: Cycles
    credits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tln:
    """Top-level network of a die: joins AGCUs, memories and sockets' links. Bytes per cycle is the whole network's."""

    bytes_per_cycle: Bytes
    hop_cycles: Cycles


@dataclass(frozen=True, slots=True, kw_only=True)
class DieToDie:
    """Link between the two dies of a socket, per direction."""

    bytes_per_cycle: Bytes
    hop_cycles: Cycles


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One RDU tile: a rows x cols mesh in which PCUs and PMUs alternate like a checkerboard."""

    rows: int
    cols: int
    agcus: int
    pcu: Pcu
    pmu: Pmu
    agcu: Agcu
    rdn: Rdn

    @property
    def pcus(self) -> int:
        """PCUs of the tile: the even squares of the checkerboard."""
        return (self.rows * self.cols + 1) // 2

    @property
    def pmus(self) -> int:
        """PMUs of the tile: the odd squares of the checkerboard."""
        return self.rows * self.cols // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class DramTiming:
    """One channel of a memory: its shape, and the least times between its commands. JEDEC's symbols stand beside.

    Banks lie in `bank_groups` in turn. What is 0 does not bind. tRAS is `row_cycle` - `precharge`; tCCD_S is the time
    of a burst. Latencies count from a column command to its data. `queue`: requests of one direction among which the
    controller chooses; `write_batch`: bytes of writes that it gathers before the bus turns, 0 for a row of every bank.
    """

    burst: Bytes
    row: Bytes
    banks: int
    row_cycle: Seconds  # tRC: ACT to ACT of one bank
    refresh_interval: Seconds  # tREFI
    refresh_time: Seconds  # tRFC, all banks
    bank_groups: int = 1
    precharge: Seconds = Seconds(0.0)  # tRP: PRE to ACT
    row_to_column: Seconds = Seconds(0.0)  # tRCD: ACT to RD or WR
    column_same_group: Seconds = Seconds(0.0)  # tCCD_L: column to column in one bank group
    row_to_row: Seconds = Seconds(0.0)  # tRRD_S: ACT to ACT of other bank groups
    row_to_row_same_group: Seconds = Seconds(0.0)  # tRRD_L
    four_activates: Seconds = Seconds(0.0)  # tFAW: window of four ACT
    read_to_precharge: Seconds = Seconds(0.0)  # tRTP
    write_recovery: Seconds = Seconds(0.0)  # tWR: last written data to PRE
    read_latency: Seconds = Seconds(0.0)  # CL
    write_latency: Seconds = Seconds(0.0)  # CWL
    write_to_read: Seconds = Seconds(0.0)  # tWTR_L: last written data to RD
    read_to_write: Seconds = Seconds(0.0)  # tRTW, what of it lies between the data of a read and of a write
    queue: int = 64
    write_batch: Bytes = Bytes(0)

    @property
    def batch(self) -> Bytes:
        """Bytes of writes that are gathered before the bus turns."""
        return self.write_batch or Bytes(self.row * self.banks)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryTier:
    """One off-chip memory of a socket. `bandwidth` is the peak over all `channels`, reads and writes together.

    `copy_share`: what a copy of a whole model to or from the nearest tier reaches, of what long streams reach.
    """

    name: str
    capacity: Bytes
    bandwidth: BytesPerSecond
    latency: Seconds
    channels: int
    timing: DramTiming
    copy_share: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Socket:
    """One RDU: dies of tiles, and memory tiers, nearest first. `placeable`: share of units a compiler can fill."""

    clock: Hertz
    dies: int
    tiles_per_die: int
    placeable: float
    tile: Tile
    tln: Tln
    die_to_die: DieToDie
    memory: tuple[MemoryTier, ...]

    @property
    def tiles(self) -> int:
        return self.dies * self.tiles_per_die

    @property
    def pcus(self) -> int:
        return self.tiles * self.tile.pcus

    @property
    def pmus(self) -> int:
        return self.tiles * self.tile.pmus

    @property
    def agcus(self) -> int:
        return self.tiles * self.tile.agcus

    @property
    def sram(self) -> Bytes:
        """Bytes of all PMUs."""
        return Bytes(self.pmus * self.tile.pmu.capacity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A socket-to-socket link, per direction."""

    bandwidth: BytesPerSecond
    latency: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A link of a custom layout, each way. `name`: the two nodes it joins, such as 0-1. None: as `system.link`."""

    name: str
    bandwidth: BytesPerSecond | None = None
    latency: Seconds | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How sockets are joined: `kind` names an entry of arch.layout; the other fields belong to one kind each.

    torus: `dims`, such as 4x4. two_level: `node` sockets each, joined as `inner`; each socket with its counterparts in
    the other nodes, at most `nodes` of them, as `outer`, over `outer_link` (None: as `system.link`), which takes
    `outer_ports` ports. custom: `links`; `switches` are the nodes behind the sockets.
    """

    kind: str
    dims: str | None = None
    node: int | None = None
    nodes: int | None = None
    inner: str = "full_mesh"
    outer: str = "ring"
    outer_link: Link | None = None
    outer_ports: int = 1
    switches: int | None = None
    links: tuple[Edge, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The x86 host: its link to each socket."""

    bandwidth: BytesPerSecond
    latency: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """Sockets and how they are joined. `link`: one edge of the layout. `ports`: of a socket, if known."""

    sockets: int
    topology: Layout
    link: Link
    host: Host
    ports: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchCosts:
    """What starting a section costs (MICRO'24 sec. IV-D: program load, argument load, kernel execute).

    Host-orchestrated: the host spends `host_call` and sends `program_bytes_per_unit` for every configured unit over
    its link while the section before runs; then the units load it (`program_load_bandwidth`), arguments (addresses and
    counts) are loaded for every AGCU stream, and the section executes. Hardware-orchestrated: no host; a repeated
    section keeps its program.
    """

    program_bytes_per_unit: Bytes
    program_load_bandwidth: BytesPerSecond
    argument_bytes_per_stream: Bytes
    execute: Seconds
    host_call: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Arch:
    """A whole machine: what `load_arch` returns."""

    name: str
    socket: Socket
    system: System
    launch: LaunchCosts
