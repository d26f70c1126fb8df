from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdusim.arch.load import load_arch
from rdusim.arch.types import DramTiming, MemoryTier
from rdusim.timing import dram
from rdusim.timing.dram import Order, Pattern
from rdusim.units import Bytes, BytesPerSecond, Hertz, Seconds

toy = cache(lambda: load_arch("toy").socket.memory[0])  # 100 GB/s, one channel, rows of 1 KiB, bursts of 64 B
sn40l = cache(lambda: load_arch("sn40l").socket.memory[0])
GHZ = Hertz(1e9)
NS = 1e-9


def timed(**changes: object) -> MemoryTier:
    """The toy's HBM with other timing."""
    return replace(toy(), timing=replace(toy().timing, **changes))  # type: ignore[arg-type]


def gathered(tier: MemoryTier, size: int, written: float = 0.0) -> dram.Efficiency:
    return dram.efficiency(tier, Bytes(size), written, gathered=True)


def strided(tier: MemoryTier, size: int, stride: int = 0) -> dram.Efficiency:
    bandwidth = BytesPerSecond(tier.bandwidth / tier.channels)
    pattern = Pattern(piece=Bytes(size), order=Order.STRIDED, stride=Bytes(stride))
    return dram.of_channel(tier.timing, bandwidth, pattern)


def test_toy_memory_loses_nothing_on_whole_rows() -> None:
    assert dram.efficiency(toy(), Bytes(1 << 20), 0.0).total == 1.0
    assert dram.efficiency(toy(), Bytes(1 << 20), 0.5).total == 1.0
    assert dram.bytes_per_cycle(toy(), GHZ, Bytes(1024), 0.0) == 100
    assert dram.latency(toy(), GHZ) == pytest.approx(100)


def test_a_refresh_takes_its_time_and_that_of_closing_and_opening_rows() -> None:
    assert dram.efficiency(timed(refresh_time=Seconds(100 * NS)), Bytes(1024), 0.0).refresh == pytest.approx(0.9)
    slow = timed(refresh_time=Seconds(100 * NS), row_cycle=Seconds(40 * NS), read_to_precharge=Seconds(5 * NS))
    around = replace(
        slow, timing=replace(slow.timing, precharge=Seconds(10 * NS), row_to_column=Seconds(15 * NS), row=Bytes(8192))
    )
    assert dram.efficiency(around, Bytes(1024), 0.0).total == pytest.approx(1 - (100 + 5 + 10 + 15) / 1000)
    assert dram.efficiency(timed(refresh_interval=Seconds(0.0)), Bytes(1024), 0.0).refresh == 1.0


def test_a_short_gather_still_takes_a_burst_and_a_stream_does_not() -> None:
    assert gathered(toy(), 65).partial_bursts == pytest.approx(65 / 128)
    assert gathered(toy(), 16).partial_bursts == pytest.approx(16 / 64)
    assert dram.efficiency(toy(), Bytes(16), 0.0).total == 1.0


def test_rows_are_opened_for_free_until_the_banks_run_out() -> None:
    """64 B of a row take 0.64 ns; 16 banks overlap, so 10.24 ns of row cycle are hidden, to the last picosecond."""
    hidden = 16 * 0.64 * NS
    assert strided(timed(row_cycle=Seconds(hidden)), 64).row_misses == pytest.approx(1.0)
    assert strided(timed(row_cycle=Seconds(2 * hidden)), 64).row_misses == pytest.approx(0.5)
    assert strided(timed(row_cycle=Seconds(2 * hidden)), 128).row_misses == pytest.approx(1.0)
    assert strided(timed(row_cycle=Seconds(2 * hidden), banks=8), 128).row_misses == pytest.approx(0.5)


def test_random_rows_collide_in_banks_as_baskett_and_smith_say() -> None:
    """64 requests at random over 16 banks keep 14.1 of them busy."""
    found = gathered(timed(row_cycle=Seconds(32 * 0.64 * NS)), 64).row_misses
    assert found == pytest.approx(dram.busy(64, 16) / 32)
    assert dram.busy(64, 16) == pytest.approx(14.13, abs=0.01)
    assert dram.busy(1, 16) == pytest.approx(1.0)
    assert dram.busy(1e6, 16) == pytest.approx(16, rel=1e-4)


def test_four_rows_at_most_are_opened_in_an_activate_window() -> None:
    """4 x 64 B in 10.24 ns are a quarter of 100 GB/s."""
    assert strided(timed(four_activates=Seconds(10.24 * NS)), 64).activate_window == pytest.approx(0.25)
    assert strided(timed(row_to_row=Seconds(2.56 * NS)), 64).activate_window == pytest.approx(0.25)
    assert strided(timed(row_to_row=Seconds(2.56 * NS)), 1024).activate_window == 1.0


