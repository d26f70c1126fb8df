"""What an arrival process says: when requests come, and from which client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from rdusim.errors import OptionError, Problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Times = NDArray[np.float64]
    Numbers = NDArray[np.int64]


class Arrivals(Protocol):
    """An arrival process. The same generator state gives the same bytes."""

    def draw(self, rng: np.random.Generator, count: int) -> tuple[Times, Numbers]:
        """Times of `count` arrivals from 0 on, ascending, and the client of each. Raises an RdusimError."""


def check_positive(**values: float) -> None:
    """Raises OptionError for every value that is not a finite number above 0."""
    problems = [
        Problem(message=f"{value} is not above 0", field=name, hint="a finite number above 0")
        for name, value in values.items()
        if not 0 < value < np.inf
    ]
    if problems:
        raise OptionError(*problems)


def of_one(times: Times) -> tuple[Times, Numbers]:
    """Arrivals that all come from client 0."""
    return times, np.zeros(len(times), dtype=np.int64)
