"""What is asked of the machine: sections of pipelined stages, the streams between them, and buffers in memory.

All quantities are those of one socket: under tensor parallelism every socket runs the same program on its shard.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from rdusim.graph.types import Compute
from rdusim.timing.work import Work
from rdusim.units import Bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectiveWork:
    """What a COLLECTIVE stage moves for one tile, between `participants` sockets. `size`: bytes of the whole result.

    Members are sockets first, first + stride, first + 2 stride ...; all groups of that form do the same at once.
    """

    kind: str  # all_reduce | all_gather | reduce_scatter ... (net/collectives)
    participants: int
    size: Bytes
    stride: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Operators that fire together on one tile. `tiles` firings make one execution of the section.

    `pcus` of width; `pmus` hold its resident operands and the buffers of the streams that leave it.
    `tile_shape`: extents of the first operator's dimensions within one tile.
    `made`: tensors that it produces; its other operators are layouts, a way of reading. `loops`: the loops of the
    section (`Section.loops`) along which it fires, outermost first. `labels`: for each operator, (label, loop) of the
    dimensions that are cut; part i of n of an extent e is [i c, min(e, (i + 1) c)) with c = ceil(e / n).
    """

    name: str
    operators: tuple[str, ...]
    compute: Compute
    tile_shape: Mapping[str, int]
    tiles: int
    pcus: int
    pmus: int
    work: tuple[Work, ...] = ()
    collective: CollectiveWork | None = None
    sram: Bytes = Bytes(0)
    made: tuple[str, ...] = ()
    loops: tuple[int, ...] = ()
    labels: Mapping[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Tiles of one tensor from a stage to a later one of the same section, through a buffer of `depth` tiles.

    depth 2 is double-buffered. `multicast`: the moving operand of a GEMM, cut into `parts`, each of which every PCU
    of one part of the target reads (a row of its grid), `resends` times, as a PCU keeps no operand; otherwise the
    tile is spread over the PCUs. `resident`: the buffer keeps what has come for as long as the target needs it (keys
    and values of earlier tokens).
    `axes`: (axis of the tensor, loop of the section that cuts it); a tile for every index of these loops, in order.
    `held`: of these loops, those along which a tile takes the place of the one before; along the others the buffer
    keeps what has come.
    """

    name: str
    tensor: str
    source: str
    target: str
    tile_bytes: Bytes
    tiles: int
    depth: int
    multicast: bool = False
    parts: int = 1
    resends: int = 1
    resident: bool = False
    axes: tuple[tuple[int, int], ...] = ()
    held: tuple[int, ...] = ()

    @property
    def sent_bytes(self) -> int:
        """Bytes that leave the buffer for one tile."""
        return self.tile_bytes * self.resends


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryStream:
    """A stream between a buffer in off-chip memory and a stage: a load (memory to PMUs) or a store.

    `tiles` 1: once per execution of the section, of everything (a resident operand); otherwise one part per tile.
    `prefetch`: bytes of PMU space in front of the stage into which a load may run ahead. `agcus`: AGCU contexts used.
    `contiguous`: bytes in a row in memory (row hits, request size).
    `loops`: a part for every index of these loops of the section, in order. `axes`: (axis of the tensor, loop that cuts
    it); along loops that cut no axis the same is moved again. `after`: the stage of the section that finds the indices
    of a gathered load, which cannot be asked for before; empty where they are known when the section starts.
    """

    name: str
    buffer: str
    stage: str
    tile_bytes: Bytes
    tiles: int
    prefetch: Bytes
    agcus: int
    contiguous: Bytes
    gathered: bool = False
    moving: bool = False  # the moving operand of a GEMM: a part must have come as a whole
    after: str = ""
    tensor: str | None = None  # what is stored, where it takes the place of the buffer's earlier content (an update)
    loops: tuple[int, ...] = ()
    axes: tuple[tuple[int, int], ...] = ()

    @property
    def bytes(self) -> int:
        """Bytes of one execution of the section."""
        return self.tile_bytes * self.tiles

    @property
    def sent_bytes(self) -> int:
        """Bytes of one tile on the way."""
        return self.tile_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffer:
    """A symbol in off-chip memory, all repeats together. Uses count sections in program order.

    `repeats`: equal parts that it consists of, one for each repeat of its block.
    """

    name: str
    size: Bytes
    role: str  # WEIGHT | CONSTANT | KV_CACHE | INPUT | OUTPUT | ACTIVATION (graph.types.Role values)
    first_use: int
    last_use: int
    transfer_bytes: Bytes  # read and written in one run of the program: what a spill would cost
    resident: bool  # lives through the whole run (weights, caches) rather than from first to last use
    repeats: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One kernel: stages that are on the chip together. Launched `repeats` times in a row.

    `backwards`: its first repeat has what the last repeat of other blocks has for itself (`graph.types.Block.own`).
    `loops`: parts of each dimension that is cut, outermost first; `tiles` is their product.
    """

    name: str
    stages: tuple[Stage, ...]
    streams: tuple[Stream, ...]
    loads: tuple[MemoryStream, ...]
    stores: tuple[MemoryStream, ...]
    tiles: int
    repeats: int
    flops: float  # of one execution, on this socket
    carried: Mapping[str, str] = field(default_factory=dict)  # stored buffer -> buffer the next repeat loads
    loops: tuple[int, ...] = ()
    backwards: bool = False

    def own(self, repeat: int) -> int:
        """Which part a repeat has of the buffers that have one for each."""
        return self.repeats - 1 - repeat if self.backwards else repeat

    @property
    def pcus(self) -> int:
        return sum(stage.pcus for stage in self.stages)

    @property
    def pmus(self) -> int:
        return sum(stage.pmus for stage in self.stages)

    @property
    def agcu_streams(self) -> int:
        """AGCU contexts of all loads and stores."""
        return sum(stream.agcus for stream in (*self.loads, *self.stores))


@dataclass(frozen=True, slots=True, kw_only=True)
class Parallelism:
    """How many ways the model is cut, and how many sockets take part.

    `tp` cuts heads, ffn and vocabulary; `sp` the tokens of a sequence; `ep` the experts of a mixture (and, outside
    them, the sequences of a batch); `dp` the batch; `pp` the layers. In that order neighbours in `tp` are neighbouring
    sockets, members of an `sp` group are `tp` apart, and so on: `stride`.
    """

    tp: int = 1
    pp: int = 1
    ep: int = 1
    dp: int = 1
    sp: int = 1

    @property
    def sockets(self) -> int:
        return self.tp * self.pp * self.ep * self.dp * self.sp

    def stride(self, axis: str) -> int:
        """Distance between neighbours of a group along an axis, in sockets."""
        found = 1
        for name in ("tp", "sp", "ep", "dp", "pp"):
            if name == axis:
                return found
            found *= int(getattr(self, name))
        raise KeyError(axis)


class Fusion(StrEnum):
    """FUSED: sections by search. UNFUSED: one kernel per operator, inputs and results through memory.

    MODULES: one kernel per module or function of the model's code (a norm, a linear layer, scaled dot-product
    attention), fused inside: the coarser baseline of a framework that has such kernels.
    """

    FUSED = "fused"
    MODULES = "modules"
    UNFUSED = "unfused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Sections in the order they run, grouped as `order` says.

    `order`: pairs (sections, times), for example a layer of two sections, 32 times.

    `flops` is the model's, all sockets together; `tokens` what one run consumes or produces.
    """

    name: str
    sections: tuple[Section, ...]
    order: tuple[tuple[tuple[int, ...], int], ...]
    buffers: tuple[Buffer, ...]
    parallelism: Parallelism
    batch: int
    tokens: int
    flops: float
    fusion: Fusion

    @property
    def kernel_launches(self) -> int:
        return sum(section.repeats for section in self.sections)


@dataclass(frozen=True, slots=True, kw_only=True)
class LowerOptions:
    """`parallelism` None: tensor parallelism over the most sockets that divide the model. `sockets` None: all.

    `least_tiles`: cuts into fewer tiles are not tried, where there are finer ones. `replica`: the graph is what one of
    the replicas of data parallelism runs, which then need no word of each other (inference).
    """

    fusion: Fusion = Fusion.FUSED
    sockets: int | None = None
    parallelism: Parallelism | None = None
    cut_after: tuple[str, ...] = ()  # operators behind which a section must end
    least_tiles: int = 1
    replica: bool = False
