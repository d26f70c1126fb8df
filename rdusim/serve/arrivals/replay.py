"""Arrivals as they were recorded, faster or slower if wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rdusim.errors import OptionError, Problem
from rdusim.serve.arrivals.types import check_positive, of_one

if TYPE_CHECKING:
    from rdusim.serve.arrivals.types import Numbers, Times


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """`arrival`: of a trace, ascending. `speed`: 2 makes a minute of half a minute."""

    arrival: Times
    speed: float = 1.0

    def draw(self, rng: np.random.Generator, count: int) -> tuple[Times, Numbers]:
        """The first `count` of the trace, the first of them at 0. Raises OptionError if it has fewer."""
        check_positive(speed=self.speed)
        if count > len(self.arrival):
            raise OptionError(
                Problem(
                    message=f"{count} requests are wanted, the trace has {len(self.arrival)}",
                    field="requests",
                    hint=f"at most {len(self.arrival)}, or a longer trace",
                )
            )
        times = np.asarray(self.arrival[:count], dtype=np.float64)
        return of_one((times - times[:1]) / self.speed)
