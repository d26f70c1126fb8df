"""What a stage reads from its own PMUs: tiles that were loaded, and the operand that a systolic array keeps passing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil

from rdusim.arch.types import Arch, Pcu
from rdusim.dtypes import size_of
from rdusim.program.types import MemoryStream
from rdusim.sim.cycle.crew import Crew
from rdusim.timing import pcu as pcu_timing
from rdusim.timing.work import SystolicWork

MOVING, STATIONARY = 1, 0  # vector ports of a systolic PCU


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """`size` bytes that one firing reads from the PMU at `switch` for `units`; [base, base + part) of its share."""

    load: MemoryStream
    switch: int
    units: tuple[int, ...]
    port: int
    size: float
    base: float
    part: float


def reads_of(crew: Crew, loads: Sequence[MemoryStream], arch: Arch) -> list[Read]:
    """All reads of a stage."""
    work = crew.stage.work[0] if crew.stage.work else None
    switches = crew.pmus or crew.pcus
    if not loads or not crew.run.units:
        return []
    if not isinstance(work, SystolicWork) or not crew.pcus:
        return [
            read for number, load in enumerate(loads) for read in _spread(load, number, switches, len(crew.run.units))
        ]
    moving, still = pcu_timing.operand_streams(work, len(crew.pcus), arch.socket.tile.pcu)
    passing = [load for load in loads if load.moving]
    stay = [load for load in loads if not load.moving]
    found: list[Read] = []
    units, total = len(crew.pcus), sum(load.tile_bytes for load in stay)
    for load in stay:
        size = _stationary_bytes(work, crew.rhythm.steps, arch.socket.tile.pcu) * load.tile_bytes / max(1, total)
        found += _columns(load, switches, min(still, units), units, size)
    resends = pcu_timing.resends(work, units, arch.socket.tile.pcu)
    for load in passing:
        found += _rows(load, switches, min(moving, units), units, load.tile_bytes * resends)
    return found


def overlaps(left: Sequence[float], right: Sequence[float]) -> Iterator[tuple[int, int, float]]:
    """Two ways to cut the same whole: pairs of parts that overlap, and the share of the whole that they have."""
    if not left or not right:
        return
    ends = [[part / sum(side) for part in accumulate(side)] for side in (left, right)]
    one = other = 0
    at = 0.0
    while one < len(left) and other < len(right):
        end = min(ends[0][one], ends[1][other])
        if end - at > 1e-9:
            yield one, other, end - at
            at = end
        if ends[0][one] <= end + 1e-12:
            one += 1
        if ends[1][other] <= end + 1e-12:
            other += 1


def _spread(load: MemoryStream, number: int, switches: Sequence[int], units: int) -> Iterator[Read]:
    """Evenly from all PMUs to all units."""
    base = [0.0] * len(switches)
    for place, unit, share in overlaps([1.0] * len(switches), [1.0] * units):
        part = share * len(switches)
        yield Read(
            load=load,
            switch=switches[place],
            units=(unit,),
            port=number,
            size=share * load.tile_bytes,
            base=base[place],
            part=part,
        )
        base[place] += part


def _columns(load: MemoryStream, switches: Sequence[int], streams: int, units: int, size: float) -> Iterator[Read]:
    """The stationary operand: `streams` of `size` bytes, each for as many units, over all PMUs as it is interleaved."""
    for number in range(streams):
        for place in range(len(switches)):
            yield Read(
                load=load,
                switch=switches[(number + place) % len(switches)],
                units=tuple(range(number * units // streams, (number + 1) * units // streams)),
                port=STATIONARY,
                size=size / len(switches),
                base=number / streams,
                part=1 / streams,
            )


def _rows(load: MemoryStream, switches: Sequence[int], streams: int, units: int, size: float) -> Iterator[Read]:
    """The moving operand: `streams` that share `size` bytes, vectors in turn from all PMUs, over which it is spread."""
    for number in range(streams):
        for switch in switches:
            yield Read(
                load=load,
                switch=switch,
                units=tuple(range(number * units // streams, (number + 1) * units // streams)),
                port=MOVING,
                size=size / (streams * len(switches)),
                base=number / streams,
                part=1 / streams,
            )


def _stationary_bytes(work: SystolicWork, steps: int, pcu: Pcu) -> float:
    """What passes the port of the stationary operand in a tile: the longer side of the array in every step."""
    per_cycle = pcu_timing.macs_per_cycle(work, pcu) / (pcu.systolic_rows * pcu.systolic_cols)
    wide = max(pcu.systolic_rows, pcu.systolic_cols) * per_cycle * size_of(work.dtype)
    return steps * min(float(pcu.vector_bytes), wide) if pcu.vector_ports > 1 else ceil(steps * pcu.vector_bytes / 2)
