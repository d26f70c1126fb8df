"""Estimated time of a candidate section: the cost by which the search chooses. docs/model.md, "Section estimate".

The first tile along the longest way, loads arriving in order of use; then for each further tile the slowest of
stages, memory and credits. Never less than the memory needs for all bytes.
"""

from __future__ import annotations

from rdusim.program.budget import Budget
from rdusim.program.candidate import Candidate
from rdusim.program.width import Floats
from rdusim.timing import p2p
from rdusim.timing import pcu as pcu_timing

LAST_BANK = 64.0  # cycles in which a stage ends after its last operand has come (the engines read it off the PMUs)


def stage_times(run: Candidate, widths: Floats, budget: Budget) -> tuple[list[float], list[float]]:
    """Cycles between tiles, and cycles that one tile takes besides, of every stage."""
    pcu, clock = budget.arch.socket.tile.pcu, budget.arch.socket.clock
    services, latencies = [], []
    for index, (each, width) in enumerate(zip(run.demands, widths.tolist(), strict=True)):
        service, latency = 0.0, 0.0
        if each.work:
            service = each.cycles / max(width, 1.0)
            latency = float(pcu_timing.fill(each.work[0], max(1, int(width)), pcu))
        elif (work := run.sketch.collective(run.first + index, run.cut)) is not None:
            time = p2p.collective(work.kind, work.participants, work.size, budget.arch, work.stride)
            service, latency = time.occupied * clock, time.latency * clock
        services.append(service)
        latencies.append(latency)
    return services, latencies


def rounds(run: Candidate, services: list[float], latencies: list[float], budget: Budget) -> list[float]:
    """For each stream, cycles until a place of its buffer comes back: producer, way, consumer."""
    found = []
    for stream in run.streams:
        made, used = stream.edge.source - run.first, stream.edge.target - run.first
        found.append(services[made] + latencies[made] + budget.hop_latency + services[used] + latencies[used])
    return found


def cycles(run: Candidate, widths: Floats, budget: Budget) -> float:
    """Cycles of one execution, without its launch."""
    services, latencies = stage_times(run, widths, budget)
    tiles = run.cut.tiles
    stored = sum(store.tile_bytes * store.tiles for store in run.stores)
    spilled = max(0, stored - budget.room)  # what the next section reads back is as slow: counted there by nobody else
    leaving = (stored - spilled) / budget.memory_rate + 2 * spilled / budget.spill_rate
    coming = sum(load.tile_bytes * load.tiles for load in run.loads) / budget.memory_rate
    with_tiles = sum(load.tile_bytes * load.tiles for load in run.loads if load.tiles > 1) / budget.memory_rate
    finish = _first_tile(run, services, latencies, budget)
    period = (with_tiles + leaving) / tiles
    for index, group in enumerate(range(run.first, run.end)):
        fires = run.cut.of(run.sketch.passing[group])
        # Two tiles at a time are under way in a stage: one enters where the one before the last has left.
        around = (services[index] + latencies[index]) / 2 if fires > 1 else 0.0
        period = max(period, services[index] * fires / tiles, around)
    if tiles > 1:
        for stream, around in zip(run.streams, rounds(run, services, latencies, budget), strict=True):
            if not stream.edge.resident and stream.tiles > 1:
                period = max(period, around / stream.depth)
    tail = leaving / tiles + budget.memory_latency if run.stores else 0.0
    return max(finish + (tiles - 1) * period + tail, budget.memory_latency + coming + leaving)


def _first_tile(run: Candidate, services: list[float], latencies: list[float], budget: Budget) -> float:
    """When the last stage has done its first tile."""
    count = run.end - run.first
    ready, arrived = [0.0] * count, [0.0] * count
    loaded = float(budget.memory_latency)
    found: dict[int, float] = {}  # stage that makes indices -> cycles of what is gathered by them, so far
    gathered: dict[int, tuple[int, float]] = {}  # stage -> the one that it waits for with what it gathers, and cycles
    for load in run.loads:
        loaded += load.tile_bytes / budget.memory_rate
        arrived[load.edge.target - run.first] = loaded
        if (by := load.edge.index - run.first) >= 0:
            found[by] = found.get(by, float(budget.memory_latency)) + load.tile_bytes / budget.memory_rate
            gathered[load.edge.target - run.first] = by, found[by]
    before: list[list[int]] = [[] for _ in range(count)]
    for stream in run.streams:
        before[stream.edge.target - run.first].append(stream.edge.source - run.first)
    for index in range(count):
        start = max((ready[source] for source in before[index]), default=0.0) + budget.hop_latency
        if index in gathered:
            arrived[index] = max(arrived[index], ready[gathered[index][0]] + gathered[index][1])
        last = arrived[index] + min(services[index], LAST_BANK)
        ready[index] = max(start + services[index], last) + latencies[index]
    return max(ready)
