"""Matrix products: the work of the systolic arrays. All are sums of products over the labels that the output lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from rdusim.graph.ops.spec import OperatorSpec, number, spread
from rdusim.graph.types import Compute, Operand, Operator

if TYPE_CHECKING:
    from rdusim.graph.ops.spec import Array


def _product(operator: Operator, operands: Sequence[Operand], arrays: Sequence[Array]) -> Array:
    """Einstein sum over the operands' labels."""
    import numpy as np

    banded = [_band(operator, operand, array) for operand, array in zip(operands, arrays, strict=True)]
    letters = {label: chr(97 + index) for index, label in enumerate(operator.dims)}
    subscripts = ",".join("".join(letters[label] for label in dims) for dims, _ in banded)
    result = "".join(letters[label] for label in operator.outputs[0].dims)
    product: Array = np.einsum(f"{subscripts}->{result}", *(array for _, array in banded), optimize=True)
    return product


def _band(operator: Operator, operand: Operand, array: Array) -> tuple[tuple[str, ...], Array]:
    """A banded operand as the band that each query sees.

    Position j of the band of query i is key (keys - queries) + i - (window - 1) + j. Positions before the first key
    repeat it; the mask hides them. Of a part of the queries, the attribute `behind` counts those that come after it.
    """
    import numpy as np

    labels = operator.attributes.get("banded", ())
    assert isinstance(labels, tuple)
    for axis, label in enumerate(operand.dims):
        band = operator.dims[label]
        if label in labels and array.shape[axis] != band:
            query = str(operator.attributes["query"])
            queries, keys = operator.dims[query], array.shape[axis]
            last = keys - queries - int(number(operator, "behind"))
            index = last + np.arange(queries)[:, None] - (band - 1) + np.arange(band)[None, :]
            seen = np.take(array, np.maximum(index, 0), axis=axis)
            return (*operand.dims[:axis], query, *operand.dims[axis:]), seen
    return operand.dims, array


def _matmul(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    return (_product(operator, operator.inputs, arrays),)


def _linear(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    result = _product(operator, operator.inputs[:2], arrays[:2])
    if len(arrays) == 3:
        result = result + spread(arrays[2], operator.inputs[2].dims, operator.outputs[0].dims)
    return (result,)


def _baddbmm(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    beta, alpha = (number(operator, key, 1.0) for key in ("beta", "alpha"))
    added = spread(arrays[0], operator.inputs[0].dims, operator.outputs[0].dims)
    return (beta * added + alpha * _product(operator, operator.inputs[1:], arrays[1:]),)


SPECS: Final[Mapping[str, OperatorSpec]] = MappingProxyType(
    {
        "matmul": OperatorSpec(
            kind="matmul", compute=Compute.SYSTOLIC, reduces=True, contraction="sum", operands=(2, 2),
            onnx=("MatMul", "Einsum"), aten=("aten::matmul", "aten::bmm", "aten::mm"), numpy=_matmul,
        ),
        "linear": OperatorSpec(
            kind="linear", compute=Compute.SYSTOLIC, reduces=True, contraction="sum", operands=(2, 3),
            onnx=("Gemm",), aten=("aten::linear", "aten::addmm"), numpy=_linear,
        ),
        "baddbmm": OperatorSpec(
            kind="baddbmm", compute=Compute.SYSTOLIC, reduces=True, contraction="sum", operands=(3, 3),
            aten=("aten::baddbmm",), numpy=_baddbmm,
        ),
    }
)  # fmt: skip
