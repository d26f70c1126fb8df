"""Pattern compute unit: cycles of a systolic block product and of a SIMD chain, spread over several PCUs.

`interval` is the time between two tiles that a stage of that width keeps up; `fill` what one tile waits besides.
Equations: docs/model.md, "PCU".
"""

from __future__ import annotations

from math import ceil, log2

from rdusim.arch.types import Pcu
from rdusim.dtypes import size_of
from rdusim.errors import LowerError
from rdusim.timing.work import SimdWork, SystolicWork, Work
from rdusim.units import Cycles

MOST_SPLITS = 8  # ways a contraction is cut merely to balance; more only when PCUs outnumber the blocks


def interval(work: Work, pcus: int, pcu: Pcu) -> Cycles:
    """Cycles that `pcus` units together need for one tile of `work`, filled pipelines given."""
    if isinstance(work, SystolicWork):
        return _systolic_interval(work, pcus, pcu)
    return _simd_interval(work, pcus, pcu)


def fill(work: Work, pcus: int, pcu: Pcu) -> Cycles:
    """Cycles that a tile takes besides the interval: skew, pipeline and reduction depth."""
    if isinstance(work, SystolicWork):
        splits = max(1, pcus // max(1, blocks(work, pcu)))
        return Cycles(pcu.systolic_rows + pcu.systolic_cols + _tree(splits) + pcu.tail_latency)
    chain = chain_length(work, pcu)
    depth = chain * (pcu.stages + pcu.tail_latency)
    across = _tree(max(1, pcus // chain)) if work.reduction else 0
    return Cycles(depth + (ceil(log2(pcu.lanes)) + across if work.reduction else 0))


def least_cycles(work: Work, pcu: Pcu) -> Cycles:
    """PCU-cycles of the work, all units together, without rounding to whole blocks over units: the lower bound."""
    if isinstance(work, SystolicWork):
        return Cycles(blocks(work, pcu) * _contraction(work, pcu))
    return Cycles(work.passes * ceil(work.elements / elements_per_cycle(work, pcu)) * chain_length(work, pcu))


def blocks(work: SystolicWork, pcu: Pcu) -> int:
    """Output blocks of rows x cols accumulators, in the better of the two orientations; edge blocks waste lanes."""
    upright = ceil(work.n / pcu.systolic_rows) * ceil(work.m / pcu.systolic_cols)
    turned = ceil(work.m / pcu.systolic_rows) * ceil(work.n / pcu.systolic_cols)
    return work.batch * min(upright, turned)


def chain_length(work: SimdWork, pcu: Pcu) -> int:
    """PCUs in a row that hold the chain: `stages` operations each, and one tail each."""
    return max(1, ceil(work.operations / pcu.stages), work.tails)


def elements_per_cycle(work: SimdWork, pcu: Pcu) -> int:
    """One vector a cycle: lanes, fewer where an element is wider than a lane."""
    return max(1, min(pcu.lanes, pcu.vector_bytes // size_of(work.dtype)))


def widest(work: Work, pcu: Pcu) -> int:
    """PCUs beyond which the interval cannot shrink."""
    if isinstance(work, SystolicWork):
        return max(1, int(blocks(work, pcu) * _contraction(work, pcu)))
    return chain_length(work, pcu) * ceil(work.elements / elements_per_cycle(work, pcu))


def operand_streams(work: Work, pcus: int, pcu: Pcu) -> tuple[int, int]:
    """Vector streams (moving, stationary) that feed `pcus` units, each one PMU read port.

    A grid of PCUs shares the moving operand along columns and the stationary one along rows (multicast), so a GEMM
    of many rows needs about two square roots of streams, while a GEMV needs a weight stream for each PCU.
    """
    if isinstance(work, SimdWork):
        return max(1, pcus // chain_length(work, pcu)), 0
    across_m, across_n, copies = _grid(work, pcus, pcu)
    return across_m * copies, across_n * copies


def resends(work: SystolicWork, pcus: int, pcu: Pcu) -> int:
    """Times that the moving operand passes: once for every block of columns that a PCU takes in turn."""
    return ceil(ceil(work.n / pcu.systolic_rows) / _grid(work, pcus, pcu)[1])


def _grid(work: SystolicWork, pcus: int, pcu: Pcu) -> tuple[int, int, int]:
    """PCUs along m and along n of a grid, and how many such grids (independent products, splits of K) there are."""
    m_blocks, n_blocks = ceil(work.m / pcu.systolic_cols), ceil(work.n / pcu.systolic_rows)
    splits = max(1, ceil(pcus / max(1, work.batch * m_blocks * n_blocks)))
    grid = max(1, ceil(pcus / splits))
    groups = min(work.batch, grid)  # independent products share nothing
    within = ceil(grid / groups)
    across_m = min(m_blocks, max(1, round((within * m_blocks / n_blocks) ** 0.5)))
    across_n = min(n_blocks, ceil(within / across_m))
    return max(1, across_m), max(1, across_n), max(1, groups * splits)


def _systolic_interval(work: SystolicWork, pcus: int, pcu: Pcu) -> Cycles:
    contraction, count = _contraction(work, pcu), blocks(work, pcu)
    most = min(max(MOST_SPLITS, pcus // count), int(contraction))
    candidates = {1, *range(2, MOST_SPLITS + 1), most, max(1, most // 2)}
    return Cycles(
        min(ceil(count * split / pcus) * ceil(contraction / split) for split in candidates if split <= contraction)
    )


def _contraction(work: SystolicWork, pcu: Pcu) -> float:
    """Cycles of one block: K over the steps a cycle takes; the ports that bring rows and columns may be the limit."""
    per_cycle = macs_per_cycle(work, pcu) / (pcu.systolic_rows * pcu.systolic_cols)
    size = per_cycle * size_of(work.dtype)
    if pcu.vector_ports > 1:  # rows by one port, columns by another
        fed = max(pcu.systolic_rows, pcu.systolic_cols) * size
    else:
        fed = (pcu.systolic_rows + pcu.systolic_cols) * size
    return max(1, ceil(work.k / per_cycle * max(1.0, fed / pcu.vector_bytes)))


def macs_per_cycle(work: SystolicWork, pcu: Pcu) -> int:
    if (rate := pcu.macs_per_cycle.get(work.dtype)) is None:
        known = ", ".join(sorted(pcu.macs_per_cycle))
        raise LowerError(f"this machine has no {work.dtype} arithmetic: choose one of {known} with --dtype")
    return rate


def _simd_interval(work: SimdWork, pcus: int, pcu: Pcu) -> Cycles:
    chain = chain_length(work, pcu)
    vectors = ceil(work.elements / elements_per_cycle(work, pcu))
    if pcus < chain:  # the chain is run in several rounds over the same units
        return Cycles(work.passes * vectors * ceil(chain / pcus))
    return Cycles(work.passes * ceil(vectors / (pcus // chain)))


def _tree(ways: int) -> int:
    """Levels of a reduction tree over `ways` partial results."""
    return ceil(log2(ways)) if ways > 1 else 0
