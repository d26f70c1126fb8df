"""One DRAM channel, command by command: ACT, RD, WR, PRE and REF under FR-FCFS with batched writes.

Times are in cycles of the socket, not whole ones, for the memory has a clock of its own. A row cycle is cut in three:
opening a row (ACT to the first column command), the least time that it stays open besides, and closing it (PRE).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from rdusim.arch.types import DramTiming
from rdusim.units import Hertz

OPENING: Final = 1 / 3  # of a row cycle, from ACT to the first column command
CLOSING: Final = 1 / 3  # of a row cycle, from PRE to ACT
PATIENCE: Final = 4.0  # a write waits at most so many batches before the bus turns for it

NEVER: Final = -1e30


@dataclass(slots=True, kw_only=True)
class Access:
    """Bytes of one row. `done(cycle)` is told when its last burst has passed."""

    bank: int
    row: int
    bursts: int
    written: bool
    arrived: float
    done: Callable[[float], None]


@dataclass(slots=True)
class _Bank:
    """`open_at`, `from_`: of the open row, when it was opened and when columns can be read; `until`: last column."""

    row: int = -1
    open_at: float = NEVER
    from_: float = 0.0
    until: float = NEVER
    waiting: dict[bool, dict[int, deque[Access]]] = field(default_factory=lambda: {False: {}, True: {}})


class Channel:
    """`bandwidth`: bytes per cycle at peak. `busy`: cycles in which data passed; `turns` of the bus, rows `opened`."""

    def __init__(self, timing: DramTiming, bandwidth: float, clock: Hertz) -> None:
        self.burst_cycles = timing.burst / bandwidth
        self.row_cycle = timing.row_cycle * clock
        self.turnaround = timing.turnaround * clock
        self.refresh_every = timing.refresh_interval * clock if timing.refresh_time else 0.0
        self.refresh_takes = timing.refresh_time * clock
        self.next_refresh = self.refresh_every
        self.batch = max(1, timing.row * timing.banks // timing.burst)  # bursts of writes gathered before the bus turns
        self.banks = [_Bank() for _ in range(timing.banks)]
        self.free_at = 0.0
        self.writing = False
        self.waiting = {False: 0, True: 0}  # bursts, by direction
        self.oldest_write = 0.0
        self.left_of_batch = 0
        self.busy = 0.0
        self.turns = 0
        self.opened = 0

    @property
    def idle(self) -> bool:
        return not (self.waiting[False] or self.waiting[True])

    def add(self, access: Access) -> None:
        if access.written and not self.waiting[True]:
            self.oldest_write = access.arrived
        self.waiting[access.written] += access.bursts
        rows = self.banks[access.bank].waiting[access.written]
        rows.setdefault(access.row, deque()).append(access)

    def serve(self, now: int) -> None:
        """All commands up to the end of this cycle."""
        self._refresh(now + 1.0)
        while not self.idle and self.free_at < now + 1.0:
            self._choose_direction(now)
            self._open_rows(now)
            found = self._next(now + 1.0)
            if found is None:
                return
            self._column(*found)
            self._refresh(now + 1.0)

    def _refresh(self, until: float) -> None:
        """All banks close and wait."""
        while self.refresh_every and self.next_refresh < until:
            begin = max(self.free_at, self.next_refresh)
            self.free_at = begin + self.refresh_takes
            for bank in self.banks:
                # Closed while the refresh lasted: they may open again when it ends.
                bank.row, bank.open_at, bank.until = -1, NEVER, self.free_at - self.row_cycle * CLOSING
            self.next_refresh += self.refresh_every

    def _choose_direction(self, now: int) -> None:
        """Reads first; writes when they fill a batch, have waited long, or nothing else is there."""
        reads, writes = self.waiting[False], self.waiting[True]
        if self.writing:
            stay = writes > 0 and (self.left_of_batch > 0 or not reads)
        else:
            late = writes > 0 and now - self.oldest_write > PATIENCE * self.batch * self.burst_cycles
            stay = not (writes and (writes >= self.batch or late or not reads))
            self.left_of_batch = self.batch
        if not stay:
            self.writing = not self.writing
            self.turns += 1
            self.free_at = max(self.free_at, float(now)) + self.turnaround

    def _open_rows(self, now: int) -> None:
        """Every bank whose open row nobody wants opens the row that has been wanted longest."""
        for bank in self.banks:
            rows = bank.waiting[self.writing]
            if rows and bank.row not in rows:
                closed = bank.until + self.row_cycle * CLOSING
                bank.open_at = max(float(now), closed, bank.open_at + self.row_cycle)
                bank.row = next(iter(rows))
                bank.from_ = bank.open_at + self.row_cycle * OPENING
                self.opened += 1

    def _next(self, before: float) -> tuple[_Bank, Access] | None:
        """The oldest access to an open row that can start at once, else the one that can start first."""
        best: tuple[float, float, _Bank, Access] | None = None
        for bank in self.banks:
            queue = bank.waiting[self.writing].get(bank.row)
            if queue:
                access = queue[0]
                start = max(self.free_at, bank.from_, access.arrived)
                if best is None or (start, access.arrived) < best[:2]:
                    best = (start, access.arrived, bank, access)
        if best is None or best[0] >= before:
            return None
        return best[2], best[3]

    def _column(self, bank: _Bank, access: Access) -> None:
        """The bursts of one access, one after the other."""
        rows = bank.waiting[access.written]
        queue = rows[access.row]
        queue.popleft()
        if not queue:
            del rows[access.row]
        start = max(self.free_at, bank.from_, access.arrived)
        taken = access.bursts * self.burst_cycles
        self.free_at = bank.until = start + taken
        self.busy += taken
        self.waiting[access.written] -= access.bursts
        if access.written:
            self.left_of_batch -= access.bursts
            self.oldest_write = start  # what is left has waited since then at the most
        access.done(self.free_at)
