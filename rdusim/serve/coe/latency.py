"""The latency of one batch of the composition, and how it grows with the number of experts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rdusim.serve.coe.footprint import NodeMemory, footprint
from rdusim.serve.types import Expert, StepCosts
from rdusim.units import Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class CoeLatency:
    """Parts of the time from a batch's arrival to its last token, on an idle node."""

    route: Seconds
    switch: Seconds
    execute: Seconds

    @property
    def total(self) -> Seconds:
        return Seconds(self.route + self.switch + self.execute)


def coe_latency(
    costs: StepCosts,
    expert: Expert,
    *,
    router: str | None,
    prompt_tokens: int,
    output_tokens: int,
    batch: int = 1,
    copies: float = 0.0,
    router_tokens: int = 1,
    near: str = "hbm",
) -> CoeLatency:
    """A batch of prompts that go to different experts like `expert`, `copies` of which must be copied in first.

    Route all prompts at once, copy one after the other, run pair after pair: docs/model.md, "A batch of the
    composition". `copies` may be a mean.
    """
    load = costs.switch(expert.weight_bytes, expert.home_tier, near) if copies else 0.0
    back = costs.switch(expert.mutable_bytes, near, expert.home_tier) if copies and expert.mutable_bytes else 0.0
    route = _generation(costs, router, batch, prompt_tokens, router_tokens) if router is not None else 0.0
    return CoeLatency(
        route=Seconds(route),
        switch=Seconds(copies * (load + back)),
        execute=Seconds(batch * _generation(costs, expert.shape, 1, prompt_tokens, output_tokens)),
    )


def _generation(costs: StepCosts, shape: str, batch: int, prompt: int, output: int) -> float:
    """Prefill, and the steps after the first token. Asked step by step: for one batch a table would cost more."""
    steps = sum(costs.decode(shape, batch, float(context)) for context in range(prompt + 1, prompt + output))
    return costs.prefill(shape, batch, prompt) + steps


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """`latency` is None where the node cannot hold so many experts. `resident`: of them, in the near tier at once."""

    experts: int
    resident: int
    latency: CoeLatency | None


def latency_curve(
    costs: StepCosts,
    expert: Expert,
    memory: NodeMemory,
    counts: Iterable[int],
    *,
    router: str | None,
    prompt_tokens: int,
    output_tokens: int,
    batch: int = 1,
    router_tokens: int = 1,
    near: str = "hbm",
    always_miss: bool = False,
) -> tuple[CurvePoint, ...]:
    """Mean latency by number of experts that are asked for uniformly, each request for itself.

    In the long run any policy that knows no future then finds resident / experts of them in the near tier, whoever they
    are. `always_miss`: once they do not all fit, count a copy for every request: the worst case.
    """
    asked = tuple(counts)
    room = footprint(memory, [expert] * max(asked, default=0))
    points = []
    for count in asked:
        resident = min(count, room.resident)
        missing = 1.0 - resident / count if count else 0.0
        copies = batch * (float(missing > 0.0) if always_miss else missing)
        latency = None
        if count <= room.held:
            latency = coe_latency(
                costs,
                expert,
                router=router,
                prompt_tokens=prompt_tokens,
                output_tokens=output_tokens,
                batch=batch,
                copies=copies,
                router_tokens=router_tokens,
                near=near,
            )
        points.append(CurvePoint(experts=count, resident=resident, latency=latency))
    return tuple(points)
