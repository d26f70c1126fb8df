"""Log-normal lengths: few long ones among many short ones."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt
from typing import TYPE_CHECKING

import numpy as np

from rdusim.serve.arrivals.types import check_positive

if TYPE_CHECKING:
    from rdusim.serve.lengths.types import Numbers, Times


@dataclass(frozen=True, slots=True, kw_only=True)
class LogNormal:
    """Means in tokens, `cv` their standard deviation over the mean; what is drawn is cut to 1..`longest`."""

    prompt: float
    output: float
    prompt_cv: float = 1.0
    output_cv: float = 1.0
    longest: int = 1 << 17

    def draw(self, rng: np.random.Generator, arrival: Times, client: Numbers) -> tuple[Numbers, Numbers]:
        check_positive(prompt=self.prompt, output=self.output, prompt_cv=self.prompt_cv, output_cv=self.output_cv)
        prompt = self._tokens(rng, self.prompt, self.prompt_cv, len(arrival))
        return prompt, self._tokens(rng, self.output, self.output_cv, len(arrival))

    def _tokens(self, rng: np.random.Generator, mean: float, cv: float, count: int) -> Numbers:
        spread = log(1 + cv * cv)
        drawn = rng.lognormal(log(mean) - spread / 2, sqrt(spread), count)
        return np.clip(np.rint(drawn), 1, self.longest).astype(np.int64)
