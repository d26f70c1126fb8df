"""Bursts: times between arrivals with a gamma distribution (as AlpaServe and vLLM's benchmarks have it)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rdusim.serve.arrivals.types import check_positive, of_one

if TYPE_CHECKING:
    from rdusim.serve.arrivals.types import Numbers, Times


@dataclass(frozen=True, slots=True, kw_only=True)
class Gamma:
    """`cv`: standard deviation of the times between arrivals over their mean; 1 is Poisson, more is bursts."""

    rate: float
    cv: float = 1.0

    def draw(self, rng: np.random.Generator, count: int) -> tuple[Times, Numbers]:
        check_positive(rate=self.rate, cv=self.cv)
        return of_one(np.cumsum(rng.gamma(self.cv**-2, self.cv**2 / self.rate, count)))
