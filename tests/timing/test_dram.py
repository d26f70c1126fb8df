from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdusim.arch.load import load_arch
from rdusim.arch.types import DramTiming, MemoryTier
from rdusim.timing import dram
from rdusim.units import Bytes, BytesPerSecond, Hertz, Seconds

toy = cache(lambda: load_arch("toy").socket.memory[0])  # 100 GB/s, one channel, rows of 1 KiB, bursts of 64 B
sn40l = cache(lambda: load_arch("sn40l").socket.memory[0])
GHZ = Hertz(1e9)


def timed(**changes: object) -> MemoryTier:
    """The toy's HBM with other timing."""
    return replace(toy(), timing=replace(toy().timing, **changes))  # type: ignore[arg-type]


def test_toy_memory_loses_nothing_on_whole_rows() -> None:
    assert dram.efficiency(toy(), Bytes(1 << 20), 0.0).total == 1.0
    assert dram.efficiency(toy(), Bytes(1 << 20), 0.5).total == 1.0
    assert dram.bytes_per_cycle(toy(), GHZ, Bytes(1024), 0.0) == 100
    assert dram.latency(toy(), GHZ) == pytest.approx(100)


def test_refresh_takes_its_share_of_time() -> None:
    found = dram.efficiency(timed(refresh_time=Seconds(100e-9)), Bytes(1024), 0.0)
    assert found.refresh == pytest.approx(0.9)
    assert found.total == pytest.approx(0.9)
    assert dram.efficiency(timed(refresh_interval=Seconds(0.0)), Bytes(1024), 0.0).refresh == 1.0


def test_a_short_access_still_takes_a_burst() -> None:
    assert dram.efficiency(toy(), Bytes(64), 0.0).rows == 1.0
    assert dram.efficiency(toy(), Bytes(65), 0.0).rows == pytest.approx(65 / 128)
    assert dram.efficiency(toy(), Bytes(16), 0.0).rows == pytest.approx(16 / 64)
    assert dram.efficiency(timed(row_cycle=Seconds(0.0)), Bytes(16), 0.0).rows == pytest.approx(16 / 64)


def test_rows_are_opened_for_free_until_the_banks_run_out() -> None:
    """64 B of a row take 0.64 ns; 16 banks overlap, so 10.24 ns of row cycle are hidden, to the last picosecond."""
    hidden = 16 * 0.64e-9
    assert dram.efficiency(timed(row_cycle=Seconds(hidden)), Bytes(64), 0.0).rows == pytest.approx(1.0)
    assert dram.efficiency(timed(row_cycle=Seconds(2 * hidden)), Bytes(64), 0.0).rows == pytest.approx(0.5)
    assert dram.efficiency(timed(row_cycle=Seconds(2 * hidden)), Bytes(128), 0.0).rows == pytest.approx(1.0)
    assert dram.efficiency(timed(row_cycle=Seconds(2 * hidden), banks=8), Bytes(128), 0.0).rows == pytest.approx(0.5)


def test_an_access_beyond_a_row_opens_the_next_one() -> None:
    slow = timed(row_cycle=Seconds(1e-6))
    assert dram.efficiency(slow, Bytes(1024), 0.0) == dram.efficiency(slow, Bytes(1 << 30), 0.0)


def test_the_bus_turns_twice_for_each_batch_of_writes() -> None:
    """A batch is 16 rows of 1 KiB, 163.84 ns. Half and half, 20 ns for each turn: 40 ns lost in twice 163.84."""
    slow = timed(turnaround=Seconds(20e-9))
    assert dram.efficiency(slow, Bytes(1024), 0.5).turnaround == pytest.approx(1 / (1 + 20 / 163.84))
    assert dram.efficiency(slow, Bytes(1024), 0.0).turnaround == 1.0
    assert dram.efficiency(slow, Bytes(1024), 1.0).turnaround == 1.0
    assert dram.efficiency(slow, Bytes(1024), 0.25) == dram.efficiency(slow, Bytes(1024), 0.75)


def test_sn40l_streams_over_nine_tenths_of_its_hbm() -> None:
    """MICRO'24 VI: close to 85% is reached by whole decoders, so the memory alone must give more."""
    found = dram.efficiency(sn40l(), sn40l().timing.row, 0.0)
    assert found.refresh == pytest.approx(1 - 260 / 3900)
    assert 0.9 < found.total < 1.0


timings = st.builds(
    DramTiming,
    burst=st.sampled_from([32, 64, 128]).map(Bytes),
    row=st.sampled_from([512, 1024, 8192]).map(Bytes),
    banks=st.integers(1, 64),
    row_cycle=st.floats(0, 1e-7).map(Seconds),
    refresh_interval=st.floats(1e-6, 1e-5).map(Seconds),
    refresh_time=st.floats(0, 9e-7).map(Seconds),
    turnaround=st.floats(0, 1e-7).map(Seconds),
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


@given(tier=tiers, size=st.integers(0, 1 << 20), written=st.floats(0, 1))
def test_no_pattern_beats_the_peak(tier: MemoryTier, size: int, written: float) -> None:
    found = dram.efficiency(tier, Bytes(size), written)
    for factor in (found.refresh, found.rows, found.turnaround, found.total):
        assert 0.0 < factor <= 1.0
    assert dram.bytes_per_cycle(tier, GHZ, Bytes(size), written) <= tier.bandwidth / GHZ


@given(tier=tiers, bursts=st.integers(1, 63), written=st.floats(0, 1))
def test_longer_runs_of_whole_bursts_never_give_less(tier: MemoryTier, bursts: int, written: float) -> None:
    short, long = (
        dram.bytes_per_cycle(tier, GHZ, Bytes(count * tier.timing.burst), written) for count in (bursts, bursts + 1)
    )
    assert long >= short * (1 - 1e-12)
