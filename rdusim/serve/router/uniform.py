"""Uniform: every expert is as likely as any other, each request for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rdusim.serve.router.types import RouterParameters, RouterPolicy

if TYPE_CHECKING:
    from rdusim.serve.router.types import Ints


def choose(count: int, experts: int, rng: np.random.Generator, parameters: RouterParameters) -> Ints:
    return rng.integers(experts, size=count, dtype=np.int64)


POLICY = RouterPolicy(choose=choose)
