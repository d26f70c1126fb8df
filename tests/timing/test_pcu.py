from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdusim.arch.load import load_arch
from rdusim.arch.types import Pcu
from rdusim.dtypes import DType
from rdusim.errors import LowerError
from rdusim.timing import pcu
from rdusim.timing.work import SimdWork, SystolicWork, Work
from rdusim.units import Bytes, Cycles

toy = cache(lambda: load_arch("toy").socket.tile.pcu)  # 4 x 4 accumulators, 16 MACs, 8 B vectors, 2 stages, tail 2
sn40l = cache(lambda: load_arch("sn40l").socket.tile.pcu)  # 16 x 8 accumulators, 256 MACs, 64 B vectors


def gemm(m: int, n: int, k: int, batch: int = 1, dtype: DType = "bf16") -> SystolicWork:
    return SystolicWork(batch=batch, m=m, n=n, k=k, dtype=dtype)


def chain(
    elements: int, operations: int, tails: int = 0, passes: int = 1, reduction: bool = False, dtype: DType = "bf16"
) -> SimdWork:
    return SimdWork(
        elements=elements, operations=operations, tails=tails, passes=passes, reduction=reduction, dtype=dtype
    )


@pytest.mark.parametrize(
    ("work", "cycles"),
    [
        (gemm(4, 4, 10), 10),  # one block: a step of the contraction a cycle
        (gemm(8, 8, 10), 40),  # 2 x 2 blocks
        (gemm(5, 8, 10), 40),  # the edge block wastes 3 of its 4 rows
        (gemm(1, 8, 10), 20),  # one row takes as long as four
        (gemm(4, 4, 10, batch=3), 30),  # products of a batch share no block
        (gemm(4, 4, 10, dtype="fp32"), 40),  # 4 MACs a cycle; an fp32 vector of 4 takes two port cycles, hidden in 4
        (gemm(4, 4, 10, dtype="int8"), 5),  # 32 MACs a cycle: two steps, 8 B of 1 B elements through the port
    ],
)
def test_one_toy_pcu_takes_the_cycles_that_a_person_counts(work: SystolicWork, cycles: int) -> None:
    assert pcu.interval(work, 1, toy()) == cycles
    assert pcu.least_cycles(work, toy()) == cycles


def test_blocks_take_the_better_orientation() -> None:
    assert pcu.blocks(gemm(8, 16, 1), sn40l()) == 1  # 16 rows of accumulators hold n, 8 columns hold m
    assert pcu.blocks(gemm(16, 8, 1), sn40l()) == 1  # turned: nothing is wasted either
    assert pcu.blocks(gemm(9, 16, 1), sn40l()) == 2  # 9 columns are two blocks upright, 16 / 8 two turned
    assert pcu.blocks(gemm(1, 17, 1), sn40l()) == 2
    assert pcu.blocks(gemm(1, 16, 1), sn40l()) == 1


def test_the_port_limits_a_wide_array() -> None:
    """256 MACs over 16 x 8 are 2 steps a cycle; 2 steps of 16 bf16 rows are the 64 B of the port."""
    assert pcu.interval(gemm(8, 16, 1000), 1, sn40l()) == 500
    narrow = replace(sn40l(), vector_bytes=Bytes(32))
    assert pcu.interval(gemm(8, 16, 1000), 1, narrow) == 1000


def test_a_decode_row_is_limited_by_the_weights_port() -> None:
    """A GEMV of 4096 x 4096 uses 1 of 8 columns: 256 blocks of 2048 cycles, 8 times what its MACs would need."""
    row, cycles = gemm(1, 4096, 4096), 256 * 2048
    assert pcu.least_cycles(row, sn40l()) == cycles
    assert cycles == 8 * row.macs / sn40l().macs_per_cycle["bf16"]
    weight_bytes = 2 * row.n * row.k
    assert weight_bytes / cycles == sn40l().vector_bytes  # exactly one vector of weights a cycle


def test_more_pcus_than_blocks_split_the_contraction() -> None:
    work = gemm(4, 4, 100)  # one block on the toy machine
    assert [pcu.interval(work, pcus, toy()) for pcus in (1, 2, 4, 8, 100)] == [100, 50, 25, 13, 1]
    assert pcu.interval(gemm(4, 4, 3), 8, toy()) == 1  # no more ways than steps


def test_a_split_balances_blocks_that_do_not_divide() -> None:
    assert pcu.interval(gemm(4, 12, 100), 2, toy()) == 150  # 3 blocks over 2 PCUs: halves, 3 each, not 2 blocks of 100


def test_systolic_fill_is_skew_tree_and_tail() -> None:
    assert pcu.fill(gemm(4, 4, 100), 1, toy()) == 4 + 4 + 0 + 2
    assert pcu.fill(gemm(4, 4, 100), 8, toy()) == 4 + 4 + 3 + 2  # 8 partial sums: a tree of 3 levels
    assert pcu.fill(gemm(8, 8, 100), 4, toy()) == 4 + 4 + 0 + 2  # a PCU a block: nothing to add up


@pytest.mark.parametrize(
    ("work", "units"),
    [
        (chain(8, 1), 1),
        (chain(8, 2), 1),
        (chain(8, 3), 2),  # two stages a PCU
        (chain(8, 5), 3),
        (chain(8, 2, tails=3), 3),  # each tail has a PCU of its own
        (chain(8, 0), 1),
    ],
)
def test_a_chain_takes_a_pcu_for_every_two_operations_or_tail(work: SimdWork, units: int) -> None:
    assert pcu.chain_length(work, toy()) == units


