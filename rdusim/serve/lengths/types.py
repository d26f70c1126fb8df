"""What a source of lengths says: tokens of prompts and of answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Times = NDArray[np.float64]
    Numbers = NDArray[np.int64]


class Lengths(Protocol):
    """A source of lengths. The same generator state gives the same bytes."""

    def draw(self, rng: np.random.Generator, arrival: Times, client: Numbers) -> tuple[Numbers, Numbers]:
        """Prompt and output tokens, both at least 1, of requests with these arrivals and clients."""
