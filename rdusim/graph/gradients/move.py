"""Gradients of layouts, which are layouts again, or sums where elements were copied; and of reads by index."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from rdusim.graph.gradients.tape import Rule, Step
from rdusim.graph.types import Scalar


def _transpose(step: Step) -> None:
    """`give` puts the axes back."""
    step.give(0, step.gradient)


def _expand(step: Step) -> None:
    """`give` sums over the labels that the operand lacks."""
    step.give(0, step.gradient)


def _slice(step: Step) -> None:
    """Zeros around the gradient."""
    attributes = {
        key: step.operator.attributes[key] for key in ("axis", "start", "step") if key in step.operator.attributes
    }
    step.give(0, step.op("slice_backward", [step.gradient], step.input(0).dims, attributes=attributes))


def _cat(step: Step) -> None:
    """Each operand gets its part."""
    joined = str(step.operator.attributes["concat"])
    at, start = step.gradient.dims.index(joined), 0
    for index, operand in enumerate(step.operator.inputs):
        if step.wants(index):
            attributes: dict[str, Scalar] = {"axis": joined, "start": start}
            step.give(index, step.op("slice", [step.gradient], operand.dims, attributes=attributes))
        start += step.operator.dims[operand.dims[at]]


def _stack(step: Step) -> None:
    joined = str(step.operator.attributes["axis"])
    for index, operand in enumerate(step.operator.inputs):
        if step.wants(index):
            attributes: dict[str, Scalar] = {"axis": joined, "start": index}
            step.give(index, step.op("slice", [step.gradient], operand.dims, attributes=attributes))


def _pad(step: Step) -> None:
    attributes: dict[str, Scalar] = {"axis": str(step.operator.attributes["axis"]), "start": 0}
    step.give(0, step.op("slice", [step.gradient], step.input(0).dims, attributes=attributes))


def _embedding(step: Step) -> None:
    """Rows are added up in the table's gradient, which is cut over sockets as the table is."""
    if step.wants(0):
        inputs = [step.gradient, step.input(1)]
        parallel = step.operator.parallel
        step.give(0, step.op("embedding_backward", inputs, step.input(0).dims, parallel=parallel))


RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "transpose": _transpose,
        "copy": _transpose,
        "expand": _expand,
        "slice": _slice,
        "cat": _cat,
        "stack": _stack,
        "pad": _pad,
        "embedding": _embedding,
    }
)
