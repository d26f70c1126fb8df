"""Round robin: one expert after the other; the worst case of every cache that keeps what was used last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rdusim.serve.router.types import RouterParameters, RouterPolicy

if TYPE_CHECKING:
    from rdusim.serve.router.types import Ints


def choose(count: int, experts: int, rng: np.random.Generator, parameters: RouterParameters) -> Ints:
    return np.arange(count, dtype=np.int64) % experts


POLICY = RouterPolicy(choose=choose)
