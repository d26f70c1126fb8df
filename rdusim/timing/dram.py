"""Off-chip memory: the share of its peak that an access pattern reaches, and the cycles that follow.

docs/model.md, "HBM, DDR". The engine `cycle` runs the commands behind it (`sim/cycle/channel.py`).

This is the only place where a tier's bandwidth becomes cycles.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from functools import lru_cache
from math import sqrt
from typing import Final

from rdusim.arch.types import DramTiming, MemoryTier
from rdusim.units import Bytes, BytesPerSecond, Cycles, Hertz, Seconds

REQUEST: Final = Bytes(256)  # largest access that a channel is asked for at once: a request of an AGCU
WINDOW: Final = 4  # ACTs of an activate window (tFAW)
PATIENCE: Final = 8  # batches of reads that may go before writes that do not fill a batch
LEAST: Final = 0.01  # share of the time that refreshes leave, whatever they take


class Order(StrEnum):
    """Where a stream's next piece lies: behind the last one, a stride further, or anywhere."""

    SEQUENTIAL = "sequential"
    STRIDED = "strided"
    RANDOM = "random"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """What one channel is asked for: `streams` in turn take a `piece` of contiguous bytes each.

    `stride`: bytes from piece to piece of a strided stream, 0 for a row of each bank group. `written`: share of bytes.
    """

    piece: Bytes
    order: Order = Order.SEQUENTIAL
    streams: int = 1
    stride: Bytes = Bytes(0)
    written: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Efficiency:
    """Factors between peak and achieved bandwidth, by what takes it away; `total` is their product.

    `partial_bursts`: bytes of bursts that nobody wants; `bank_groups`: column commands that follow each other in one
    bank group; `activate_window`: too many rows at once (tRRD, tFAW); `row_misses`: banks busy with other rows.
    """

    refresh: float = 1.0
    partial_bursts: float = 1.0
    bank_groups: float = 1.0
    activate_window: float = 1.0
    row_misses: float = 1.0
    turnaround: float = 1.0

    @property
    def total(self) -> float:
        product = 1.0
        for factor in self.factors().values():
            product *= factor
        return product

    def factors(self) -> dict[str, float]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def efficiency(
    tier: MemoryTier, contiguous: Bytes, written_share: float, *, streams: int = 1, gathered: bool = False
) -> Efficiency:
    """Share of peak where `streams` read and write in turn, `written_share` of all bytes written.

    What is not `gathered` goes through memory, whole requests at a time. Gathered pieces of `contiguous` bytes lie
    anywhere; of each a channel holds a request, or of a very long one its part.
    """
    piece, order = REQUEST, Order.SEQUENTIAL
    if gathered:
        piece, order = Bytes(max(1, min(contiguous, max(REQUEST, contiguous // tier.channels)))), Order.RANDOM
    pattern = Pattern(piece=piece, order=order, streams=streams, written=written_share)
    return of_channel(tier.timing, BytesPerSecond(tier.bandwidth / tier.channels), pattern)


def bytes_per_cycle(
    tier: MemoryTier,
    clock: Hertz,
    contiguous: Bytes,
    written_share: float,
    *,
    streams: int = 1,
    gathered: bool = False,
) -> float:
    """Bytes per cycle that the tier sustains for a pattern (see `efficiency`)."""
    share = efficiency(tier, contiguous, written_share, streams=streams, gathered=gathered).total
    return tier.bandwidth * share / clock


def turn_cycles(tier: MemoryTier, clock: Hertz, written: float | None) -> float:
    """Cycles that a tier loses when its bus turns twice; for `written` bytes, their part of a batch."""
    batch = tier.timing.batch * tier.channels
    return float(turns(tier.timing) * clock * (1.0 if written is None else written / batch))


def latency(tier: MemoryTier, clock: Hertz) -> Cycles:
    """Cycles from a request to its first byte, idle memory."""
    return to_cycles(tier.latency, clock)


def to_cycles(seconds: Seconds, clock: Hertz) -> Cycles:
    """Seconds of a unit with a clock of its own, in cycles of the socket."""
    return Cycles(seconds * clock)


def coalesced(pattern: Pattern) -> Pattern:
    """The same pattern as an AGCU asks for it: small pieces that follow each other become whole requests."""
    if pattern.order is Order.SEQUENTIAL and pattern.piece < REQUEST:
        return replace(pattern, piece=REQUEST)
    return pattern


def streams_of(pattern: Pattern) -> tuple[int, int]:
    """Streams that read, and that write: at least one each."""
    writing = max(1, round(pattern.streams * pattern.written))
    return max(1, pattern.streams - (writing if pattern.written else 0)), writing


@lru_cache(maxsize=4096)
def of_channel(timing: DramTiming, bandwidth: BytesPerSecond, pattern: Pattern) -> Efficiency:
    """Share of the peak of a channel that is kept full.

    What a row gives of one stream at a time is a visit. A visit takes the longest of: its bursts on the bus, as bank
    groups let them follow each other; its part of the activates; its part of the banks, of which collisions keep some
    idle. Reads and writes have their shares of the time, two turns come for each batch, and refreshes stop all.
    """
    pattern = coalesced(pattern)
    reads, writes = (_seconds_per_byte(timing, bandwidth, pattern, written) for written in (False, True))
    share = pattern.written
    peak, bursts, groups, activates, rows = (
        (1.0 - share) * read + share * write for read, write in zip(reads, writes, strict=True)
    )
    turned = rows
    if 0.0 < share < 1.0:
        between = timing.batch * min(1.0 / share, 1.0 + PATIENCE) * peak / bursts  # useful bytes between two pairs
        turned += turns(timing) / between
    return Efficiency(
        refresh=_refresh(timing),
        partial_bursts=peak / bursts,
        bank_groups=bursts / groups,
        activate_window=groups / activates,
        row_misses=activates / rows,
        turnaround=rows / turned,
    )


def turns(timing: DramTiming) -> Seconds:
    """Time lost when the bus turns to writes and back.

    Either way the least gap between the data, or closing rows and opening others (tRP + tRCD), as every second one
    must.
    """
    opening = timing.precharge + timing.row_to_column
    gaps = (
        timing.write_latency + timing.write_to_read,
        timing.read_latency - timing.write_latency + timing.read_to_write,
    )
    return Seconds(sum((gap + max(gap, opening)) / 2 for gap in gaps))


def _refresh(timing: DramTiming) -> float:
    """Rows are closed before a refresh (tRTP, tRP) and opened after it (tRCD)."""
    if not (timing.refresh_time and timing.refresh_interval):
        return 1.0
    around = timing.read_to_precharge + timing.precharge + timing.row_to_column
    return max(LEAST, 1.0 - (timing.refresh_time + around) / timing.refresh_interval)


def _seconds_per_byte(
    timing: DramTiming, bandwidth: BytesPerSecond, pattern: Pattern, written: bool
) -> tuple[float, float, float, float, float]:
    """At the peak, and with each limit besides those before: whole bursts, bank groups, activates, banks."""
    access = access_of(timing, pattern)
    bursts = -(-access // timing.burst)  # of an access
    walk = _walk(timing, pattern, access, streams_of(pattern)[written])
    opens = len(set(walk))
    useful = len(walk) * access / opens
    pending = max(1.0, timing.queue * access / useful) + (len(walk) > opens)
    count, burst = useful / access * bursts, timing.burst / bandwidth
    column = max(burst, timing.column_same_group)
    bus = count * burst
    groups = len({bank % timing.bank_groups for bank, _ in walk})
    grouped = bus / _grouped(timing, pattern, pending, groups, column / burst)
    opened = max(
        timing.row_to_row,
        timing.four_activates / WINDOW,
        timing.row_to_row_same_group / busy(pending, timing.bank_groups),
    )
    closing = timing.write_latency + burst + timing.write_recovery if written else timing.read_to_precharge
    held = max(timing.row_cycle, timing.row_to_column + (count - 1.0) * column + closing + timing.precharge)
    banks = held / _banks(timing, pattern, pending)
    activated = max(grouped, opened)
    busiest = max(activated, banks)
    return (1.0 / bandwidth, bus / useful, grouped / useful, activated / useful, busiest / useful)


def access_of(timing: DramTiming, pattern: Pattern) -> Bytes:
    """Bytes that a channel is asked for at once."""
    return Bytes(min(pattern.piece, REQUEST, timing.row))


def step_of(timing: DramTiming, pattern: Pattern) -> Bytes:
    """Bytes from a piece of a stream to its next one."""
    if pattern.order is Order.STRIDED:
        return Bytes(max(pattern.stride or timing.row * timing.bank_groups, pattern.piece))
    return pattern.piece


def _walk(timing: DramTiming, pattern: Pattern, access: int, streams: int) -> list[tuple[int, int]]:
    """Bank and row of the accesses of one stream that the queue holds: its part of the queue, or one piece."""
    each = max(1, min(pattern.piece // access, timing.queue))
    ahead = each if pattern.order is Order.RANDOM else max(each, timing.queue // streams)
    step = step_of(timing, pattern)
    return [place(timing, index // each * step + index % each * access) for index in range(ahead)]


def _grouped(timing: DramTiming, pattern: Pattern, pending: float, groups: int, ratio: float) -> float:
    """Share of the bus that column commands can fill: `ratio` (tCCD_L / tCCD_S) groups must have open rows.

    A stream has rows in `groups` of them; those of other streams or pieces lie anywhere.
    """
    if ratio <= groups:
        return 1.0
    if pattern.order is not Order.RANDOM and pattern.streams == 1:
        return groups / ratio
    apart = pending / groups
    low = int(apart)
    found = (1.0 - apart + low) * _filled(low, timing.bank_groups, ratio / groups)
    return found + (apart - low) * _filled(low + 1, timing.bank_groups, ratio / groups)


@lru_cache(maxsize=1024)
def _filled(rows: int, groups: int, ratio: float) -> float:
    """Mean of min(1, groups with a row / ratio), where `rows` rows lie anywhere among `groups` groups."""
    chance = [1.0] + [0.0] * groups  # of so many groups with a row
    for _ in range(min(rows, 64)):
        chance = [0.0] + [
            chance[have] * have / groups + chance[have - 1] * (groups - have + 1) / groups
            for have in range(1, groups + 1)
        ]
    return sum(each * min(1.0, have / ratio) for have, each in enumerate(chance))


def _banks(timing: DramTiming, pattern: Pattern, pending: float) -> float:
    """Banks that work at a time on `pending` visits.

    Rows of one stream go through all banks that its stride meets. What lies anywhere collides (`busy`), and so do
    streams in turn of which the queue holds less than two visits each; these half as much, for at the next visit each
    is a bank further (found with the command-level channel).
    """
    if pattern.order is Order.RANDOM:
        return busy(pending, timing.banks)
    met = timing.banks
    if pattern.order is Order.STRIDED:
        alone = len({place(timing, index * step_of(timing, pattern))[0] for index in range(2 * met)})
        met = max(1, round(met * (1.0 - (1.0 - alone / met) ** pattern.streams)))
    in_turn = min(pending, float(met))
    if pattern.streams == 1:
        return in_turn
    colliding = min(1.0, max(0.0, (2.0 - pending / pattern.streams) / 2.0))
    return in_turn - colliding * (in_turn - busy(pending, met))


def place(timing: DramTiming, address: int) -> tuple[int, int]:
    """Bank of a channel's address, and the row within the bank.

    Requests that follow each other go round the bank groups, so that a stream has a row open in each. Banks are
    permuted by all digits of the row (permutation-based interleaving, Zhang et al., MICRO 2000): streams and strides of
    a power of two meet in other banks.
    """
    block, within = divmod(address, timing.row * timing.bank_groups)
    group = within // min(REQUEST, timing.row) % timing.bank_groups
    row, bank = divmod(block * timing.bank_groups + group, timing.banks)
    binary = not timing.banks & (timing.banks - 1)  # else exclusive or would lead beyond the banks
    above = row if timing.banks > 1 else 0
    while above:
        above, digit = divmod(above, timing.banks)
        bank = bank ^ digit if binary else (bank + digit) % timing.banks
    return bank, row


def busy(pending: float, servers: int) -> float:
    """Servers that work, of `servers` with `pending` requests at random among them, each replaced when it is done.

    Baskett and Smith, "Interference in multiprocessor computer systems with interleaved memory", CACM 1976.
    """
    both = pending + servers - 0.5
    return both - sqrt(both * both - 2.0 * pending * servers)
