"""The channel of the engine `cycle`, command by command: the least times between commands, and who goes first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rdusim.arch.types import DramTiming
from rdusim.sim.cycle.channel import Access, Channel
from rdusim.sim.cycle.pattern import share_of_peak
from rdusim.timing.dram import Order, Pattern
from rdusim.units import Bytes, BytesPerSecond, Hertz, Seconds

NS = Seconds(1e-9)
# A burst takes 1 ns, a cycle too; times that tell each other apart.
TIMING = DramTiming(
    burst=Bytes(32),
    row=Bytes(1024),
    banks=8,
    bank_groups=4,
    row_cycle=Seconds(50e-9),
    precharge=Seconds(13e-9),
    row_to_column=Seconds(17e-9),
    column_same_group=Seconds(3e-9),
    row_to_row=Seconds(2e-9),
    row_to_row_same_group=Seconds(5e-9),
    four_activates=Seconds(30e-9),
    read_to_precharge=Seconds(7e-9),
    write_recovery=Seconds(19e-9),
    read_latency=Seconds(14e-9),
    write_latency=Seconds(6e-9),
    write_to_read=Seconds(11e-9),
    read_to_write=Seconds(1e-9),
    refresh_interval=Seconds(1e-6),
    refresh_time=Seconds(0.0),
)
PEAK = BytesPerSecond(32e9)


def served(
    *accesses: tuple[int, int, int, bool], timing: DramTiming = TIMING, cycles: int = 600
) -> tuple[Channel, list[tuple[int, float]]]:
    """All asked for at once: (bank, row, bursts, written). Which was done when, in this order."""
    channel, done = Channel(timing, 32.0, Hertz(1e9)), []
    for number, (bank, row, bursts, written) in enumerate(accesses):

        def over(at: float, number: int = number) -> None:
            done.append((number, at))

        channel.add(Access(bank=bank, row=row, bursts=bursts, written=written, arrived=0.0, done=over))
    for now in range(cycles):
        channel.serve(now)
    assert channel.idle
    return channel, [(number, pytest.approx(at)) for number, at in done]


def test_a_closed_bank_opens_its_row_and_then_reads_as_its_group_allows() -> None:
    channel, done = served((0, 7, 4, False), (0, 7, 1, False))
    assert done == [(0, 17 + 3 * 3 + 1), (1, 17 + 4 * 3 + 1)]
    assert channel.opened == 1 and channel.busy == 5


def test_groups_take_turns_on_the_bus() -> None:
    """Banks 0 and 1 are of two groups: the second row opens tRRD later, then bursts alternate where they can."""
    _, done = served((0, 0, 3, False), (1, 0, 3, False))
    assert done == [(0, 17 + 2 * 3 + 1), (1, 19 + 2 * 3 + 1)]


def test_another_row_of_a_bank_waits_for_row_cycle_or_for_the_last_read_and_precharge() -> None:
    assert served((0, 0, 1, False), (0, 1, 1, False))[1][1] == (1, 50 + 17 + 1)
    long = 17 + 31 * 3  # last column command
    assert served((0, 0, 32, False), (0, 1, 1, False))[1][1] == (1, long + 7 + 13 + 17 + 1)


def test_a_written_row_closes_only_when_it_has_recovered() -> None:
    long = 17 + 31 * 3
    assert served((0, 0, 32, True), (0, 1, 1, True))[1][1] == (1, long + 6 + 1 + 19 + 13 + 17 + 1)


def test_rows_open_at_most_four_in_a_window_and_apart_within_a_group() -> None:
    """Banks 0 and 4 are of one group. The fifth row waits for the window."""
    assert [at for _, at in served((0, 0, 1, False), (4, 0, 1, False))[1]] == [18, 5 + 18]
    found = served(*((bank, 0, 1, False) for bank in range(5)))[1]
    assert [at for _, at in found] == [18, 20, 22, 24, 30 + 18]


def test_a_row_that_is_open_goes_before_an_older_access_that_must_open_one() -> None:
    assert [number for number, _ in served((3, 1, 1, False), (3, 2, 1, False), (3, 1, 1, False))[1]] == [0, 2, 1]


def test_only_the_queue_is_looked_through_for_open_rows() -> None:
    short = replace(TIMING, queue=2)
    accesses = ((3, 1, 1, False), (3, 2, 1, False), (3, 2, 1, False), (3, 1, 1, False))
    assert [number for number, _ in served(*accesses)[1]] == [0, 3, 1, 2]
    assert [number for number, _ in served(*accesses, timing=short)[1]] == [0, 1, 2, 3]


def test_the_bus_turns_with_its_gap() -> None:
    """A read, then a write to the row that is open: CL - CWL + 1 ns besides the burst."""
    channel, done = served((0, 0, 1, False), (1, 0, 1, True))
    assert channel.turns == 1
    # Its row is opened only when the bus has turned at 18 + 9.
    assert done[1][1].expected >= 18 + 9 + 1
    flat = replace(TIMING, row_to_column=Seconds(0.0), precharge=Seconds(0.0))
    assert served((0, 0, 1, False), (0, 0, 1, True), timing=flat)[1] == [(0, 1), (1, 1 + 9 + 1)]


def test_reads_go_before_writes_that_do_not_fill_a_batch() -> None:
    order = [number for number, _ in served((0, 0, 4, True), (1, 0, 4, False), (2, 0, 4, False))[1]]
    assert order[-1] == 0


def test_nothing_moves_while_a_channel_refreshes_and_rows_are_closed_after_it() -> None:
    timing = replace(TIMING, refresh_time=Seconds(200e-9))
    channel, done = Channel(timing, 32.0, Hertz(1e9)), []
    channel.add(Access(bank=0, row=0, bursts=1, written=False, arrived=0.0, done=done.append))
    channel.serve(0)
    for now in range(1, 999):
        channel.serve(now)
    channel.add(Access(bank=0, row=0, bursts=1, written=False, arrived=1000.0, done=done.append))
    for now in range(1000, 1400):
        channel.serve(now)
    assert done == [18, pytest.approx(1000 + 13 + 200 + 17 + 1)]


def test_a_channel_without_losses_runs_at_its_peak() -> None:
    free = DramTiming(
        burst=Bytes(64),
        row=Bytes(1024),
        banks=16,
        row_cycle=NS,
        refresh_interval=Seconds(1e-6),
        refresh_time=Seconds(0),
    )
    for order in Order:
        pattern = Pattern(piece=Bytes(1024), order=order, streams=4, written=0.25)
        assert share_of_peak(free, PEAK, pattern) == pytest.approx(1.0, rel=1e-3)
