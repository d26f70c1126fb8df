"""More of a unit is never slower: laws of the timing of single units."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from hypothesis import example, given
from hypothesis import strategies as st

from rdusim.arch.load import load_arch
from rdusim.arch.types import Pcu
from rdusim.timing import dram, pcu
from rdusim.timing.work import SimdWork, SystolicWork, Work
from rdusim.units import Bytes, BytesPerSecond, Hertz, Seconds

unit_of = cache(lambda name: load_arch(name).socket.tile.pcu)
sizes, formats = st.integers(1, 300), st.sampled_from(["bf16", "fp32", "int8"])
systolic = st.builds(SystolicWork, batch=st.integers(1, 4), m=sizes, n=sizes, k=sizes, dtype=formats)
simd = st.builds(
    SimdWork,
    elements=st.integers(1, 5000),
    operations=st.integers(1, 20),
    tails=st.integers(0, 5),
    passes=st.integers(1, 3),
    reduction=st.booleans(),
    dtype=formats,
)
units = st.sampled_from(["toy", "sn40l"]).map(unit_of)
DOT = SystolicWork(batch=1, m=1, n=1, k=20, dtype="bf16")  # one block of 20 steps on the toy machine


@given(work=systolic | simd, pcus=st.integers(1, 400), unit=units)
@example(work=DOT, pcus=20, unit=unit_of("toy"))  # 20 PCUs take a step each; so must 21
def test_more_pcus_never_slow_a_stage(work: Work, pcus: int, unit: Pcu) -> None:
    assert pcu.interval(work, pcus + 1, unit) <= pcu.interval(work, pcus, unit)


@given(work=systolic | simd, unit=units, more=st.integers(1, 64))
def test_width_beyond_the_widest_changes_nothing(work: Work, unit: Pcu, more: int) -> None:
    wide = pcu.widest(work, unit)
    assert pcu.interval(work, wide + more, unit) == pcu.interval(work, wide, unit)


@given(
    size=st.integers(1, 1 << 14),
    written=st.floats(0, 1),
    factor=st.floats(1, 10),
    row_cycle=st.floats(0, 1e-7),
    write_to_read=st.floats(0, 1e-7),
    banks=st.integers(1, 32),
)
def test_more_bandwidth_never_gives_less(
    size: int, written: float, factor: float, row_cycle: float, write_to_read: float, banks: int
) -> None:
    """Short accesses in rows of few banks, with reads among writes: the time to turn the bus counts once."""
    hbm = load_arch("sn40l").socket.memory[0]
    timing = replace(hbm.timing, row_cycle=Seconds(row_cycle), write_to_read=Seconds(write_to_read), banks=banks)
    tier = replace(hbm, timing=replace(timing, bank_groups=1))
    faster = replace(tier, bandwidth=BytesPerSecond(tier.bandwidth * factor))
    slow, fast = (dram.bytes_per_cycle(each, Hertz(1e9), Bytes(size), written) for each in (tier, faster))
    assert fast >= slow * (1 - 1e-9)
