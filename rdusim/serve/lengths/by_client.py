"""Lengths by client and time of day: histograms of windows, as ServeGen measured them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rdusim.errors import OptionError, Problem

if TYPE_CHECKING:
    from rdusim.serve.lengths.types import Numbers, Times


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Numbers of tokens, and how probable each is (any positive weights)."""

    tokens: Numbers
    weights: Times

    def draw(self, rng: np.random.Generator, count: int) -> Numbers:
        steps = np.cumsum(self.weights)
        rows = np.searchsorted(steps, rng.random(count) * steps[-1], side="right")
        drawn: Numbers = np.maximum(self.tokens[np.minimum(rows, len(self.tokens) - 1)], 1)
        return drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Lengths of one client from `start` on."""

    start: float
    prompt: Histogram
    output: Histogram


@dataclass(frozen=True, slots=True, kw_only=True)
class ByClient:
    """`periods`: by client, ascending, one at least. `start`: what arrival 0 is in the clients' time."""

    periods: Sequence[Sequence[Period]]
    start: float = 0.0

    def draw(self, rng: np.random.Generator, arrival: Times, client: Numbers) -> tuple[Numbers, Numbers]:
        """Before its first period a client has the lengths of that one. Raises OptionError for a client without any."""
        if missing := [number for number in np.unique(client).tolist() if not self.periods[number]]:
            raise OptionError(Problem(message=f"clients {missing} have no lengths", hint="leave them out"))
        prompt, output = np.empty(len(arrival), dtype=np.int64), np.empty(len(arrival), dtype=np.int64)
        for number, periods in enumerate(self.periods):
            starts = np.array([period.start for period in periods])
            place = np.maximum(np.searchsorted(starts, arrival + self.start, side="right") - 1, 0)
            for index, period in enumerate(periods):
                mine = np.flatnonzero((client == number) & (place == index))
                prompt[mine] = period.prompt.draw(rng, len(mine))
                output[mine] = period.output.draw(rng, len(mine))
        return prompt, output
