"""A section written by hand: stages with their work and sites, and what flows between them and memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, get_args

from rdusim.dtypes import DType
from rdusim.graph.readers.document import Document, Node
from rdusim.graph.types import Compute
from rdusim.mapping.types import Placement, Site, SiteKind
from rdusim.program.types import Buffer, Fusion, MemoryStream, Parallelism, Program, Section, Stage, Stream
from rdusim.timing.work import SimdWork, SystolicWork, Work
from rdusim.units import Bytes

DTYPES: Final[tuple[DType, ...]] = get_args(DType)
SIMD: Final = ("elements", "operations", "tails", "passes", "reduction", "dtype")
SYSTOLIC: Final = ("batch", "m", "n", "k", "dtype")
STREAM: Final = ("from", "to", "tile_bytes", "tiles", "depth", "multicast", "parts", "resends", "resident")
MEMORY: Final = ("stage", "tile_bytes", "tiles", "prefetch", "agcus", "contiguous", "gathered", "moving")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """A program of one section, and the sites that its author wants, by stage."""

    program: Program
    sites: Mapping[str, Placement]


def read_section(document: Document, node: Node, name: str) -> Sketch:
    """Everything of a section; what is wrong is told to `document`."""
    top = document.mapping(node, "section", ("tiles", "stages", "streams", "loads", "stores"))
    reader = _Reader(document, _number(document, top.get("tiles"), "section.tiles", 1))
    for stage, entry in document.mapping(top.get("stages"), "section.stages").items():
        reader.stage(stage, entry)
    if not reader.stages:
        document.wrong(top.get("stages", node), "has no stages", field="section.stages")
    for stream, entry in document.mapping(top.get("streams"), "section.streams").items():
        reader.stream(stream, entry)
    loads, stores = (
        tuple(
            reader.memory(flow, entry, kind)
            for flow, entry in document.mapping(top.get(kind), f"section.{kind}").items()
        )
        for kind in ("loads", "stores")
    )
    section = Section(
        name=name,
        stages=tuple(reader.stages.values()),
        streams=tuple(reader.streams),
        loads=loads,
        stores=stores,
        tiles=reader.tiles,
        repeats=1,
        flops=0.0,
    )
    return Sketch(program=_program(section), sites=reader.sites)


def _program(section: Section) -> Program:
    buffers = tuple(
        Buffer(
            name=flow.buffer,
            size=Bytes(flow.bytes),
            role="input" if flow in section.loads else "output",
            first_use=0,
            last_use=0,
            transfer_bytes=Bytes(flow.bytes),
            resident=False,
        )
        for flow in (*section.loads, *section.stores)
    )
    return Program(
        name=section.name,
        sections=(section,),
        order=(((0,), 1),),
        buffers=buffers,
        parallelism=Parallelism(),
        batch=1,
        tokens=1,
        flops=0.0,
        fusion=Fusion.FUSED,
    )


class _Reader:
    def __init__(self, document: Document, tiles: int) -> None:
        self.document, self.tiles = document, tiles
        self.stages: dict[str, Stage] = {}
        self.streams: list[Stream] = []
        self.sites: dict[str, Placement] = {}

    def stage(self, name: str, node: Node) -> None:
        where = f"section.stages.{name}"
        keys = self.document.mapping(node, where, ("tiles", "pcus", "pmus", "sram", "simd", "systolic", "at"))
        work = self._work(keys, where)
        self.stages[name] = Stage(
            name=name,
            operators=(name,),
            compute=Compute.SYSTOLIC if "systolic" in keys else Compute.SIMD if "simd" in keys else Compute.MOVE,
            tile_shape={},
            tiles=self._number(keys.get("tiles"), f"{where}.tiles", self.tiles),
            pcus=self._number(keys.get("pcus"), f"{where}.pcus", 0 if work is None else 1, least=0),
            pmus=self._number(keys.get("pmus"), f"{where}.pmus", 1, least=0),
            work=() if work is None else (work,),
            sram=Bytes(self._number(keys.get("sram"), f"{where}.sram", 0, least=0)),
        )
        if "at" in keys:
            self.sites[name] = self._sites(name, keys["at"], f"{where}.at")

    def _work(self, keys: dict[str, Node], where: str) -> Work | None:
        if "simd" in keys and "systolic" in keys:
            self.document.wrong(keys["simd"], "has two kinds of work", field=where, hint="either simd or systolic")
        if "simd" in keys:
            at = f"{where}.simd"
            given = self.document.mapping(keys["simd"], at, SIMD)
            return SimdWork(
                elements=self._number(given.get("elements"), f"{at}.elements", None, within=keys["simd"]),
                operations=self._number(given.get("operations"), f"{at}.operations", 1),
                tails=self._number(given.get("tails"), f"{at}.tails", 0, least=0),
                passes=self._number(given.get("passes"), f"{at}.passes", 1),
                reduction=self._flag(given.get("reduction"), f"{at}.reduction"),
                dtype=self._dtype(given.get("dtype"), at),
            )
        if "systolic" in keys:
            at = f"{where}.systolic"
            given = self.document.mapping(keys["systolic"], at, SYSTOLIC)
            sizes = {
                side: self._number(
                    given.get(side), f"{at}.{side}", 1 if side == "batch" else None, within=keys["systolic"]
                )
                for side in SYSTOLIC[:-1]
            }
            return SystolicWork(**sizes, dtype=self._dtype(given.get("dtype"), at))
        return None

    def _sites(self, name: str, node: Node, where: str) -> Placement:
        keys = self.document.mapping(node, where, ("pcus", "pmus"))
        found: dict[str, tuple[Site, ...]] = {}
        for kind in ("pcus", "pmus"):
            places = []
            for entry in self.document.sequence(keys.get(kind), f"{where}.{kind}"):
                parts = [
                    self._number(part, f"{where}.{kind}", 0, least=0) for part in self.document.sequence(entry, where)
                ]
                if len(parts) != 3:
                    hint = "write [tile, row, column]"
                    self.document.wrong(entry, "is no site", field=f"{where}.{kind}", hint=hint)
                    parts = [0, 0, 0]
                places.append(Site(tile=parts[0], row=parts[1], col=parts[2], kind=SiteKind(kind.removesuffix("s"))))
            found[kind] = tuple(places)
        return Placement(stage=name, pcus=found["pcus"], pmus=found["pmus"])

    def stream(self, name: str, node: Node) -> None:
        where = f"section.streams.{name}"
        keys = self.document.mapping(node, where, STREAM)
        source, target = (self._stage_name(keys.get(end), f"{where}.{end}", node) for end in ("from", "to"))
        fires = self.stages[source].tiles if source in self.stages else self.tiles
        self._check_tiles(self._number(keys.get("tiles"), f"{where}.tiles", fires), (source, target), node, where)
        self._check_forward(source, target, node, where)
        self.streams.append(
            Stream(
                name=name,
                tensor=name,
                source=source,
                target=target,
                tile_bytes=Bytes(self._number(keys.get("tile_bytes"), f"{where}.tile_bytes", None, within=node)),
                tiles=self._number(keys.get("tiles"), f"{where}.tiles", fires),
                depth=self._number(keys.get("depth"), f"{where}.depth", 2, least=0),
                multicast=self._flag(keys.get("multicast"), f"{where}.multicast"),
                parts=self._number(keys.get("parts"), f"{where}.parts", 1),
                resends=self._number(keys.get("resends"), f"{where}.resends", 1),
                resident=self._flag(keys.get("resident"), f"{where}.resident"),
            )
        )

    def _check_tiles(self, tiles: int, stages: tuple[str, ...], node: Node, where: str) -> None:
        """What fires n times can take or make m tiles only if one of them divides the other."""
        for stage in (self.stages[name] for name in stages if name in self.stages):
            if tiles % stage.tiles and stage.tiles % tiles:
                message = f"has {tiles} tiles, and stage {stage.name!r} fires {stage.tiles} times"
                self.document.wrong(node, message, field=f"{where}.tiles", hint="one must divide the other")

    def _check_forward(self, source: str, target: str, node: Node, where: str) -> None:
        """Stages stand in the order in which tiles pass them."""
        order = list(self.stages)
        if source in order and target in order and order.index(source) >= order.index(target):
            message = f"goes back from {source!r} to {target!r}: such a circle could never begin"
            self.document.wrong(node, message, field=where, hint="list stages in the order in which tiles pass them")

    def memory(self, name: str, node: Node, kind: str) -> MemoryStream:
        where = f"section.{kind}.{name}"
        keys = self.document.mapping(node, where, MEMORY)
        stage = self._stage_name(keys.get("stage"), f"{where}.stage", node)
        fires = self.stages[stage].tiles if stage in self.stages else self.tiles
        size = self._number(keys.get("tile_bytes"), f"{where}.tile_bytes", None, within=node)
        tiles = self._number(keys.get("tiles"), f"{where}.tiles", fires)
        if tiles > 1:
            self._check_tiles(tiles, (stage,), node, where)
        return MemoryStream(
            name=name,
            buffer=name,
            stage=stage,
            tile_bytes=Bytes(size),
            tiles=tiles,
            prefetch=Bytes(self._number(keys.get("prefetch"), f"{where}.prefetch", size * min(2, tiles))),
            agcus=self._number(keys.get("agcus"), f"{where}.agcus", 1),
            contiguous=Bytes(self._number(keys.get("contiguous"), f"{where}.contiguous", size)),
            gathered=self._flag(keys.get("gathered"), f"{where}.gathered"),
            moving=self._flag(keys.get("moving"), f"{where}.moving"),
        )

    def _stage_name(self, node: Node | None, where: str, parent: Node) -> str:
        if node is None:
            self.document.wrong(parent, "is missing", field=where)
            return ""
        return self.document.word(node, where, self.stages, "")

    def _number(
        self, node: Node | None, where: str, default: int | None, *, least: int = 1, within: Node | None = None
    ) -> int:
        return _number(self.document, node, where, default, least, within)

    def _flag(self, node: Node | None, where: str) -> bool:
        return self.document.word(node, where, ("true", "false"), "false") == "true"

    def _dtype(self, node: Node | None, where: str) -> DType:
        value = self.document.word(node, f"{where}.dtype", DTYPES, "bf16")
        return next(dtype for dtype in DTYPES if dtype == value)


def _number(
    document: Document, node: Node | None, where: str, default: int | None, least: int = 1, within: Node | None = None
) -> int:
    """A whole number of at least `least`; where it is missing the default, or a problem if there is none."""
    if node is None:
        if default is None:
            document.wrong(within, "is missing", field=where, hint=f"a whole number of at least {least}")
        return least if default is None else default
    value = document.text(node, where)
    if not (value.isascii() and value.isdigit() and int(value) >= least):
        document.wrong(node, f"{value!r} is no such number", field=where, hint=f"a whole number of at least {least}")
        return least
    return int(value)
