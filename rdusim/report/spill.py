"""What a run pays for memory that lies in a farther tier: which symbols, how many bytes, how many seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rdusim.report.types import Report, Spill, SpilledSymbol
from rdusim.units import show

if TYPE_CHECKING:
    from rdusim.arch.types import Arch
    from rdusim.mapping.types import Allocation, Mapping
    from rdusim.program.types import Buffer

ROOMY = 1 << 60  # bytes of a tier that holds everything


def spills(mapping: Mapping, arch: Arch) -> bool:
    """Whether anything lies farther away than in the nearest tier."""
    nearest = arch.socket.memory[0].name
    return any(piece.tier != nearest for place in mapping.allocations.values() for piece in place.pieces)


def roomy(arch: Arch) -> Arch:
    """The same machine with a nearest tier that holds everything."""
    nearest, *others = arch.socket.memory
    large = replace(nearest, capacity=type(nearest.capacity)(ROOMY))
    return replace(arch, socket=replace(arch.socket, memory=(large, *others)))


def with_spill(report: Report, mapping: Mapping, arch: Arch, seconds_if_near: float) -> Report:
    """The report, and what it pays for what lies far away.

    `seconds_if_near`: of the same sections, placed and simulated with a nearest tier that holds everything.
    """
    sockets, nearest = report.setting.sockets_used, arch.socket.memory[0].name
    buffers = {buffer.name: buffer for buffer in mapping.program.buffers}
    far = [
        _symbol(buffers[name], piece, sockets)
        for name, place in mapping.allocations.items()
        for piece in place.pieces
        if piece.tier != nearest
    ]
    far.sort(key=lambda symbol: (-symbol.transfer_bytes, -symbol.bytes, symbol.name))
    spill = Spill(
        bytes=sum(symbol.bytes for symbol in far),
        transfer_bytes=sum(symbol.transfer_bytes for symbol in far),
        seconds_if_near=seconds_if_near,
        added_seconds=max(0.0, report.latency.total_seconds - seconds_if_near),
        symbols=tuple(far),
    )
    return replace(report, spill=spill)


def _symbol(buffer: Buffer, piece: Allocation, sockets: int) -> SpilledSymbol:
    share = piece.repeats / buffer.repeats
    return SpilledSymbol(
        name=buffer.name,
        role=buffer.role,
        tier=piece.tier,
        bytes=sockets * piece.size,
        transfer_bytes=round(sockets * buffer.transfer_bytes * share),
        repeats=piece.repeats if buffer.repeats > 1 else None,
        of_repeats=buffer.repeats if buffer.repeats > 1 else None,
    )


def said(spill: Spill, nearest: str) -> str:
    """A sentence: how much, and what it costs."""
    start = f"{show(spill.bytes, 'size')} lie beyond {nearest} and move {show(spill.transfer_bytes, 'size')} a run"
    if spill.added_seconds is None or spill.seconds_if_near is None:
        return start
    if spill.added_seconds <= 0.0:
        return f"{start}, which costs no time"
    near = show(spill.seconds_if_near, "time")
    added = show(spill.added_seconds, "time")
    return f"{start}, which adds {added}: the same sections with all in {nearest} take {near}"


def summed(parts: Sequence[tuple[float, Report]]) -> Spill | None:
    """Of a generation: seconds and traffic add up; symbols are those of the run that keeps most far away."""
    found = [(weight, report.spill) for weight, report in parts if report.spill is not None]
    if not found:
        return None
    _, largest = max(found, key=lambda part: part[1].bytes)
    total = sum(weight * report.latency.total_seconds for weight, report in parts)
    added = sum(weight * (spill.added_seconds or 0.0) for weight, spill in found)
    return replace(
        largest,
        transfer_bytes=round(sum(weight * spill.transfer_bytes for weight, spill in found)),
        seconds_if_near=total - added,
        added_seconds=added,
    )


def together_symbols(parts: Sequence[tuple[str, int, Spill]]) -> Spill:
    """Of passes over the same memory: a place's name, how often a pass runs, what it finds far away.

    A symbol that several passes of a place use lies there once; what they move adds up.
    """
    found: dict[tuple[str, str], SpilledSymbol] = {}
    for place, times, spill in parts:
        for symbol in spill.symbols:
            there = found.get((place, symbol.name))
            moved = times * symbol.transfer_bytes
            found[place, symbol.name] = (
                replace(symbol, transfer_bytes=moved)
                if there is None
                else replace(
                    max(there, symbol, key=lambda each: each.bytes), transfer_bytes=there.transfer_bytes + moved
                )
            )
    symbols = sorted(found.values(), key=lambda symbol: (-symbol.transfer_bytes, -symbol.bytes, symbol.name))
    return Spill(
        bytes=sum(symbol.bytes for symbol in symbols),
        transfer_bytes=sum(symbol.transfer_bytes for symbol in symbols),
        symbols=tuple(symbols),
    )


def together(parts: Sequence[Report], times: int) -> Spill | None:
    """Of the stages of a pipeline, each of which runs `times` times: sockets add up."""
    found = [report.spill for report in parts if report.spill is not None]
    if not found:
        return None
    return Spill(
        bytes=sum(spill.bytes for spill in found),
        transfer_bytes=times * sum(spill.transfer_bytes for spill in found),
        symbols=tuple(symbol for spill in found for symbol in spill.symbols),
    )
