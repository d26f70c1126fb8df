"""Gradients of reductions and normalizations."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from rdusim.graph.gradients.tape import Rule, Step
from rdusim.graph.ops.spec import number
from rdusim.graph.types import Operand, Scalar


def _sum(step: Step) -> None:
    step.give(0, _spread(step, step.gradient))


def _mean(step: Step) -> None:
    """Each element has its share of 1 / count."""
    step.give(0, _spread(step, step.scaled(step.gradient, number(step.operator, "count"), "div")))


def _spread(step: Step, gradient: Operand) -> Operand:
    return step.op("expand", [gradient], step.input(0).dims)


def _softmax(step: Step) -> None:
    step.give(0, step.op("softmax_backward", [step.gradient, step.output], attributes=_axis(step)))


def _layer_norm(step: Step) -> None:
    """One kernel for the operand, one for scale and bias: these sum over all tokens."""
    operator, attributes = step.operator, _axis(step)
    if step.wants(0):
        inputs = [step.gradient, step.input(0), *([step.input(1)] if len(operator.inputs) > 1 else [])]
        step.give(0, step.op("layer_norm_backward", inputs, attributes=attributes))
    if step.wants(1):
        outputs = [(step.input(index).dims, step.dtype(index)) for index in range(1, len(operator.inputs))]
        name = f"{operator.name.partition('/')[2]}.layer_norm_weight_backward"
        inputs = [step.gradient, step.input(0)]
        made = step.tape.emit(
            "layer_norm_weight_backward", name, inputs, outputs, operator.dims, attributes, module=step.module
        )
        for index, gradient in enumerate(made, 1):
            step.give(index, gradient)


def _axis(step: Step) -> dict[str, Scalar]:
    return {key: value for key, value in step.operator.attributes.items() if key in ("axis", "eps")}


RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {"sum": _sum, "mean": _mean, "softmax": _softmax, "layer_norm": _layer_norm}
)
