"""A router and one expert on a DGX, as the SN40L paper estimates it (MICRO'24, Fig. 12b): route, copy, run."""

from __future__ import annotations

from dataclasses import dataclass

from rdusim.baselines.gpu.costs import GpuCosts
from rdusim.baselines.gpu.timing import gpu_generation
from rdusim.baselines.gpu.types import GpuMachine
from rdusim.units import Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class CompositionTime:
    """One prompt through a Composition of Experts, in seconds. `switch` 0: the expert was in HBM."""

    route: Seconds
    switch: Seconds
    run: Seconds

    @property
    def total(self) -> Seconds:
        return Seconds(self.route + self.switch + self.run)


def composition(
    model: str, machine: GpuMachine, *, source: str, input_tokens: int, output_tokens: int, gpus: int
) -> CompositionTime:
    """A router as large as an expert reads the prompt and names an expert by its first token; that one answers.

    `source`: tier where the expert is (`hbm`, `host`). The paper prints no prompt length. Raises what `gpu_generation`
    raises, and OptionError for an unknown tier.
    """
    costs = GpuCosts(machine, {model: model}, gpus=gpus)
    route = gpu_generation(model, machine, input_tokens=input_tokens, output_tokens=1, gpus=gpus)
    run = gpu_generation(model, machine, input_tokens=input_tokens, output_tokens=output_tokens, gpus=gpus)
    copied = source != "hbm"
    switch = costs.switch(costs.weight_bytes(model), source, "hbm") if copied else Seconds(0.0)
    return CompositionTime(route=route.total_seconds, switch=switch, run=run.total_seconds)
