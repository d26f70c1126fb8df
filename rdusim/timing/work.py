"""What a stage asks of its PCUs for one tile: blocks of a systolic array, or vectors of a SIMD pipeline."""

from __future__ import annotations

from dataclasses import dataclass

from rdusim.dtypes import DType


@dataclass(frozen=True, slots=True, kw_only=True)
class SystolicWork:
    """`batch` independent products of an m x k by a k x n matrix."""

    batch: int
    m: int
    n: int
    k: int
    dtype: DType

    @property
    def macs(self) -> int:
        return self.batch * self.m * self.n * self.k


@dataclass(frozen=True, slots=True, kw_only=True)
class SimdWork:
    """`elements` pass `passes` times through a chain of `operations` pipeline operations, `tails` of them in the tail.

    `reduction`: a cross-lane reduction tree ends the chain.
    """

    elements: int
    operations: int
    tails: int
    passes: int
    reduction: bool
    dtype: DType


Work = SystolicWork | SimdWork
