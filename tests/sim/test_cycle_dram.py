"""The channel of the engine `cycle`, command by command, against the closed form of timing/dram.py."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from rdusim.arch.load import load_arch
from rdusim.arch.types import MemoryTier
from rdusim.sim.cycle.channel import Access, Channel
from rdusim.timing import dram
from rdusim.units import Bytes, Seconds

socket = cache(lambda: load_arch("sn40l").socket)
toy = cache(lambda: load_arch("toy").socket)

IN_FLIGHT = 256  # accesses: as many as the AGCUs of a socket keep in one channel


def channel_of(tier: MemoryTier) -> Channel:
    return Channel(tier.timing, tier.bandwidth / tier.channels / socket().clock, socket().clock)


def share_of_peak(tier: MemoryTier, contiguous: int, written: float, total: int = 1 << 19) -> float:
    """What the channel reaches when accesses of `contiguous` bytes to one row after the other keep it full."""
    channel, timing = channel_of(tier), tier.timing
    piece = min(contiguous, 256)
    flying, end, now, owed = 0, 0.0, 0, 0.0
    moved = {False: 0, True: 0}
    rows = {False: 0, True: 1 << 14}

    def done(at: float) -> None:
        nonlocal flying, end
        flying, end = flying - 1, max(end, at)

    while flying or sum(moved.values()) < total:
        while flying < IN_FLIGHT and sum(moved.values()) < total:
            owed += written
            direction = owed >= 1.0
            owed -= direction
            row = rows[direction] + moved[direction] // min(contiguous, timing.row)
            bursts = -(-piece // timing.burst)
            access = Access(
                bank=row % timing.banks, row=row, bursts=bursts, written=direction, arrived=float(now), done=done
            )
            channel.add(access)
            moved[direction] += piece
            flying += 1
        channel.serve(now)
        now += 1
    return total / end / (tier.bandwidth / tier.channels / socket().clock)


@pytest.mark.parametrize("tier", socket().memory, ids=lambda tier: tier.name)
@pytest.mark.parametrize("contiguous", [1 << 20, 256, 64])
@pytest.mark.parametrize("written", [0.0, 0.25, 0.5])
def test_commands_confirm_the_closed_form_within_a_tenth(tier: MemoryTier, contiguous: int, written: float) -> None:
    """Streams, short rows, and mixes of reads and writes."""
    expected = dram.efficiency(tier, Bytes(contiguous), written).total
    assert share_of_peak(tier, contiguous, written) == pytest.approx(expected, rel=0.1)


def test_less_than_a_burst_still_takes_one() -> None:
    tier = socket().memory[0]
    expected = dram.efficiency(tier, Bytes(32), 0.0).total
    assert share_of_peak(tier, 32, 0.0) == pytest.approx(expected, rel=0.1)


def test_a_channel_without_losses_runs_at_its_peak() -> None:
    assert share_of_peak(toy().memory[1], 1 << 20, 0.0) == pytest.approx(1.0, rel=0.01)


def test_an_access_takes_its_row_and_its_bursts() -> None:
    """Closed bank: a third of the row cycle to open, then the bursts; the same row again only its bursts."""
    tier = replace(socket().memory[0], timing=replace(socket().memory[0].timing, refresh_time=Seconds(0.0)))
    channel = channel_of(tier)
    opening, burst = tier.timing.row_cycle * socket().clock / 3, channel.burst_cycles
    ends: list[float] = []
    for row in (7, 7, 8):
        channel.add(Access(bank=0, row=row, bursts=4, written=False, arrived=0.0, done=ends.append))
    for now in range(400):
        channel.serve(now)
    assert ends[0] == pytest.approx(opening + 4 * burst)
    assert ends[1] == pytest.approx(opening + 8 * burst)
    # The other row of this bank: one row cycle after the first was opened at the earliest.
    assert ends[2] == pytest.approx(max(4 * opening, ends[1] + 2 * opening) + 4 * burst, abs=1.0)


def test_a_row_that_is_open_goes_before_an_older_access_that_must_open_one() -> None:
    tier = socket().memory[0]
    channel = channel_of(tier)
    order: list[str] = []
    for name, row in (("first", 1), ("other row", 2), ("same row", 1)):
        channel.add(
            Access(bank=3, row=row, bursts=1, written=False, arrived=0.0, done=lambda _, name=name: order.append(name))  # type: ignore[misc]
        )
    for now in range(400):
        channel.serve(now)
    assert order == ["first", "same row", "other row"]


def test_nothing_moves_while_a_channel_refreshes() -> None:
    tier = socket().memory[0]
    channel = channel_of(tier)
    due, takes = channel.refresh_every, channel.refresh_takes
    ends: list[float] = []
    channel.add(Access(bank=0, row=0, bursts=1, written=False, arrived=due, done=ends.append))
    for now in range(int(due), int(due + takes + 100)):
        channel.serve(now)
    assert ends[0] >= due + takes
