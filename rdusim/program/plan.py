"""One candidate section: a run of stages under a cut, with its buffers, rough widths and estimated time.

The search (`fuse`) makes thousands of these; `build` turns the chosen ones into sections.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from rdusim.program.budget import Budget
from rdusim.program.sketch import Edge, Sketch
from rdusim.program.tile import Cut
from rdusim.program.width import Demand, Floats, rough
from rdusim.timing import p2p
from rdusim.timing import pcu as pcu_timing
from rdusim.timing import pmu as pmu_timing
from rdusim.timing.work import SimdWork

WINDOWED = 0.8  # of the SRAM, where loads only run ahead: the rest is for PMUs that feed PCUs
WRITING = 0.25  # of a period, in which a stage's tile must be in its PMUs: writing is on the way round of every credit
LEAST_WINDOW = 64 * 1024  # bytes in front of a stage through which a load that does not fit is streamed


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedLoad:
    """An edge from memory: `tiles` parts of `tile_bytes`, running ahead into `prefetch` bytes of PMU."""

    edge: Edge
    tiles: int
    tile_bytes: int
    prefetch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStream:
    """An edge between stages: parts of `tile_bytes`, a buffer of `depth` of them."""

    edge: Edge
    tiles: int
    tile_bytes: int
    depth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Stages first .. end-1 of a block as one section. `seconds`: one execution, without launch."""

    first: int
    end: int
    cut: Cut
    loads: tuple[PlannedLoad, ...]
    streams: tuple[PlannedStream, ...]
    stored: tuple[str, ...]
    sram: tuple[int, ...]  # bytes of each stage's PMUs
    demands: tuple[Demand, ...]
    pcus: float
    pmus: int
    agcu_streams: int
    seconds: float


def plan(sketch: Sketch, first: int, end: int, cut: Cut, budget: Budget, share: float = 1.0) -> Plan | None:
    """Buffers, widths and time of a candidate, with `share` of the PCUs; None where a budget is exceeded."""
    inside = [edge for edge in sketch.edges if first <= edge.target < end]
    streams = _streams([edge for edge in inside if edge.source >= first], cut, _levels(inside, first, end), first)
    loads = [_load(edge, cut) for edge in inside if edge.source < first]
    stored = tuple(
        tensor for group in sketch.groups[first:end] for tensor in group.made if sketch.last_reader.get(tensor, -1) >= end
    )
    fixed = [0] * (end - first)
    for stream in streams:
        fixed[stream.edge.source - first] += stream.tile_bytes * stream.depth
    for tensor in stored:
        maker = next(group.index for group in sketch.groups[first:end] if tensor in group.made)
        fixed[maker - first] += min(2, cut.tiles) * ceil(sketch.graph.tensors[tensor].bytes / cut.tiles)
    fitted = _fit(loads, sum(fixed), cut, budget)
    if fitted is None or len(loads) + len(stored) > budget.contexts:
        return None
    for load in fitted:
        fixed[load.edge.target - first] += load.prefetch
    demands = tuple(sketch.demand(group, cut, budget.arch.socket.tile.pcu) for group in range(first, end))
    found = _widths(demands, streams, fitted, fixed, first, cut, budget, share)
    if found is None:
        return None
    widths, pmus = found
    if cut.tiles > 1:
        streams = _deepen(sketch, first, cut, streams, demands, widths, fixed, pmus, budget)
        pmus = sum(pmus_for(fixed, widths, demands, streams, fitted, first, cut.tiles, budget))
    cycles = _cycles(sketch, first, end, cut, fitted, streams, stored, demands, widths, budget)
    return Plan(
        first=first,
        end=end,
        cut=cut,
        loads=tuple(fitted),
        streams=tuple(streams),
        stored=stored,
        sram=tuple(fixed),
        demands=demands,
        pcus=float(widths.sum()),
        pmus=pmus,
        agcu_streams=sum(_all_streams(sketch, fitted, stored, cut, budget)),
        seconds=cycles / budget.arch.socket.clock,
    )


