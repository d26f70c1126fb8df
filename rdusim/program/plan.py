"""One candidate section with rough widths, PMUs and its estimated time; the search makes thousands of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from rdusim.program.budget import Budget
from rdusim.program.candidate import Candidate, candidate
from rdusim.program.estimate import cycles, rounds, stage_times
from rdusim.program.sketch import Sketch
from rdusim.program.tile import Cut
from rdusim.program.width import Floats, rough
from rdusim.timing import pcu as pcu_timing
from rdusim.timing import pmu as pmu_timing
from rdusim.timing.work import SimdWork

WRITING = 0.25  # of a period, in which a stage's tile must be in its PMUs: writing is on the way round of every credit
ROUNDING = 1.1  # buffers are this much deeper than real-valued widths ask for: whole ones are slower


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A candidate that fits, the units and AGCU contexts it takes, `seconds` of one execution without launch."""

    run: Candidate
    pcus: float
    pmus: int
    agcu_streams: int
    seconds: float


def plan(sketch: Sketch, first: int, end: int, cut: Cut, budget: Budget, share: float = 1.0) -> Plan | None:
    """Stages first .. end-1 under a cut, with `share` of the PCUs; None where a budget is exceeded."""
    run = candidate(sketch, first, end, cut, budget)
    found = None if run is None else _widths(run, budget, share)
    if run is None or found is None:
        return None
    widths, pmus = found
    if cut.tiles > 1:
        deeper = _deepen(run, widths, pmus, budget)
        if (more := sum(pmus_for(deeper, widths, budget))) <= budget.pmus:
            run, pmus = deeper, more
    return Plan(
        run=run,
        pcus=float(widths.sum()),
        pmus=pmus,
        agcu_streams=sum(load_contexts(run, budget)) + sum(store_contexts(run, budget)),
        seconds=float(cycles(run, widths, budget)) / budget.arch.socket.clock,
    )


def pmus_for(run: Candidate, widths: Sequence[float] | Floats, budget: Budget) -> list[int]:
    """PMUs of each stage: bytes it holds, or vector streams that its buffers must take or feed at once, the larger."""
    tile, first = budget.arch.socket.tile, run.first
    feeds = _writers(run, widths, budget)
    bank, most = tile.pmu.capacity // tile.pmu.banks, max(1, budget.pmus // 8)
    for load in run.loads:  # as many write ports as the memory's rate needs, unless operand or machine are small
        ports = min(most, ceil(budget.memory_rate / tile.pmu.write_bytes_per_cycle), ceil(load.tile_bytes / bank))
        feeds[load.edge.target - first] = max(feeds[load.edge.target - first], ports)
    moving = [1] * len(feeds)
    for index, (each, width) in enumerate(zip(run.demands, widths, strict=True)):
        if each.work:
            rows, columns = pcu_timing.operand_streams(each.work[0], max(1, round(width)), tile.pcu)
            moving[index] = rows
            feeds[index] = max(feeds[index], rows if isinstance(each.work[0], SimdWork) else columns)
            if any(load.moves and load.edge.target == first + index for load in run.loads):
                feeds[index] = max(feeds[index], rows + columns)  # what moves comes out of the same PMUs
    for stream in run.streams:  # the buffer of a stream feeds the moving operand of its target
        if not stream.edge.resident:
            source = stream.edge.source - first
            feeds[source] = max(feeds[source], moving[stream.edge.target - first])
    return [pmu_timing.units(size, count, tile.pmu) for size, count in zip(run.sram, feeds, strict=True)]


def load_contexts(run: Candidate, budget: Budget) -> list[int]:
    """AGCU contexts of each load."""
    return _contexts([(load.tile_bytes * load.tiles, load.contiguous) for load in run.loads], budget)


def store_contexts(run: Candidate, budget: Budget) -> list[int]:
    """AGCU contexts of each store."""
    return _contexts([(store.tile_bytes * store.tiles, store.tile_bytes) for store in run.stores], budget)


def _contexts(transfers: Sequence[tuple[int, int]], budget: Budget) -> list[int]:
    """Contexts of transfers (bytes, bytes in a row); less in proportion where there are not enough, never under one."""
    wanted = [budget.agcus_for(size, row) for size, row in transfers]
    there = budget.contexts // 2
    share = min(1.0, there / max(1, sum(wanted)))
    found = [max(1, int(count * share)) for count in wanted]
    for _ in range(sum(found) - there):  # those rounded up to one are taken off the largest
        largest = max(range(len(found)), key=lambda at: found[at])
        found[largest] = max(1, found[largest] - 1)
    return found


def _writers(run: Candidate, widths: Sequence[float] | Floats, budget: Budget) -> list[int]:
    """Write ports that take what each stage makes of a tile in a part of the period."""
    period = max((each.cycles / max(1.0, width) for each, width in zip(run.demands, widths, strict=True)), default=0.0)
    written = [0] * (run.end - run.first)
    if run.cut.tiles > 1 and period > 0.0:
        for stream in run.streams:
            written[stream.edge.source - run.first] += stream.tile_bytes
    port = budget.arch.socket.tile.pmu.write_bytes_per_cycle
    return [max(1, ceil(size / port / (WRITING * period))) if size else 1 for size in written]


def _widths(run: Candidate, budget: Budget, share: float) -> tuple[Floats, int] | None:
    """Rough widths whose PMU bandwidth fits too, and the PMUs they take."""
    low, high = 0.0, share
    best: tuple[Floats, int] | None = None
    for _ in range(6):  # PMUs that hold bytes are given; those that feed PCUs follow the share of the PCUs
        widths = rough(run.demands, run.cut.tiles, budget.pcus * share)
        if widths is None:
            return best
        needed = sum(pmus_for(run, widths, budget))
        if needed <= budget.pmus:
            best, low = (widths, needed), share
            if share >= 0.95 * high:
                return best
        else:
            high = share
        share = 0.98 * high if low >= 0.9 * high else (low + high) / 2
    return best


def _deepen(run: Candidate, widths: Floats, pmus: int, budget: Budget) -> Candidate:
    """Buffers deep enough that no credit's way round holds up the slowest stage, as far as PMUs are left."""
    services, latencies = stage_times(run, widths, budget)
    period = max(services, default=0.0)
    spare = (budget.pmus - pmus) * budget.arch.socket.tile.pmu.capacity // 2  # half: stages round up to whole PMUs
    depths = []
    for stream, around in zip(run.streams, rounds(run, services, latencies, budget), strict=True):
        needed = ceil(ROUNDING * around / period) if period > 0.0 else 1
        extra = (min(needed, stream.tiles) - stream.depth) * stream.tile_bytes
        grows = not stream.edge.resident and stream.tiles > 1 and 0 < extra <= spare
        spare -= extra if grows else 0
        depths.append(min(needed, stream.tiles) if grows else stream.depth)
    return run.deeper(depths)
