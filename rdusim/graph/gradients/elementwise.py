"""Gradients of element-wise operators, kernel by kernel as PyTorch's derivatives.yaml writes them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from rdusim.graph.gradients.tape import Rule, Step
from rdusim.graph.ops.spec import number


def _add(step: Step) -> None:
    step.each(lambda _: step.gradient)


def _sub(step: Step) -> None:
    negative = bool(step.operator.attributes.get("reverse"))
    step.each(lambda index: step.op("neg", [step.gradient]) if index == 1 or negative else step.gradient)


def _mul(step: Step) -> None:
    if len(step.operator.inputs) == 1:
        step.give(0, step.scaled(step.gradient, number(step.operator, "scalar")))
    else:
        step.each(lambda index: step.op("mul", [step.gradient, step.input(1 - index)]))


def _div(step: Step) -> None:
    """x / y: g / y, and - g (x / y) / y; for scalar / x likewise."""
    if len(step.operator.inputs) == 1 and not step.operator.attributes.get("reverse"):
        step.give(0, step.scaled(step.gradient, number(step.operator, "scalar"), "div"))
        return
    below = len(step.operator.inputs) - 1
    if below and step.wants(0):
        step.give(0, step.op("div", [step.gradient, step.input(1)]))
    if step.wants(below):
        quotient = step.op("div", [step.output, step.input(below)])
        step.give(below, step.op("mul", [step.op("neg", [step.gradient]), quotient]))


def _pow(step: Step) -> None:
    """x^n: g (n x^(n-1))."""
    exponent = number(step.operator, "scalar")
    x = step.input(0)
    power = x if exponent == 2 else step.op("pow", [x], attributes={"scalar": exponent - 1})
    step.give(0, step.op("mul", [step.gradient, step.scaled(power, exponent)]))


def _neg(step: Step) -> None:
    step.give(0, step.op("neg", [step.gradient]))


def _rsqrt(step: Step) -> None:
    """x^-1/2 = y: (-1/2 g) y^3."""
    cube = step.op("pow", [step.output], attributes={"scalar": 3})
    step.give(0, step.op("mul", [step.scaled(step.gradient, -0.5), cube]))


def _sqrt(step: Step) -> None:
    """x^1/2 = y: g / (2 y)."""
    step.give(0, step.op("div", [step.gradient, step.scaled(step.output, 2.0)]))


def _exp(step: Step) -> None:
    step.give(0, step.op("mul", [step.gradient, step.output]))


def _log(step: Step) -> None:
    step.give(0, step.op("div", [step.gradient, step.input(0)]))


def _cos(step: Step) -> None:
    sine = step.op("sin", [step.input(0)])
    step.give(0, step.op("mul", [step.gradient, step.op("neg", [sine])]))


def _sin(step: Step) -> None:
    step.give(0, step.op("mul", [step.gradient, step.op("cos", [step.input(0)])]))


def _of_input(kind: str) -> Rule:
    """A kernel of its own that reads the gradient and the operand."""
    return lambda step: step.give(0, step.op(kind, [step.gradient, step.input(0)]))


def _of_output(kind: str) -> Rule:
    """A kernel of its own that reads the gradient and the result."""
    return lambda step: step.give(0, step.op(kind, [step.gradient, step.output]))


def _cast(step: Step) -> None:
    """Back to the format of the operand, which `give` does."""
    step.give(0, step.gradient)


def _masked_fill(step: Step) -> None:
    """No gradient where the mask is true."""
    step.give(0, step.op("masked_fill", [step.gradient, step.input(1)], attributes={"scalar": 0.0}))


def _where(step: Step) -> None:
    """No gradient where the condition is false."""
    zeroed = step.op(
        "where", [step.input(0), step.gradient], step.gradient.dims, dtype=step.dtype(1), attributes={"scalar": 0.0}
    )
    step.give(1, zeroed)


RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "add": _add,
        "sub": _sub,
        "mul": _mul,
        "div": _div,
        "pow": _pow,
        "neg": _neg,
        "rsqrt": _rsqrt,
        "sqrt": _sqrt,
        "exp": _exp,
        "log": _log,
        "cos": _cos,
        "sin": _sin,
        "tanh": _of_output("tanh_backward"),
        "sigmoid": _of_output("sigmoid_backward"),
        "silu": _of_input("silu_backward"),
        "relu": _of_input("threshold_backward"),
        "gelu": _of_input("gelu_backward"),
        "gelu_tanh": _of_input("gelu_tanh_backward"),
        "cast": _cast,
        "masked_fill": _masked_fill,
        "where": _where,
    }
)
