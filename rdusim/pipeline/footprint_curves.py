"""Footprint curves: latency of a composition by its number of experts, machine beside machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Final

from rdusim.errors import Problem, ServeError
from rdusim.pipeline.cost_tables import Span, few_points
from rdusim.pipeline.deployment import Deployment, Observe, is_gpu, node_costs
from rdusim.pipeline.model_sizes import weight_bytes
from rdusim.pipeline.scenario_types import Machine
from rdusim.report.serving import FootprintCurve
from rdusim.serve.coe import NodeMemory, footprint, latency_curve, nodes_needed
from rdusim.units import Bytes

SAME: Final = "same"  # the scenario's own machine
_FAR: Final = "ddr"


def footprint_curves(
    deployment: Deployment, machines: Sequence[str], observe: Observe | None = None
) -> tuple[FootprintCurve, ...]:
    """One curve for each machine: `same`, a name or a file; of experts like the first, at median lengths.

    Another machine has its own sockets, tiers and costs, and the scenario's router, KV, dtype and batch.
    """
    return tuple(_curve(deployment, name, observe) for name in machines)


def _curve(deployment: Deployment, name: str, observe: Observe | None) -> FootprintCurve:
    scenario, expert = deployment.scenario, deployment.experts[0]
    machine = scenario.machine if name == SAME else Machine(arch=name, dtype=scenario.machine.dtype)
    router = scenario.router.model
    models = {model: model for model in (expert.shape, *((router,) if router is not None else ()))}
    costs, near, sockets, store = node_costs(machine, models, observe)
    prompt = round(median(deployment.requests.prompt_tokens.tolist()))
    output = round(median(deployment.requests.output_tokens.tolist()))
    batch = scenario.scheduler.batch
    span = Span(prompts=batch, tokens=(prompt, prompt), contexts=(prompt + 1, prompt + max(output, 2)))
    table = few_points(costs, dict.fromkeys(models, span), cheap=is_gpu(machine))
    store.save()
    if (home := costs.capacity(expert.home_tier)) is None:  # the host of another machine: its own far tier
        expert, home = replace(expert, home_tier=_FAR), costs.capacity(_FAR)
    memory = _memory(deployment, costs.capacity(near), home)
    count = len(deployment.experts)
    room = footprint(memory, [expert] * 100_000)
    kind = "GPUs" if is_gpu(machine) else "sockets"
    return FootprintCurve(
        machine=f"{machine.arch}, {sockets} {kind}",
        resident=room.resident,
        held=room.held,
        nodes=nodes_needed(memory, [expert] * count),
        nodes_near=nodes_needed(memory, [expert] * count, all_near=True),
        points=latency_curve(
            table,
            expert,
            memory,
            _counts(room.resident, room.held, count),
            router=router,
            prompt_tokens=prompt,
            output_tokens=output,
            batch=batch,
            router_tokens=scenario.router.output_tokens,
            near=near,
        ),
    )


def _memory(deployment: Deployment, near: Bytes | None, home: Bytes | None) -> NodeMemory:
    """The router and the KV cache of the scenario on another node. Raises ServeError if they do not fit it."""
    scenario = deployment.scenario
    router = weight_bytes(scenario.router.model, scenario.machine.dtype) if scenario.router.model is not None else 0
    reserved = router + deployment.memory.kv_bytes
    assert near is not None, "a machine knows its nearest tier"
    if reserved >= near:
        message = "router and KV alone fill the nearest tier of that node"
        raise ServeError(Problem(message=message, field="--footprint", hint="less memory in 'kv'"))
    return NodeMemory(near=near, near_reserved=Bytes(reserved), home=home or Bytes(0))


def _counts(resident: int, held: int, asked: int) -> list[int]:
    """Experts at which something happens, and enough between them to draw a line."""
    end = max(asked, held)
    even = [max(1, round(end * step / 40)) for step in range(1, 41)]
    return sorted({1, resident, resident + 1, held, held + 1, asked, end, *even} - {0})
