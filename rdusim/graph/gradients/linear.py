"""Gradients of matrix products: for each factor, the product of the gradient and the other factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from rdusim.graph.gradients.tape import Rule, Step
from rdusim.graph.ops.spec import number
from rdusim.graph.types import Operand, Role, Scalar


def _matmul(step: Step) -> None:
    _factors(step, (0, 1), step.gradient)


def _linear(step: Step) -> None:
    """y = x W + b. Of a sparse weight, only the gradients of its non-zero elements are computed."""
    _factors(step, (0, 1), step.gradient)
    if step.wants(2):
        step.give(2, step.gradient)


def _baddbmm(step: Step) -> None:
    """beta c + alpha a b."""
    if step.wants(0):
        step.give(0, step.scaled(step.gradient, number(step.operator, "beta", 1.0)))
    if step.wants(1) or step.wants(2):
        _factors(step, (1, 2), step.scaled(step.gradient, number(step.operator, "alpha", 1.0)))


def _factors(step: Step, factors: Sequence[int], gradient: Operand) -> None:
    sparsity = number(step.operator, "sparsity")
    attributes: dict[str, Scalar] = {"sparsity": sparsity} if sparsity else {}
    for index, other in (factors, tuple(reversed(factors))):
        if not step.wants(index):
            continue
        # The token by token operand streams: what multiplies a weight, and what a weight has multiplied.
        weight = step.tape.tensors[step.input(index).tensor].role is Role.WEIGHT
        pair = [step.input(other), gradient] if weight else [gradient, step.input(other)]
        dims, dtype = step.input(index).dims, step.dtype(index)
        name = "gradient_weight" if weight else f"gradient_{index}"
        step.give(index, step.op("matmul", pair, dims, dtype=dtype, attributes=attributes, name=name))


RULES: Final[Mapping[str, Rule]] = MappingProxyType({"matmul": _matmul, "linear": _linear, "baddbmm": _baddbmm})
