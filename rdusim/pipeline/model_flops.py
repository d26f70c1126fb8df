"""FLOPs that what was asked for needs of the model: without padding, tokens that are rejected, or a draft model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rdusim.pipeline.request import GENERATE, Plan
from rdusim.program.lower import model_flops
from rdusim.report.generation import sample, weights

if TYPE_CHECKING:
    from rdusim.graph.types import RunShape
    from rdusim.pipeline.stages import Stages


def asked_flops(stages: Stages) -> float:
    """Of the whole request, all sequences and sockets together."""
    plan = _unpadded(stages.plan)
    if plan.training is not None:
        return _of(stages, plan.train())
    if plan.phase == GENERATE:
        return _of(stages, plan.prefill()) + _of_steps(stages, plan.steps())
    return step_flops(stages, plan.context) if plan.context is not None else _of(stages, plan.prefill())


def step_flops(stages: Stages, context: int) -> float:
    """Of one decode step, which makes one token of each sequence."""
    return _of(stages, _unpadded(stages.plan).decode(context))


def _of_steps(stages: Stages, steps: range) -> float:
    """Few contexts stand for all: FLOPs are linear in the context, but for where a sliding window fills up."""
    if not steps:
        return 0.0
    contexts = sample(lambda context: step_flops(stages, context), steps[0], steps[-1])
    shares = zip(weights(contexts), contexts, strict=True)
    return sum(weight * step_flops(stages, context) for weight, context in shares)


def _of(stages: Stages, shape: RunShape) -> float:
    options = stages.plan.training
    return stages.cache.get(
        lambda: model_flops(stages.whole(shape)), "model FLOPs", stages.request.model, shape, options
    )


def _unpadded(plan: Plan) -> Plan:
    """The same work in one piece: how it is shared out or compiled changes nothing about what it needs."""
    return replace(plan, parallelism=None, micro_batches=1, compiled_tokens=None, compiled_batch=None)