def test_one_bank_group_alone_is_as_slow_as_its_columns() -> None:
    slow = timed(column_same_group=Seconds(1.28 * NS))
    assert dram.efficiency(slow, Bytes(1024), 0.0).bank_groups == pytest.approx(0.5)
    four = replace(slow, timing=replace(slow.timing, bank_groups=4))
    assert dram.efficiency(four, Bytes(1024), 0.0).bank_groups == 1.0
    # Four streams of rows that fill the queue: 5 rows at most lie in one of 4 groups by chance.
    few = replace(four, timing=replace(four.timing, queue=16, row=Bytes(1024)))
    assert dram.efficiency(few, Bytes(1024), 0.0, streams=4).bank_groups == pytest.approx(1 - 0.5 / 4**4, abs=0.01)


def test_the_bus_turns_twice_for_each_batch_of_writes() -> None:
    """A batch is 16 rows of 1 KiB, 163.84 ns. Half and half, 40 ns for both turns: 40 ns lost in twice 163.84."""
    slow = timed(write_to_read=Seconds(30 * NS), read_to_write=Seconds(10 * NS))
    assert dram.efficiency(slow, Bytes(1024), 0.5).turnaround == pytest.approx(1 / (1 + 20 / 163.84))
    assert dram.efficiency(slow, Bytes(1024), 0.25).turnaround == pytest.approx(1 / (1 + 10 / 163.84))
    assert dram.efficiency(slow, Bytes(1024), 0.0).turnaround == 1.0
    assert dram.efficiency(slow, Bytes(1024), 1.0).turnaround == 1.0
    assert dram.turn_cycles(slow, GHZ, None) == pytest.approx(40)
    assert dram.turn_cycles(slow, GHZ, 8192) == pytest.approx(20)


def test_a_stride_of_a_power_of_two_meets_all_banks() -> None:
    busy = [strided(sn40l(), 64, 4096 << power).total for power in range(10)]
    assert min(busy) == pytest.approx(max(busy))


def test_sn40l_streams_over_nine_tenths_of_its_hbm() -> None:
    """MICRO'24 VI: close to 85% is reached by whole decoders, so the memory alone must give more."""
    found = dram.efficiency(sn40l(), sn40l().timing.row, 0.0)
    assert found.total == pytest.approx(1 - (260 + 5 + 14 + 14) / 3900)
    assert 0.9 < found.total < 1.0


times = st.floats(0, 3e-8).map(Seconds)
timings = st.builds(
    DramTiming,
    burst=st.sampled_from([32, 64, 128]).map(Bytes),
    row=st.sampled_from([512, 1024, 8192]).map(Bytes),
    banks=st.sampled_from([4, 12, 64]),
    row_cycle=st.floats(6e-8, 1e-7).map(Seconds),
    refresh_interval=st.floats(1e-6, 1e-5).map(Seconds),
    refresh_time=st.floats(0, 9e-7).map(Seconds),
    bank_groups=st.sampled_from([1, 4]),
    precharge=times,
    row_to_column=times,
    column_same_group=times,
    row_to_row=times,
    four_activates=times,
    write_recovery=times,
    write_to_read=times,
    queue=st.integers(1, 256),
)
tiers = st.builds(
    MemoryTier,
    name=st.just("hbm"),
    capacity=st.just(Bytes(1 << 30)),
    bandwidth=st.floats(1e9, 1e13).map(BytesPerSecond),
    latency=st.floats(0, 1e-6).map(Seconds),
    channels=st.integers(1, 64),
    timing=timings,
)


@given(
    tier=tiers,
    size=st.integers(0, 1 << 20),
    written=st.floats(0, 1),
    streams=st.integers(1, 600),
    order=st.booleans(),
)
def test_no_pattern_beats_the_peak(tier: MemoryTier, size: int, written: float, streams: int, order: bool) -> None:
    found = dram.efficiency(tier, Bytes(size), written, streams=streams, gathered=order)
    for factor in (*found.factors().values(), found.total):
        assert 0.0 < factor <= 1.0 + 1e-12


@given(tier=tiers, bursts=st.integers(1, 7))
def test_longer_gathers_of_whole_bursts_never_give_less(tier: MemoryTier, bursts: int) -> None:
    short, long = (gathered(tier, min(1 << power, 256)).total for power in (bursts, bursts + 1))
    assert long >= short * (1 - 1e-12)


@given(timing=timings, first=st.integers(0, 1 << 30))
def test_every_address_has_a_place_of_its_own(timing: DramTiming, first: int) -> None:
    """All requests of a row of each group: each row takes as many as it has bytes, in every bank of a group in turn."""
    piece = min(dram.REQUEST, timing.row)
    size = timing.row * timing.bank_groups
    begin = first // size * size
    places = [dram.place(timing, begin + at) for at in range(0, size, piece)]
    assert len(set(places)) == timing.bank_groups
    assert all(places.count(place) == timing.row // piece for place in set(places))
    assert len({bank % timing.bank_groups for bank, _ in places}) == timing.bank_groups