def test_a_simd_chain_moves_one_vector_a_cycle() -> None:
    assert pcu.interval(chain(16, 2), 1, toy()) == 4  # 16 elements, 4 lanes
    assert pcu.interval(chain(17, 2), 1, toy()) == 5  # a last vector of one element
    assert pcu.interval(chain(16, 2, passes=3), 1, toy()) == 12
    assert pcu.interval(chain(16, 2, dtype="fp32"), 1, toy()) == 8  # 8 B of port carry two fp32
    assert pcu.interval(chain(16, 2, dtype="int8"), 1, toy()) == 4  # never more than the lanes


def test_a_chain_on_too_few_pcus_goes_round() -> None:
    four = chain(16, 8)  # four PCUs long
    assert [pcu.interval(four, pcus, toy()) for pcus in (1, 2, 3, 4, 7, 8)] == [16, 8, 8, 4, 4, 2]


def test_a_reduction_adds_the_depth_of_its_tree() -> None:
    assert pcu.fill(chain(16, 2), 1, toy()) == 2 + 2
    assert pcu.fill(chain(16, 2, reduction=True), 1, toy()) == 2 + 2 + 2  # log2 of 4 lanes
    assert pcu.fill(chain(16, 2, reduction=True), 4, toy()) == 2 + 2 + 2 + 2  # and of 4 units
    assert pcu.fill(chain(16, 4), 2, toy()) == 2 * (2 + 2)  # two PCUs in a row


def test_a_gemv_needs_a_weight_stream_for_every_pcu_and_a_gemm_two_roots() -> None:
    assert pcu.operand_streams(gemm(1, 400, 64), 100, toy()) == (1, 100)
    moving, still = pcu.operand_streams(gemm(400, 400, 64), 100, toy())
    assert (moving, still) == (10, 10)
    assert pcu.operand_streams(gemm(4, 4, 64), 1, toy()) == (1, 1)
    assert pcu.operand_streams(chain(64, 4), 6, toy()) == (3, 0)  # three copies of a chain of two


def test_1040_pcus_reach_638_tflops() -> None:
    """facts/targets.csv T01: MICRO'24 Table II."""
    socket = load_arch("sn40l").socket
    assert socket.pcus == 1040
    assert 2 * socket.pcus * socket.tile.pcu.macs_per_cycle["bf16"] * socket.clock == pytest.approx(638e12, rel=1e-3)


def test_a_full_block_reaches_the_peak() -> None:
    work = gemm(8 * 64, 16 * 65, 4096)  # 4160 blocks, four for each of 1040 PCUs
    assert pcu.interval(work, 1040, sn40l()) == work.macs / (1040 * 256)


def test_a_missing_number_format_is_said_with_the_way_out() -> None:
    with pytest.raises(LowerError, match="no fp8 arithmetic: choose one of bf16, fp16, fp32, int32, int8 with --dtype"):
        pcu.interval(gemm(4, 4, 4, dtype="fp8"), 1, toy())


sizes = st.integers(1, 300)
dtypes = st.sampled_from(["bf16", "fp32", "int8"])
systolic = st.builds(SystolicWork, batch=st.integers(1, 4), m=sizes, n=sizes, k=sizes, dtype=dtypes)
simd = st.builds(
    SimdWork,
    elements=st.integers(1, 5000),
    operations=st.integers(1, 20),
    tails=st.integers(0, 5),
    passes=st.integers(1, 3),
    reduction=st.booleans(),
    dtype=dtypes,
)
machines = st.sampled_from(["toy", "sn40l"]).map(lambda name: toy() if name == "toy" else sn40l())


@given(work=simd, pcus=st.integers(1, 200), unit=machines)
def test_more_pcus_never_slow_a_simd_chain(work: Work, pcus: int, unit: Pcu) -> None:
    assert pcu.interval(work, pcus + 1, unit) <= pcu.interval(work, pcus, unit)


@given(work=systolic, pcus=st.integers(1, 200), unit=machines)
def test_a_product_never_beats_the_macs_of_its_pcus(work: SystolicWork, pcus: int, unit: Pcu) -> None:
    peak = pcus * unit.macs_per_cycle[work.dtype]
    assert pcu.interval(work, pcus, unit) * peak >= work.macs


@given(work=simd, pcus=st.integers(1, 200), unit=machines)
def test_a_chain_never_beats_the_lanes_of_its_pcus(work: SimdWork, pcus: int, unit: Pcu) -> None:
    most = pcus * unit.stages * pcu.elements_per_cycle(work, unit)
    assert pcu.interval(work, pcus, unit) * most >= work.elements * work.passes * work.operations


@given(work=systolic, pcus=st.integers(1, 64), unit=machines, more=st.integers(1, 64))
def test_more_rows_never_take_less(work: SystolicWork, pcus: int, unit: Pcu, more: int) -> None:
    assert pcu.interval(replace(work, m=work.m + more), pcus, unit) >= pcu.interval(work, pcus, unit)


@given(work=systolic | simd, pcus=st.integers(1, 64), unit=machines)
def test_every_time_is_a_whole_number_of_cycles(work: Work, pcus: int, unit: Pcu) -> None:
    for cycles in (pcu.interval(work, pcus, unit), pcu.fill(work, pcus, unit)):
        assert cycles > 0 and cycles == Cycles(int(cycles))
