"""Invariants across the fields of a machine: what no single number can break alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from itertools import pairwise
from typing import Any, Final

from rdusim.arch.check_system import system_problems
from rdusim.arch.types import Agcu, Arch, DramTiming, MemoryTier, Pcu, Pmu, Socket, System, Tile
from rdusim.dtypes import SIZE
from rdusim.errors import Problem
from rdusim.units import show


def check(arch: Arch) -> list[Problem]:
    """Every broken invariant of a machine, however it was made; fields are dotted paths from the root."""
    return list(_walk(arch, ""))


def check_part(part: object) -> list[Problem]:
    """Broken invariants of one part itself, not of the parts inside it; fields are relative to the part.

    A tuple of tiers is the memory of a socket.
    """
    if isinstance(part, tuple):
        return list(_memory(part)) if all(isinstance(tier, MemoryTier) for tier in part) else []
    checked = _CHECKS.get(type(part))
    return [] if checked is None else list(checked(part))


def _walk(part: Any, path: str) -> Iterator[Problem]:
    for problem in check_part(part):
        yield replace(problem, field=".".join(name for name in (path, problem.field) if name))
    if isinstance(part, tuple):
        inner = {tier.name: tier for tier in part}
    else:
        inner = {field.name: getattr(part, field.name) for field in fields(part)} if is_dataclass(part) else {}
    for name, value in inner.items():
        if is_dataclass(value) or isinstance(value, tuple):
            yield from _walk(value, f"{path}.{name}" if path else name)


def _pcu(pcu: Pcu) -> Iterator[Problem]:
    cells = pcu.systolic_rows * pcu.systolic_cols
    if "bf16" not in pcu.macs_per_cycle:
        yield Problem(field="macs_per_cycle", message="bf16 is missing", hint="every model can run in bf16")
    for dtype, macs in pcu.macs_per_cycle.items():
        if dtype not in SIZE:
            known = ", ".join(SIZE)
            yield Problem(field=f"macs_per_cycle.{dtype}", message="unknown number format", hint=f"known: {known}")
        # Slow formats (fp32) take whole cycles a step of the array, fast ones do whole steps a cycle.
        elif macs % cells and cells % macs:
            array = f"{pcu.systolic_rows} x {pcu.systolic_cols} = {cells} accumulators"
            yield Problem(
                field=f"macs_per_cycle.{dtype}",
                message=f"{macs} is neither a multiple nor a divisor of the {array}",
                hint="change it, systolic_rows or systolic_cols",
            )
    if pcu.vector_bytes % pcu.lanes:
        yield Problem(
            field="vector_bytes",
            message=f"{show(pcu.vector_bytes, 'size')} cannot be shared evenly by {pcu.lanes} lanes",
            hint="make it a multiple of lanes",
        )


def _pmu(pmu: Pmu) -> Iterator[Problem]:
    if pmu.capacity % pmu.banks:
        message = f"{pmu.banks} banks do not divide the capacity of {show(pmu.capacity, 'size')}"
        yield Problem(field="banks", message=message, hint="use a power of two")
    port = max(pmu.read_bytes_per_cycle, pmu.write_bytes_per_cycle)
    if pmu.capacity < port * pmu.banks:
        message = f"{show(pmu.capacity, 'size')} in {pmu.banks} banks is less than one vector ({port} B) a bank"
        yield Problem(field="capacity", message=message, hint="use more capacity or fewer banks")


def _agcu(agcu: Agcu) -> Iterator[Problem]:
    if agcu.streams > agcu.outstanding_requests:
        message = f"{agcu.streams} streams share only {agcu.outstanding_requests} outstanding requests"
        yield Problem(field="streams", message=message, hint="a stream needs at least one request in flight")


def _tile(tile: Tile) -> Iterator[Problem]:
    if tile.rows * tile.cols < 2:
        yield Problem(
            field="rows", message="a 1 x 1 mesh has no room for a PCU and a PMU", hint="use 2 squares or more"
        )


def _timing(timing: DramTiming) -> Iterator[Problem]:
    if timing.row % timing.burst:
        message = f"a row of {show(timing.row, 'size')} is no whole number of {show(timing.burst, 'size')} bursts"
        yield Problem(field="row", message=message, hint="make it a multiple of burst")
    if timing.refresh_time >= timing.refresh_interval:
        lasts, interval = show(timing.refresh_time, "time"), show(timing.refresh_interval, "time")
        message = f"a refresh lasts {lasts} and is due every {interval}: no time is left to transfer"
        yield Problem(field="refresh_time", message=message, hint="it must be shorter than refresh_interval")
    yield from _commands(timing)


def _commands(timing: DramTiming) -> Iterator[Problem]:
    """Times of a bank that are parts of others, and banks and batches that come out even."""
    if timing.banks % timing.bank_groups:
        message = f"{timing.bank_groups} bank groups do not divide {timing.banks} banks"
        yield Problem(field="bank_groups", message=message, hint="use a divisor of banks")
    if timing.row_to_column + timing.precharge > timing.row_cycle:
        parts = f"{show(timing.row_to_column, 'time')} (tRCD) and {show(timing.precharge, 'time')} (tRP)"
        message = f"{show(timing.row_cycle, 'time')} (tRC) has no room for {parts}"
        hint = "tRC = tRAS + tRP, and a row stays open for tRCD at least"
        yield Problem(field="row_cycle", message=message, hint=hint)
    if timing.row_to_row_same_group and timing.row_to_row_same_group < timing.row_to_row:
        same, other = show(timing.row_to_row_same_group, "time"), show(timing.row_to_row, "time")
        message = f"{same} within a bank group (tRRD_L) is less than {other} between two (tRRD_S)"
        yield Problem(field="row_to_row_same_group", message=message, hint="it must not be less than row_to_row")
    if timing.four_activates > timing.refresh_interval > 0.0:
        window = show(timing.four_activates, "time")
        message = f"a window of {window} (tFAW) is longer than from refresh to refresh"
        yield Problem(field="four_activates", message=message, hint="it is some 10 ns")
    if 0 < timing.write_batch < timing.burst:
        message = f"a batch of {show(timing.write_batch, 'size')} is less than a burst"
        yield Problem(field="write_batch", message=message, hint="use several bursts, or leave it out")


def _tier(tier: MemoryTier) -> Iterator[Problem]:
    timing = tier.timing
    channel = tier.bandwidth / tier.channels
    # Reading row after row, each bank opens a row every row_cycle: more than that no channel can deliver.
    if channel * timing.row_cycle > timing.banks * timing.row:
        most = show(timing.banks * timing.row / timing.row_cycle * tier.channels, "bandwidth")
        banks = f"{tier.channels} x {timing.banks} banks (channels x banks)"
        message = (
            f"{show(tier.bandwidth, 'bandwidth')} is more than {banks} can deliver ({most}: "
            f"a row of {show(timing.row, 'size')} a bank every {show(timing.row_cycle, 'time')})"
        )
        yield Problem(field="bandwidth", message=message, hint="use more channels, banks or longer rows")
    least = tier.channels * timing.banks * timing.row
    if tier.capacity < least:
        message = f"{show(tier.capacity, 'size')} is less than one row in every bank ({show(least, 'size')})"
        yield Problem(
            field="capacity", message=message, hint="use more capacity or fewer channels, banks or shorter rows"
        )


def _memory(tiers: tuple[MemoryTier, ...]) -> Iterator[Problem]:
    """Nearest first: allocation walks the tiers and spills to the next, which must be slower and larger."""
    for near, far in pairwise(tiers):
        if far.bandwidth > near.bandwidth or far.capacity < near.capacity:
            yield Problem(
                field=far.name,
                message=(
                    f"tiers are out of order: {far.name} ({show(far.capacity, 'size')} at "
                    f"{show(far.bandwidth, 'bandwidth')}) stands after {near.name} ({show(near.capacity, 'size')} at "
                    f"{show(near.bandwidth, 'bandwidth')})"
                ),
                hint="list the nearest first: each next one is not faster and not smaller",
            )


def _socket(socket: Socket) -> Iterator[Problem]:
    if not socket.memory:
        yield Problem(field="memory", message="a socket needs at least one memory tier")
    if not 0 < socket.placeable <= 1:
        message = f"{socket.placeable:g} is no share"
        yield Problem(field="placeable", message=message, hint="above 0 and at most 1, such as 0.9")
    elif socket.placeable * socket.pmus < 1:
        message = f"{socket.placeable:g} of {socket.pmus} PMUs is less than one"
        yield Problem(field="placeable", message=message, hint="use a larger share or more units")


_CHECKS: Final[Mapping[type, Any]] = {
    Pcu: _pcu,
    Pmu: _pmu,
    Agcu: _agcu,
    Tile: _tile,
    DramTiming: _timing,
    MemoryTier: _tier,
    Socket: _socket,
    System: system_problems,
}
