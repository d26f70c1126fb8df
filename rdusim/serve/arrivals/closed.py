"""A closed loop: a fixed number of clients, each asks again some time after its last answer is complete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rdusim.serve.arrivals.types import check_positive
from rdusim.units import Seconds

if TYPE_CHECKING:
    from rdusim.serve.arrivals.types import Numbers, Times


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """`think`: mean seconds between an answer and the next question, exponential unless `fixed`."""

    clients: int
    think: Seconds = Seconds(0.0)
    fixed: bool = False

    def draw(self, rng: np.random.Generator, count: int) -> tuple[Times, Numbers]:
        """All first questions come at 0; later times are not known in advance: `serve` finds them from `thinking`."""
        check_positive(clients=self.clients)
        return np.zeros(count), np.arange(count, dtype=np.int64) % self.clients

    def thinking(self, rng: np.random.Generator, count: int) -> Times:
        """Seconds that the client thinks before each request; `serve` takes them as `think`."""
        if self.fixed or not self.think:
            return np.full(count, float(self.think))
        check_positive(think=self.think)
        return rng.exponential(self.think, count)
