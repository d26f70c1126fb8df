"""A small simulated run made by hand: one section of two stages, 4 times, and one that moves to a far memory."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rdusim.arch.load import load_arch
from rdusim.arch.types import Arch
from rdusim.graph.types import Compute, OperatorGraph, TensorType
from rdusim.mapping.types import (
    Allocation,
    Launch,
    MappedSection,
    Mapping,
    Orchestration,
    Placement,
    Route,
    Site,
    SiteKind,
)
from rdusim.program.types import (
    Buffer,
    CollectiveWork,
    Fusion,
    MemoryStream,
    Parallelism,
    Program,
    Section,
    Stage,
    Stream,
)
from rdusim.report.summarize import known_setting, summarize
from rdusim.report.types import Report
from rdusim.sim.trace import Activity, SectionTiming, Spans, StageTiming, StreamTiming, Trace
from rdusim.units import Bytes, BytesPerSecond, Cycles, Hertz

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "chromium-headless-shell")
GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compare text with tests/golden/NAME; UPDATE_GOLDEN=1 writes it instead."""

    def compare(name: str, text: str) -> None:
        file = GOLDEN / name
        plain = "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
        if os.environ.get("UPDATE_GOLDEN"):
            file.write_text(plain, encoding="utf-8")
        assert plain == file.read_text(encoding="utf-8")

    return compare


@pytest.fixture
def arch() -> Arch:
    """Two sockets with round numbers: 1 MHz, 4 + 4 units, 1 MB/s HBM and 0.1 MB/s DDR."""
    machine = load_arch("sn40l")
    hbm, ddr = machine.socket.memory
    tile = replace(machine.socket.tile, rows=2, cols=4)
    pmu = replace(tile.pmu, capacity=Bytes(1000))
    pcu = replace(tile.pcu, macs_per_cycle={"bf16": 128})
    socket = replace(
        machine.socket,
        clock=Hertz(1e6),
        dies=1,
        tiles_per_die=1,
        tile=replace(tile, pmu=pmu, pcu=pcu),
        memory=(
            replace(hbm, capacity=Bytes(10_000), bandwidth=BytesPerSecond(1e6)),
            replace(ddr, capacity=Bytes(100_000), bandwidth=BytesPerSecond(1e5)),
        ),
    )
    return replace(machine, name="tiny", socket=socket, system=replace(machine.system, sockets=2))


@pytest.fixture
def graph() -> OperatorGraph:
    return OperatorGraph(
        name="toy", operators=(), tensors={"w": TensorType(shape=(4, 4), dtype="bf16")}, blocks=(), batch=2, tokens=2
    )


def load(name: str, buffer: str, stage: str, size: int) -> MemoryStream:
    return MemoryStream(
        name=name,
        buffer=buffer,
        stage=stage,
        tile_bytes=Bytes(size),
        tiles=1,
        prefetch=Bytes(size),
        agcus=1,
        contiguous=Bytes(64),
    )


@pytest.fixture
def program() -> Program:
    product = Stage(
        name="qkv", operators=("q", "k"), compute=Compute.SYSTOLIC, tile_shape={"m": 1, "n": 8}, tiles=2, pcus=2,
        pmus=2, sram=Bytes(600),
    )  # fmt: skip
    reduce = Stage(
        name="sum", operators=("all_reduce",), compute=Compute.COLLECTIVE, tile_shape={"m": 1}, tiles=2, pcus=1, pmus=1,
        collective=CollectiveWork(kind="all_reduce", participants=2, size=Bytes(16)), sram=Bytes(100),
    )  # fmt: skip
    stream = Stream(
        name="qkv>sum", tensor="y", source="qkv", target="sum", tile_bytes=Bytes(16), tiles=2, depth=2, multicast=True
    )
    decoder = Section(
        name="decoder", stages=(product, reduce), streams=(stream,), loads=(load("load w", "w", "qkv", 800),),
        stores=(), tiles=2, repeats=4, flops=1e6,
    )  # fmt: skip
    head = Section(
        name="head", stages=(replace(product, name="logits"),), streams=(), loads=(load("load e", "e", "logits", 200),),
        stores=(), tiles=2, repeats=1, flops=1e6,
    )  # fmt: skip
    return Program(
        name="toy",
        sections=(decoder, head),
        order=(((0,), 4), ((1,), 1)),
        buffers=(
            Buffer(
                name="w",
                size=Bytes(3200),
                role="weight",
                first_use=0,
                last_use=0,
                transfer_bytes=Bytes(3200),
                resident=True,
            ),
        ),
        parallelism=Parallelism(tp=2),
        batch=2,
        tokens=2,
        flops=1e7,
        fusion=Fusion.FUSED,
    )


