"""Every kind of operator, and what its size means. A new kind: an entry in its family's file."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from rdusim.dtypes import size_of
from rdusim.graph.ops import collective, elementwise, gather, linear, move, normalization, reduction, routing, training
from rdusim.graph.ops.spec import OperatorSpec, number
from rdusim.graph.types import Access, Compute, Operator
from rdusim.units import Bytes

if TYPE_CHECKING:
    from rdusim.graph.types import OperatorGraph

__all__ = [
    "SPECS",
    "OperatorSpec",
    "bytes_in",
    "bytes_out",
    "density",
    "filled",
    "flops",
    "indexed",
    "macs",
    "points",
    "points_of",
    "rows_gathered",
    "spec_of",
]

SPECS: Final[Mapping[str, OperatorSpec]] = MappingProxyType(
    {
        **linear.SPECS,
        **elementwise.SPECS,
        **reduction.SPECS,
        **normalization.SPECS,
        **move.SPECS,
        **gather.SPECS,
        **routing.SPECS,
        **collective.SPECS,
        **training.SPECS,
    }
)


def spec_of(operator: Operator) -> OperatorSpec:
    """What this operator's kind says about it."""
    return SPECS[operator.kind]


def indexed(operator: Operator) -> tuple[str, ...]:
    """Labels that are addressed and not iterated: a table's rows, the axis before a slice or a concatenation."""
    spec = spec_of(operator)
    if spec.compute is not Compute.MOVE:
        return spec.addressed(operator)
    outside = {label for operand in operator.outputs for label in operand.dims}
    return tuple(label for label in operator.dims if label not in outside)


def density(operator: Operator) -> float:
    """Share of its multiply-accumulates that a systolic operator carries out: 1 - the sparsity of its weight."""
    return 1.0 - number(operator, "sparsity")


def filled(operator: Operator) -> float:
    """Of an operator over slots for tokens: the rows that tokens need over the slots that there are."""
    return number(operator, "filled", 1.0)


def points(operator: Operator) -> int:
    """Points of the iteration space."""
    return points_of(operator, operator.dims)


def points_of(operator: Operator, extents: Mapping[str, int]) -> int:
    """Points of a part of the iteration space that has these extents (of all labels of the operator)."""
    skipped = indexed(operator)
    return prod(extent for label, extent in extents.items() if label not in skipped)


def rows_gathered(operator: Operator) -> int:
    """Elements of the gathered operand that are read: a row for every index."""
    skipped, table, index = indexed(operator), operator.inputs[0], operator.inputs[-1]
    return prod(operator.dims[label] for label in {*table.dims, *index.dims} if label not in skipped)


def macs(operator: Operator) -> int:
    """Multiply-accumulates of a systolic operator, masked positions included; 0 for the others."""
    return points(operator) if spec_of(operator).compute is Compute.SYSTOLIC else 0


def flops(operator: Operator) -> int:
    """Arithmetic operations: 2 a MAC, those with zeros of a sparse weight left out; `points_ops` a point for SIMD."""
    spec = spec_of(operator)
    if spec.compute is Compute.SYSTOLIC:
        return round(2 * macs(operator) * density(operator))
    return points(operator) * spec.points_ops if spec.compute is Compute.SIMD else 0


def bytes_in(operator: Operator, graph: OperatorGraph) -> Bytes:
    """Bytes read when every operand comes from memory.

    A gather reads what it finds, a slice what it keeps, an append to a static cache only the new entries.
    """
    total = 0
    for position, operand in enumerate(operator.inputs):
        tensor = graph.tensors[operand.tensor]
        if operand.access is Access.GATHERED:
            total += rows_gathered(operator) * size_of(tensor.dtype)
        elif operator.kind == "slice":
            total += points(operator) * size_of(tensor.dtype)
        elif operator.kind != "kv_append" or position > 0:
            total += tensor.bytes
    return Bytes(total)


def bytes_out(operator: Operator, graph: OperatorGraph) -> Bytes:
    """Bytes written when every result goes to memory (an append to a static cache: the new entries)."""
    if operator.kind == "kv_append":
        return graph.tensors[operator.inputs[1].tensor].bytes
    return Bytes(sum(graph.tensors[operand.tensor].bytes for operand in operator.outputs))