def pmus_for(
    sram: Sequence[int],
    widths: Sequence[float] | Floats,
    demands: Sequence[Demand],
    streams: Sequence[PlannedStream],
    loads: Sequence[PlannedLoad],
    first: int,
    tiles: int,
    budget: Budget,
) -> list[int]:
    """PMUs of each stage: bytes it holds, or vector streams that its buffers must take or feed at once, the larger."""
    tile = budget.arch.socket.tile
    feeds = [1] * len(sram)
    period = max((each.cycles / max(1.0, width) for each, width in zip(demands, widths, strict=True)), default=0.0)
    if tiles > 1 and period > 0.0:  # what a stage writes for one tile must be in its PMUs within a period
        written = [0] * len(sram)
        for stream in streams:
            written[stream.edge.source - first] += stream.tile_bytes
        feeds = [max(1, ceil(size / tile.pmu.write_bytes_per_cycle / (WRITING * period))) for size in written]
    bank = tile.pmu.capacity // tile.pmu.banks
    most = max(1, budget.pmus // 8)
    for load in loads:  # as many write ports as the memory's rate needs, unless operand or machine are small
        ports = min(most, ceil(budget.memory_rate / tile.pmu.write_bytes_per_cycle), ceil(load.tile_bytes / bank))
        feeds[load.edge.target - first] = max(feeds[load.edge.target - first], ports)
    moving = [1] * len(sram)
    for index, (each, width) in enumerate(zip(demands, widths, strict=True)):
        if not each.work:
            continue
        rows, columns = pcu_timing.operand_streams(each.work[0], max(1, round(width)), tile.pcu)
        moving[index] = rows
        feeds[index] = max(feeds[index], rows if isinstance(each.work[0], SimdWork) else columns)
    for stream in streams:  # the buffer of a stream feeds the moving operand of its target
        source = stream.edge.source - first
        if not stream.edge.resident:
            feeds[source] = max(feeds[source], moving[stream.edge.target - first])
    return [pmu_timing.units(size, count, tile.pmu) for size, count in zip(sram, feeds, strict=True)]


def agcu_streams(transfers: Sequence[tuple[int, int]], budget: Budget) -> list[int]:
    """AGCU contexts of transfers (bytes, contiguous bytes); less in proportion where there are not enough, never under one."""
    wanted = [budget.agcus_for(size, row) for size, row in transfers]
    share = min(1.0, (budget.contexts // 2) / max(1, sum(wanted)))
    return [max(1, int(count * share)) for count in wanted]


def contiguous(load: PlannedLoad) -> int:
    """Bytes in a row in memory."""
    return max(1, min(load.edge.row_bytes, load.tile_bytes))


def _all_streams(
    sketch: Sketch, loads: Sequence[PlannedLoad], stored: Sequence[str], cut: Cut, budget: Budget
) -> list[int]:
    sizes = [(int(sketch.graph.tensors[name].bytes), ceil(sketch.graph.tensors[name].bytes / cut.tiles)) for name in stored]
    coming = agcu_streams([(load.tile_bytes * load.tiles, contiguous(load)) for load in loads], budget)
    return coming + agcu_streams(sizes, budget)


def _widths(
    demands: Sequence[Demand],
    streams: Sequence[PlannedStream],
    loads: Sequence[PlannedLoad],
    sram: Sequence[int],
    first: int,
    cut: Cut,
    budget: Budget,
    share: float,
) -> tuple[Floats, int] | None:
    """Rough widths whose PMU bandwidth fits too, and the PMUs they take."""
    high = share
    best: tuple[Floats, int] | None = None
    low = 0.0
    for _ in range(6):  # PMUs that hold bytes are given; those that feed PCUs follow the share of the PCUs
        widths = rough(demands, cut.tiles, budget.pcus * share)
        if widths is None:
            return best
        needed = sum(pmus_for(sram, widths, demands, streams, loads, first, cut.tiles, budget))
        if needed <= budget.pmus:
            best, low = (widths, needed), share
            if share >= 0.95 * high:
                return best
        else:
            high = share
        share = 0.98 * high if low >= 0.9 * high else (low + high) / 2
    return best


def _deepen(
    sketch: Sketch,
    first: int,
    cut: Cut,
    streams: Sequence[PlannedStream],
    demands: Sequence[Demand],
    widths: Floats,
    sram: list[int],
    pmus: int,
    budget: Budget,
) -> list[PlannedStream]:
    """Buffers deep enough that no credit's way round holds up the slowest stage, as far as PMUs are left.

    `sram` grows by what is added.
    """
    services, depths = stage_times(sketch, first, cut, demands, widths, budget)
    period = max(services, default=0.0)
    spare = (budget.pmus - pmus) * budget.arch.socket.tile.pmu.capacity // 2  # half: stages round up to whole PMUs
    deeper = []
    for stream in streams:
        made, used = stream.edge.source - first, stream.edge.target - first
        around = services[made] + depths[made] + budget.hop_latency + services[used] + depths[used]
        needed = ceil(1.1 * around / period) if period > 0.0 else 1
        extra = (min(needed, stream.tiles) - stream.depth) * stream.tile_bytes
        if not stream.edge.resident and stream.tiles > 1 and 0 < extra <= spare:
            spare -= extra
            sram[made] += extra
            stream = replace(stream, depth=min(needed, stream.tiles))
        deeper.append(stream)
    return deeper


def stage_times(
    sketch: Sketch, first: int, cut: Cut, demands: Sequence[Demand], widths: Floats, budget: Budget
) -> tuple[list[float], list[float]]:
    """Cycles between tiles, and besides for one tile, of every stage of a run."""
    pcu, clock = budget.arch.socket.tile.pcu, budget.arch.socket.clock
    services, depths = [], []
    for index, (each, width) in enumerate(zip(demands, widths.tolist(), strict=True)):
        service, depth = 0.0, 0.0
        if each.work:
            service = each.cycles / max(width, 1.0)
            depth = float(pcu_timing.fill(each.work[0], max(1, int(width)), pcu))
        elif (work := sketch.collective(first + index, cut)) is not None:
            time = p2p.collective(work.kind, work.participants, work.size, budget.arch)
            service, depth = time.occupied * clock, time.latency * clock
        services.append(service)
        depths.append(depth)
    return services, depths


def _levels(edges: Sequence[Edge], first: int, end: int) -> list[int]:
    """Stages on the longest way to each stage."""
    level = [0] * (end - first)
    for edge in sorted(edges, key=lambda edge: edge.target):
        if edge.source >= first:
            level[edge.target - first] = max(level[edge.target - first], level[edge.source - first] + 1)
    return level


def _streams(edges: Sequence[Edge], cut: Cut, level: Sequence[int], first: int) -> list[PlannedStream]:
    """A buffer holds two tiles, and one more for every stage that a shortcut skips; all of a resident operand."""
    planned = []
    for edge in edges:
        tiles = cut.of(edge.flows)
        size = max(1, ceil(edge.size / tiles))
        if edge.resident:
            parts = cut.of(edge.held)
            depth = ceil(edge.size / parts * min(2, parts) / size)
        else:
            depth = min(tiles, 1 + level[edge.target - first] - level[edge.source - first])
        planned.append(PlannedStream(edge=edge, tiles=tiles, tile_bytes=size, depth=max(1, depth)))
    return planned


def _load(edge: Edge, cut: Cut) -> PlannedLoad:
    tiles = cut.of(edge.held)
    size = ceil(edge.size / tiles)
    return PlannedLoad(edge=edge, tiles=tiles, tile_bytes=size, prefetch=size * min(2, tiles))


def _fit(loads: Sequence[PlannedLoad], fixed: int, cut: Cut, budget: Budget) -> list[PlannedLoad] | None:
    """Shrink the space in front of loads until all fits: largest first.

    With one tile a shorter window costs nothing but head start. With more, an operand that does not stay must be
    streamed again for every tile.
    """
    spare = 0.92 * budget.sram  # whole PMUs per stage: some of their bytes are lost to rounding
    fitted = list(loads)
    total = fixed + sum(load.prefetch for load in fitted)
    if total <= spare:
        return fitted
    if cut.tiles == 1:
        room = WINDOWED * budget.sram - fixed
        wanted = sum(load.prefetch for load in fitted)
        if room < LEAST_WINDOW * len(fitted):
            return None
        share = room / wanted
        return [_window(load, max(min(load.prefetch, LEAST_WINDOW), int(load.prefetch * share)), 1) for load in fitted]
    for index in sorted(range(len(fitted)), key=lambda at: -fitted[at].prefetch):
        load = fitted[index]
        if load.edge.resident and load.prefetch > LEAST_WINDOW * 16:
            fitted[index] = _window(load, LEAST_WINDOW * 16, cut.tiles // load.tiles)
            total -= load.prefetch - LEAST_WINDOW * 16
            if total <= spare:
                return fitted
    return None


def _window(load: PlannedLoad, prefetch: int, again: int) -> PlannedLoad:
    return PlannedLoad(edge=load.edge, tiles=load.tiles * again, tile_bytes=load.tile_bytes, prefetch=prefetch)


def _cycles(
    sketch: Sketch,
    first: int,
    end: int,
    cut: Cut,
    loads: Sequence[PlannedLoad],
    streams: Sequence[PlannedStream],
    stored: Sequence[str],
    demands: Sequence[Demand],
    widths: Floats,
    budget: Budget,
) -> float:
    """First tile along the longest way, loads arriving in order of use, then the slowest of stages and memory for each further one."""
    count = end - first
    ready = [0.0] * count
    leaving = sum(ceil(sketch.graph.tensors[name].bytes / cut.tiles) for name in stored) / budget.memory_rate
    with_tiles = sum(load.tile_bytes * load.tiles for load in loads if load.tiles > 1) / cut.tiles
    loaded, period = budget.memory_latency, with_tiles / budget.memory_rate + leaving
    moved = sum(load.tile_bytes * load.tiles for load in loads) + sum(int(sketch.graph.tensors[name].bytes) for name in stored)
    arrivals = [0.0] * count
    for load in sorted(loads, key=lambda load: load.edge.target):
        loaded = type(loaded)(loaded + load.tile_bytes / budget.memory_rate)
        at = load.edge.target - first
        arrivals[at] = max(arrivals[at], loaded)
    after: list[list[int]] = [[] for _ in range(count)]
    for stream in streams:
        after[stream.edge.target - first].append(stream.edge.source - first)
    finish = 0.0
    services, depths = stage_times(sketch, first, cut, demands, widths, budget)
    for index in range(count):
        start = max((ready[source] for source in after[index]), default=0.0) + budget.hop_latency
        service, depth = services[index], depths[index]
        fires = cut.of(stage_flows(sketch, first + index))
        # Two tiles at a time are under way in a stage: one enters where the one before the last has left.
        period = max(period, service * fires / cut.tiles, (service + depth) / 2 if fires > 1 else 0.0)
        ready[index] = max(start + service + depth, arrivals[index] + min(service, 64.0) + depth)
        finish = max(finish, ready[index])
    if cut.tiles > 1:  # a place of a buffer comes back after the producer, the way and the consumer
        for stream in streams:
            if not stream.edge.resident and stream.tiles > 1:
                made, used = stream.edge.source - first, stream.edge.target - first
                around = services[made] + depths[made] + budget.hop_latency + services[used] + depths[used]
                period = max(period, around / stream.depth)
    memory = budget.memory_latency + moved / budget.memory_rate
    tail = leaving + budget.memory_latency if stored else 0.0
    return max(finish + (cut.tiles - 1) * period + tail, memory)


def stage_flows(sketch: Sketch, group: int) -> frozenset[int]:
    """Flows that pass through a stage: along others it fires once."""
    flows: set[int] = set()
    for operator in sketch.groups[group].operators:
        flows |= sketch.flows.operators[operator.name].through
    return frozenset(flows)
