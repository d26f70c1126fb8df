"""Small programs and machines for tests of mapping: by hand, and random ones as hypothesis strategies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from hypothesis import strategies as st

from rdusim.arch.load import load_arch
from rdusim.arch.types import Arch
from rdusim.graph.types import Compute
from rdusim.program.types import Buffer, Fusion, MemoryStream, Parallelism, Program, Section, Stage, Stream
from rdusim.units import Bytes

toy = cache(lambda: load_arch("toy"))
sn40l = cache(lambda: load_arch("sn40l"))


def machine(
    *, rows: int = 4, cols: int = 4, agcus: int = 2, dies: int = 1, tiles_per_die: int = 1, vector_links: int = 1
) -> Arch:
    """The toy machine with another mesh."""
    socket = toy().socket
    tile = replace(
        socket.tile, rows=rows, cols=cols, agcus=agcus, rdn=replace(socket.tile.rdn, vector_links=vector_links)
    )
    return replace(toy(), socket=replace(socket, dies=dies, tiles_per_die=tiles_per_die, tile=tile))


def stage(name: str, pcus: int, pmus: int, sram: int = 0) -> Stage:
    return Stage(
        name=name,
        operators=(f"{name}.op",),
        compute=Compute.SIMD,
        tile_shape={},
        tiles=4,
        pcus=pcus,
        pmus=pmus,
        sram=Bytes(sram),
    )


def stream(
    name: str, source: str, target: str, tile_bytes: int = 64, multicast: bool = False, tiles: int = 4
) -> Stream:
    return Stream(
        name=name,
        tensor=name,
        source=source,
        target=target,
        tile_bytes=Bytes(tile_bytes),
        tiles=4,
        depth=2,
        multicast=multicast,
    )


def memory(name: str, of: str, tile_bytes: int = 64, agcus: int = 1, tiles: int = 1) -> MemoryStream:
    return MemoryStream(
        name=name,
        buffer=name,
        stage=of,
        tile_bytes=Bytes(tile_bytes),
        tiles=tiles,
        prefetch=Bytes(tile_bytes),
        agcus=agcus,
        contiguous=Bytes(64),
    )


def section(
    name: str,
    stages: list[Stage],
    repeats: int = 1,
    *,
    streams: Sequence[Stream] = (),
    loads: Sequence[MemoryStream] = (),
    stores: Sequence[MemoryStream] = (),
) -> Section:
    return Section(
        name=name,
        stages=tuple(stages),
        streams=tuple(streams),
        loads=tuple(loads),
        stores=tuple(stores),
        tiles=4,
        repeats=repeats,
        flops=1.0,
    )


def buffer(name: str, size: int, uses: tuple[int, int] | None, transfer: int = 0, role: str = "activation") -> Buffer:
    """Without `uses` it lives through the whole run."""
    first, last = uses or (0, 0)
    return Buffer(
        name=name,
        size=Bytes(size),
        role=role,
        first_use=first,
        last_use=last,
        transfer_bytes=Bytes(transfer),
        resident=uses is None,
    )


def program(
    sections: list[Section],
    order: tuple[tuple[tuple[int, ...], int], ...] | None = None,
    buffers: tuple[Buffer, ...] = (),
) -> Program:
    return Program(
        name="p",
        sections=tuple(sections),
        order=order or tuple(((number,), part.repeats) for number, part in enumerate(sections)),
        buffers=buffers,
        parallelism=Parallelism(),
        batch=1,
        tokens=1,
        flops=1.0,
        fusion=Fusion.FUSED,
    )


@st.composite
def machines(draw: st.DrawFn) -> Arch:
    return machine(
        rows=draw(st.integers(1, 7)),
        cols=draw(st.integers(2, 7)),
        agcus=draw(st.integers(1, 6)),
        dies=draw(st.integers(1, 2)),
        tiles_per_die=draw(st.integers(1, 3)),
        vector_links=draw(st.integers(1, 2)),
    )


@st.composite
def sections(draw: st.DrawFn, arch: Arch, name: str, repeats: int) -> Section:
    """Any split of at most all sites over stages, streams forward in any pattern, loads and stores anywhere."""
    stages = []
    pcus, pmus = arch.socket.pcus, arch.socket.pmus
    for index in range(draw(st.integers(1, 6))):
        wide, deep = draw(st.integers(0, pcus)), draw(st.integers(0, pmus))
        sram = draw(st.integers(0, deep * arch.socket.tile.pmu.capacity))
        stages.append(stage(f"{name}.{index}", wide, deep, sram))
        pcus, pmus = pcus - wide, pmus - deep
    number = st.integers(0, len(stages) - 1)
    streams = []
    for index, (one, other, size, multicast) in enumerate(
        # Whatever one PMU may have to hold fits it: 8 x 2 x 2 KiB + 6 x 4 KiB < 64 KiB.
        draw(st.lists(st.tuples(number, number, st.integers(0, 2048), st.booleans()), max_size=8))
    ):
        if one != other:
            source, target = stages[min(one, other)].name, stages[max(one, other)].name
            streams.append(stream(f"{name}.s{index}", source, target, size, multicast))
    contexts = arch.socket.agcus * arch.socket.tile.agcu.streams
    flows: dict[str, list[MemoryStream]] = {"loads": [], "stores": []}
    for index, (of, size, agcus, kind) in enumerate(
        draw(
            st.lists(
                st.tuples(number, st.integers(0, 4096), st.integers(1, 5), st.sampled_from(["loads", "stores"])),
                max_size=6,
            )
        )
    ):
        if agcus <= contexts:
            contexts -= agcus
            flows[kind].append(memory(f"{name}.m{index}", stages[of].name, size, agcus))
    return section(name, stages, repeats, streams=streams, **flows)


@st.composite
def programs(draw: st.DrawFn, arch: Arch) -> Program:
    count = draw(st.integers(1, 3))
    numbers = list(range(count))
    order: list[tuple[tuple[int, ...], int]] = []
    while numbers:
        size = draw(st.integers(1, len(numbers)))
        order.append((tuple(numbers[:size]), draw(st.integers(1, 4))))
        numbers = numbers[size:]
    repeats = {number: times for group, times in order for number in group}
    made = [draw(sections(arch, f"x{number}", repeats[number])) for number in range(count)]
    use = st.integers(0, count - 1)
    sizes = st.integers(0, min(tier.capacity for tier in arch.socket.memory) // 8)
    roles = st.sampled_from(["weight", "activation", "kv_cache"])
    buffers = tuple(
        buffer(f"b{index}", size, uses, transfer, role)
        for index, (size, uses, transfer, role) in enumerate(
            draw(st.lists(st.tuples(sizes, st.none() | st.tuples(use, use), st.integers(0, 1000), roles), max_size=8))
        )
    )
    return program(made, tuple(order), buffers)
