"""Reads by index: the first operand is a table of which only indexed elements are read; the second holds indices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from rdusim.graph.ops.move import changed
from rdusim.graph.ops.spec import OperatorSpec, number, spread
from rdusim.graph.types import Compute, Operator

if TYPE_CHECKING:
    from rdusim.graph.ops.spec import Array


def _embedding(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """Rows of table[v, ...] at the indices; on a part of the table, zeros for rows of other parts."""
    import numpy as np

    table, index = operator.inputs
    rows, first = arrays[1], int(number(operator, "first", 0))
    if "first" in operator.attributes:
        here = (rows >= first) & (rows < first + arrays[0].shape[0])
        found = arrays[0][np.where(here, rows - first, 0)] * here.reshape(*here.shape, *(1,) * (arrays[0].ndim - 1))
    else:
        found = arrays[0][rows]
    return (spread(found, (*index.dims, *table.dims[1:]), operator.outputs[0].dims),)


def _rows(operator: Operator) -> tuple[str, ...]:
    return operator.inputs[0].dims[:1]


def _take(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """Elements at linear indices, the table taken as one-dimensional in row-major order."""
    return (spread(arrays[0].reshape(-1)[arrays[1]], operator.inputs[1].dims, operator.outputs[0].dims),)


SPECS: Final[Mapping[str, OperatorSpec]] = MappingProxyType(
    {
        # A shard of the table yields zeros for rows that it does not own, so shards add up.
        "embedding": OperatorSpec(
            kind="embedding", compute=Compute.MOVE, gathers=True, operands=(2, 2), contraction="sum", placed=_rows,
            onnx=("Gather",), aten=("aten::embedding", "aten::index_select"), numpy=_embedding,
        ),
        "take": OperatorSpec(
            kind="take", compute=Compute.MOVE, gathers=True, operands=(2, 2), whole=changed,
            onnx=("GatherND",), aten=("aten::take",), numpy=_take,
        ),
    }
)  # fmt: skip
