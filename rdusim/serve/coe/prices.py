"""What a request costs on a node, remembered: steps by shape and batch, generations as differences of running sums."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from rdusim.serve.coe.types import CoeSettings
from rdusim.serve.types import Expert, StepCosts
from rdusim.units import Bytes


class Prices:
    """StepCosts asked once for each shape, batch and number of tokens."""

    def __init__(self, costs: StepCosts, experts: Sequence[Expert], settings: CoeSettings) -> None:
        near = settings.near
        self._costs = costs
        self._settings = settings
        self._prefills: dict[tuple[str, int, int], float] = {}
        self._sums: dict[tuple[str, int], array[float]] = {}
        self._routes: dict[tuple[int, int], float] = {}
        self.load = [
            costs.switch(expert.weight_bytes, expert.home_tier, near) if expert.weight_bytes else 0.0
            for expert in experts
        ]
        self.back = [
            costs.switch(expert.mutable_bytes, near, expert.home_tier) if expert.mutable_bytes else 0.0
            for expert in experts
        ]
        homes = {expert.home_tier: 0.0 for expert in experts}
        for home in homes:
            homes[home] = costs.copy_bandwidth(home, near)
        self.copy_rate = [homes[expert.home_tier] for expert in experts]
        self.near_rate = float(costs.memory_bandwidth(near))

    def route(self, batch: int, tokens: int) -> float:
        """The router on `batch` prompts, the longest of `tokens`: its prefill, and what it writes after."""
        if self._settings.router is None:
            return 0.0
        if (seconds := self._routes.get((batch, tokens))) is None:
            shape = self._settings.router
            seconds = self.prefill(shape, batch, tokens)
            seconds += self.decoding(shape, batch, tokens, self._settings.router_tokens)
            self._routes[batch, tokens] = seconds
        return seconds

    def prefill(self, shape: str, batch: int, tokens: int) -> float:
        key = (shape, batch, tokens)
        if (seconds := self._prefills.get(key)) is None:
            seconds = self._prefills[key] = float(self._costs.prefill(shape, batch, tokens))
        return seconds

    def decoding(self, shape: str, batch: int, prompt: int, output: int) -> float:
        """All steps after the first of `output` tokens: contexts prompt + 1 to prompt + output - 1."""
        sums = self.sums(shape, batch, prompt + output)
        return sums[prompt + output - 1] - sums[prompt]

    def sums(self, shape: str, batch: int, context: int) -> array[float]:
        """At c: seconds of the decode steps with contexts 1 to c; at least up to `context`."""
        sums = self._sums.get((shape, batch))
        if sums is None:
            sums = self._sums[shape, batch] = array("d", [0.0])
        if len(sums) <= context:
            decode, total = self._costs.decode, sums[-1]
            for tokens in range(len(sums), context + 1):
                total += decode(shape, batch, float(tokens))
                sums.append(total)
        return sums

    def step_bytes(self, shape: str, batch: int, context: float) -> Bytes:
        return self._costs.decode_bytes(shape, batch, context)
