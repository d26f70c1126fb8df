"""One DRAM channel, command by command: ACT, RD, WR, PRE and REF under FR-FCFS with open rows and batched writes.

Times are in cycles of the socket, not whole ones, for the memory has a clock of its own. A burst passes at its column
command: latencies from command to data are the same for all reads, and part of the latency of the memory.
docs/model.md, "HBM, DDR".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from rdusim.arch.types import DramTiming
from rdusim.timing.dram import PATIENCE, WINDOW
from rdusim.units import Hertz

KEPT: Final = 0.5  # batches of writes that stay in the queue when the bus turns back: few writes find few banks
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


@dataclass(slots=True, eq=False)
class _Bank:
    """`ready`: first column command of the open row; `closing`: first PRE; `opens`: first ACT, once closed.

    `since`: when the open row was found to be of no more use. `waiting`: accesses of the window by direction and row.
    """

    group: int
    row: int = -1
    ready: float = 0.0
    closing: float = NEVER
    opens: float = NEVER
    since: float = 0.0
    waiting: tuple[dict[int, deque[Access]], dict[int, deque[Access]]] = field(default_factory=lambda: ({}, {}))


class Channel:
    """`bandwidth`: bytes per cycle at peak. `busy`: cycles in which data passed; `turns` of the bus, rows `opened`."""

    def __init__(self, timing: DramTiming, bandwidth: float, clock: Hertz) -> None:
        self.burst_cycles = timing.burst / bandwidth
        self.batch = max(1, timing.batch // timing.burst)  # bursts of writes gathered before the bus turns
        self.full = self.batch + int(KEPT * self.batch)  # bursts of writes for which the bus turns
        self.queue = timing.queue
        self._times(timing, clock)
        self.banks = [_Bank(group=number % timing.bank_groups) for number in range(timing.banks)]
        self.columns = [NEVER] * timing.bank_groups  # last column command of each group
        self.rows = [NEVER] * timing.bank_groups  # last ACT of each group
        self.window: deque[float] = deque([NEVER] * WINDOW, maxlen=WINDOW)  # the last ACTs
        self.free_at = 0.0  # of the data bus
        self.writing = False
        self.waiting = [0, 0]  # bursts, by direction
        self.held = [0, 0]  # accesses in the window
        self.backlog: tuple[deque[Access], deque[Access]] = (deque(), deque())
        self.wanted: list[_Bank] = []  # banks whose open row is wanted, in this direction
        self.closed: list[_Bank] = []  # banks that have to open another one
        self.left_of_batch = self.batch
        self.busy = 0.0
        self.turns = 0
        self.opened = 0

    def _times(self, timing: DramTiming, clock: Hertz) -> None:
        self.same_group = max(self.burst_cycles, timing.column_same_group * clock)
        self.row_cycle = timing.row_cycle * clock
        self.precharge = timing.precharge * clock
        self.opening = timing.row_to_column * clock
        self.row_gap = timing.row_to_row * clock
        self.row_gap_same_group = max(timing.row_to_row_same_group, timing.row_to_row) * clock
        self.four_activates = timing.four_activates * clock
        # From the last column command of a read, and from that of a write, to PRE.
        self.after_read = timing.read_to_precharge * clock
        self.after_write = timing.write_latency * clock + self.burst_cycles + timing.write_recovery * clock
        self.to_read = (timing.write_latency + timing.write_to_read) * clock
        self.to_write = (timing.read_latency - timing.write_latency + timing.read_to_write) * clock
        self.refresh_every = timing.refresh_interval * clock if timing.refresh_time else 0.0
        self.refresh_takes = timing.refresh_time * clock
        self.next_refresh = self.refresh_every

    @property
    def idle(self) -> bool:
        return not (self.waiting[0] or self.waiting[1])

    def add(self, access: Access) -> None:
        written = access.written
        if written and not self.waiting[1] and not self.writing:
            self.left_of_batch = max(self.left_of_batch, 0)  # reads count from here
        self.waiting[written] += access.bursts
        if self.held[written] < self.queue:
            self._admit(access)
        else:
            self.backlog[written].append(access)

    def serve(self, now: int) -> None:
        """All commands up to the end of this cycle."""
        until = now + 1.0
        while not self.idle:
            self._choose_direction(now)
            row, column = self._next_row(), self._next_column()
            at = min(row[0], column[0])
            if self.refresh_every and self.next_refresh < until and self.next_refresh <= at:
                self._refresh()
            elif at >= until:
                return
            elif row[0] <= column[0]:
                self._open(row[0], row[2])
            else:
                self._column(column[0], column[2])
        while self.refresh_every and self.next_refresh < until:
            self._refresh()

    # ---- the window ----

    def _admit(self, access: Access) -> None:
        """Into the window in which the controller looks for open rows."""
        written = access.written
        self.held[written] += 1
        bank = self.banks[access.bank]
        rows = bank.waiting[written]
        known = rows.get(access.row)
        if known is not None:
            known.append(access)
            return
        first = not rows
        rows[access.row] = deque((access,))
        if written == self.writing:
            if access.row == bank.row:
                if not first:
                    self.closed.remove(bank)
                self.wanted.append(bank)
            elif first:
                bank.since = access.arrived
                self.closed.append(bank)

    def _sort(self) -> None:
        """Banks anew, after the direction or all rows have changed."""
        self.wanted, self.closed = [], []
        for bank in self.banks:
            if rows := bank.waiting[self.writing]:
                (self.wanted if bank.row in rows else self.closed).append(bank)

    def _choose_direction(self, now: int) -> None:
        """Reads first; writes when there are a batch and some more, when they have waited long, or without reads."""
        reads, writes = self.waiting
        if self.writing:
            stay = writes > 0 and (self.left_of_batch > 0 or not reads)
        elif not writes:
            stay = True
        elif not reads:
            stay = False
        else:
            late = self.left_of_batch <= -PATIENCE * self.batch
            stay = self.left_of_batch > 0 or not (writes >= self.full or late)
        if not stay:
            self._turn(float(now))

    def _turn(self, now: float) -> None:
        self.writing = not self.writing
        self.turns += 1
        self.left_of_batch = self.batch
        self.free_at = max(self.free_at + (self.to_write if self.writing else self.to_read), now)
        self._sort()
        for bank in self.closed:
            bank.since = max(bank.since, now)

    # ---- commands ----

    def _next_row(self) -> tuple[float, float, _Bank]:
        """The ACT that can be given first, of the oldest access among equals."""
        best, oldest, found = -NEVER, 0.0, self.banks[0]
        if not self.closed:
            return best, oldest, found
        writing, every = self.writing, max(self.window[-1] + self.row_gap, self.window[0] + self.four_activates)
        for bank in self.closed:
            at = max(bank.since, bank.closing) + self.precharge if bank.row >= 0 else max(bank.since, bank.opens)
            at = max(at, every, self.rows[bank.group] + self.row_gap_same_group)
            if at <= best:
                arrived = next(iter(bank.waiting[writing].values()))[0].arrived
                if at < best or arrived < oldest:
                    best, oldest, found = at, arrived, bank
        return best, oldest, found

    def _next_column(self) -> tuple[float, float, _Bank]:
        """The column command that can be given first to an open row, of the oldest access among equals."""
        best, oldest, found = -NEVER, 0.0, self.banks[0]
        writing, free, columns, same = self.writing, self.free_at, self.columns, self.same_group
        for bank in self.wanted:
            at = max(free, bank.ready, columns[bank.group] + same)
            if at <= best:
                arrived = bank.waiting[writing][bank.row][0].arrived
                if arrived > at:
                    at = arrived
                if at < best or (at == best and arrived < oldest):
                    best, oldest, found = at, arrived, bank
        return best, oldest, found

    def _open(self, at: float, bank: _Bank) -> None:
        """PRE if a row is open, then ACT of the row that has been wanted longest."""
        bank.row = next(iter(bank.waiting[self.writing]))
        bank.ready = at + self.opening
        bank.closing = at + self.row_cycle - self.precharge
        self.rows[bank.group] = at
        self.window.append(at)
        self.opened += 1
        self.closed.remove(bank)
        self.wanted.append(bank)

    def _column(self, at: float, bank: _Bank) -> None:
        """One burst."""
        written = self.writing
        self.columns[bank.group] = at
        self.free_at = at + self.burst_cycles
        bank.closing = max(bank.closing, at + (self.after_write if written else self.after_read))
        self.busy += self.burst_cycles
        self.waiting[written] -= 1
        self.left_of_batch -= 1
        rows = bank.waiting[written]
        access = rows[bank.row][0]
        access.bursts -= 1
        if not access.bursts:
            self._over(access, rows, bank, at)

    def _over(self, access: Access, rows: dict[int, deque[Access]], bank: _Bank, at: float) -> None:
        queue = rows[bank.row]
        queue.popleft()
        if not queue:
            del rows[bank.row]
            self.wanted.remove(bank)
            if rows:
                bank.since = at
                self.closed.append(bank)
        written = access.written
        self.held[written] -= 1
        if self.backlog[written]:
            self._admit(self.backlog[written].popleft())
        access.done(self.free_at)

    def _refresh(self) -> None:
        """All banks close (PRE) and wait."""
        begin = max(self.free_at, self.next_refresh)
        open_rows = [bank for bank in self.banks if bank.row >= 0]
        if open_rows:
            begin = max(begin, *(bank.closing for bank in open_rows)) + self.precharge
        end = begin + self.refresh_takes
        for bank in self.banks:
            bank.row, bank.opens = -1, end
        self.free_at = max(self.free_at, end)
        self.next_refresh += self.refresh_every
        self._sort()
