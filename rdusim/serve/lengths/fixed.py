"""All requests alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rdusim.serve.arrivals.types import check_positive

if TYPE_CHECKING:
    from rdusim.serve.lengths.types import Numbers, Times


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """Tokens of every prompt and of every answer."""

    prompt: int
    output: int

    def draw(self, rng: np.random.Generator, arrival: Times, client: Numbers) -> tuple[Numbers, Numbers]:
        check_positive(prompt=self.prompt, output=self.output)
        return np.full(len(arrival), self.prompt), np.full(len(arrival), self.output)
