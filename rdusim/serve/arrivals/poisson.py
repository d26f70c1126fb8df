"""Poisson arrivals: nobody knows of anybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rdusim.serve.arrivals.types import check_positive, of_one

if TYPE_CHECKING:
    from rdusim.serve.arrivals.types import Numbers, Times


@dataclass(frozen=True, slots=True, kw_only=True)
class Poisson:
    """`rate`: requests a second, above 0."""

    rate: float

    def draw(self, rng: np.random.Generator, count: int) -> tuple[Times, Numbers]:
        check_positive(rate=self.rate)
        return of_one(np.cumsum(rng.exponential(1 / self.rate, count)))
