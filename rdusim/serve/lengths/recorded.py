"""Lengths of a trace: in their order, or drawn from it as pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from rdusim.serve.lengths.types import Numbers, Times


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Columns of a trace. In order they start again at the end; `shuffled`: drawn with replacement, pairs kept."""

    prompt: Numbers
    output: Numbers
    shuffled: bool = False

    def draw(self, rng: np.random.Generator, arrival: Times, client: Numbers) -> tuple[Numbers, Numbers]:
        size, count = len(self.prompt), len(arrival)
        rows = rng.integers(size, size=count) if self.shuffled else np.arange(count) % size
        return self.prompt[rows], self.output[rows]
