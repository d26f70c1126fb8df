"""Zipf: the k-th expert is chosen in proportion to k ** -exponent, each request for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rdusim.serve.router.types import RouterParameters, RouterPolicy

if TYPE_CHECKING:
    from rdusim.serve.router.types import Ints


def choose(count: int, experts: int, rng: np.random.Generator, parameters: RouterParameters) -> Ints:
    """Expert 0 is the most popular. A draw is the inverse of the cumulative shares at a uniform number."""
    shares = np.arange(1, experts + 1, dtype=np.float64) ** -parameters.exponent
    below = np.cumsum(shares)
    drawn: Ints = np.searchsorted(below, rng.random(count) * below[-1], side="right").astype(np.int64)
    return np.minimum(drawn, experts - 1)  # a product may round up to the very end


POLICY = RouterPolicy(choose=choose, uses=("exponent",))