@pytest.fixture
def mapping(program: Program) -> Mapping:
    def place(stage: Stage, row: int) -> Placement:
        return Placement(
            stage=stage.name,
            pcus=tuple(
                Site(tile=0, row=row, col=2 * index + row % 2, kind=SiteKind.PCU) for index in range(stage.pcus)
            ),
            pmus=tuple(
                Site(tile=0, row=row, col=2 * index + 1 - row % 2, kind=SiteKind.PMU) for index in range(stage.pmus)
            ),
        )

    route = Route(stream="qkv>sum", hops=3, links=(1, 2), tile_load=(16.0, 16.0), die_crossing_bytes=0.0, tln_bytes=0.0)
    return Mapping(
        program=program,
        sections=tuple(
            MappedSection(
                section=section,
                placements=tuple(place(stage, row) for row, stage in enumerate(section.stages)),
                routes={"qkv>sum": route} if section.streams else {},
                link_load=32.0 if section.streams else 0.0,
            )
            for section in program.sections
        ),
        allocations={"w": Allocation(buffer="w", tier="hbm", offset=Bytes(0), size=Bytes(3200))},
        launches=tuple(
            Launch(
                section=index,
                times=section.repeats,
                orchestration=Orchestration.HARDWARE,
                program_loads=1,
                group=index,
                prefetch=False,
            )
            for index, section in enumerate(program.sections)
        ),
        peak_bytes={"hbm": Bytes(3200), "ddr": Bytes(500)},
    )


def timing(name: str, repeats: int, tier: str, size: float) -> SectionTiming:
    """1,000 cycles an execution and 100 in front; 800 of them stream."""
    stages = (
        StageTiming(name="qkv", interval=Cycles(400), busy=Cycles(700), start=Cycles(50), end=Cycles(900), bound="hbm"),
    )
    stream = StreamTiming(
        name="load w",
        tier=tier,
        rate=size / 800,
        bytes=size,
        start=Cycles(0),
        end=Cycles(800),
        written=False,
        bound=tier,
    )
    return SectionTiming(
        name=name,
        repeats=repeats,
        cycles=Cycles(1100 * repeats),
        execution_cycles=Cycles(1000),
        launch_cycles=Cycles(100),
        streaming_cycles=Cycles(800),
        breakdown={cause: Cycles(each * repeats) for cause, each in (("compute", 200), (tier, 800), ("launch", 100))},
        bounds={"pcu": Cycles(350), tier: Cycles(800), "p2p": Cycles(20)},
        bottleneck=tier,
        stages=stages,
        streams=(stream,),
    )


@pytest.fixture
def trace() -> Trace:
    spans = Spans(
        names=("qkv", "load w"),
        kinds=("stage", "load"),
        tiers=("hbm", "ddr"),
        start=np.array([50.0, 0.0, 50.0]),
        end=np.array([900.0, 800.0, 900.0]),
        name=np.array([0, 1, 0], dtype=np.int32),
        section=np.array([0, 0, 1], dtype=np.int32),
        activity=np.array([Activity.COMPUTE, Activity.LOAD, Activity.COMPUTE], dtype=np.int8),
        tier=np.array([-1, 0, -1], dtype=np.int8),
        bytes=np.array([0.0, 800.0, 0.0]),
    )
    return Trace(
        engine="steady",
        clock=Hertz(1e6),
        cycles=Cycles(5500),
        sections=(timing("decoder", 4, "hbm", 800.0), timing("head", 1, "ddr", 20.0)),
        spans=spans,
        read_bytes={"hbm": 3200.0, "ddr": 20.0},
        written_bytes={"hbm": 0.0},
        peak_bytes={"hbm": 3200, "ddr": 500},
    )


@pytest.fixture
def report(trace: Trace, mapping: Mapping, graph: OperatorGraph, arch: Arch) -> Report:
    known = known_setting(trace, mapping, graph, arch)
    return summarize(trace, mapping, graph, arch, replace(known, phase="decode", context_tokens=64))


@pytest.fixture
def chromium() -> str:
    pytest.importorskip("playwright.sync_api", reason="needs Playwright's Python client: pip install playwright")
    if (found := next(filter(None, map(shutil.which, BROWSERS)), None)) is None:
        pytest.skip(f"no Chromium on the PATH (looked for {', '.join(BROWSERS)})")
    return found


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody answers on: bound, so that nobody else can take it, and not listening."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
