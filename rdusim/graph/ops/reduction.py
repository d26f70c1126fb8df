"""Reductions: the labels that the output lacks are folded away by the reduction tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from rdusim.graph.ops.spec import OperatorSpec, number, spread
from rdusim.graph.types import Compute, Operator

if TYPE_CHECKING:
    from rdusim.graph.ops.spec import Array


def _fold(operator: Operator, array: Array, function: str) -> Array:
    import numpy as np

    dims, target = operator.inputs[0].dims, operator.outputs[0].dims
    gone = tuple(axis for axis, label in enumerate(dims) if label not in target)
    folded: Array = getattr(np, function)(array, axis=gone)
    return spread(folded, tuple(label for label in dims if label in target), target)


def _sum(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    return (_fold(operator, arrays[0], "sum"),)


def _mean(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """Sum over `count`, the full extent, so that the means of shards add up to the mean of the whole."""
    count = operator.attributes["count"]
    assert isinstance(count, int)
    return (_fold(operator, arrays[0], "sum") / arrays[0].dtype.type(count),)


def _max(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    return (_fold(operator, arrays[0], "max"),)


def _argmax(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """The index of the largest, of equals the first; with a second output, its value too (a part's candidate)."""
    import numpy as np

    dims, target = operator.inputs[0].dims, operator.outputs[0].dims
    axis = dims.index(_folded(operator)[0])
    found = np.take(arrays[0], range(int(number(operator, "count", arrays[0].shape[axis]))), axis=axis)
    index = (np.argmax(found, axis=axis) + int(number(operator, "first"))).astype(np.int32)
    left = tuple(label for label in dims if label in target)
    value = [found.max(axis=axis)] if len(operator.outputs) > 1 else []
    return tuple(spread(array, left, target) for array in (index, *value))


def _folded(operator: Operator) -> tuple[str, ...]:
    return tuple(label for label in operator.inputs[0].dims if label not in operator.outputs[0].dims)


SPECS: Final[Mapping[str, OperatorSpec]] = MappingProxyType(
    {
        "sum": OperatorSpec(
            kind="sum", compute=Compute.SIMD, points_ops=1, reduces=True, contraction="sum",
            onnx=("ReduceSum",), aten=("aten::sum",), numpy=_sum,
        ),
        "mean": OperatorSpec(
            kind="mean", compute=Compute.SIMD, points_ops=1, reduces=True, contraction="sum",
            attributes=("count",), onnx=("ReduceMean",), aten=("aten::mean",), numpy=_mean,
        ),
        "max": OperatorSpec(
            kind="max", compute=Compute.SIMD, points_ops=1, reduces=True, contraction="max",
            onnx=("ReduceMax",), aten=("aten::amax",), numpy=_max,
        ),
        "argmax": OperatorSpec(
            kind="argmax", compute=Compute.SIMD, points_ops=1, reduces=True, contraction="argmax", placed=_folded,
            onnx=("ArgMax",), aten=("aten::argmax",), numpy=_argmax,
        ),
    }
)  # fmt: skip
