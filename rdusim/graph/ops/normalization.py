"""Softmax and layer norm: single ATen operators that traverse one whole axis several times (attribute `axis`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from rdusim.graph.ops.spec import OperatorSpec, aligned, number
from rdusim.graph.types import Compute, Operator

if TYPE_CHECKING:
    from rdusim.graph.ops.spec import Array


def _axis_label(operator: Operator) -> tuple[str, ...]:
    return (str(operator.attributes["axis"]),)


def _position(operator: Operator) -> int:
    return operator.outputs[0].dims.index(str(operator.attributes["axis"]))


def _softmax(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    import numpy as np

    x, axis = aligned(operator, arrays)[0], _position(operator)
    grown = np.exp(x - x.max(axis=axis, keepdims=True))
    return (grown / grown.sum(axis=axis, keepdims=True),)


def _layer_norm(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    import numpy as np

    (x, *scale), axis = aligned(operator, arrays), _position(operator)
    centred = x - x.mean(axis=axis, keepdims=True)
    variance = (centred * centred).mean(axis=axis, keepdims=True)
    result = centred / np.sqrt(variance + number(operator, "eps"))
    if scale:
        result = result * scale[0]
    if len(scale) == 2:
        result = result + scale[1]
    return (result.astype(x.dtype),)


SPECS: Final[Mapping[str, OperatorSpec]] = MappingProxyType(
    {
        # Passes: maximum; exponentials and their sum; scaling. At a point: max, sub, add, mul around one exp.
        "softmax": OperatorSpec(
            kind="softmax", compute=Compute.SIMD, points_ops=4, tail_ops=1, passes=3, reduces=True,
            whole=_axis_label, attributes=("axis",), onnx=("Softmax",), aten=("aten::_softmax",), numpy=_softmax,
        ),
        # Passes: sum and sum of squares; normalisation. At a point: add, mul, add; sub, mul, mul, add.
        "layer_norm": OperatorSpec(
            kind="layer_norm", compute=Compute.SIMD, points_ops=7, tail_ops=1, passes=2, reduces=True,
            whole=_axis_label, attributes=("axis", "eps"), operands=(1, 3),
            onnx=("LayerNormalization",), aten=("aten::native_layer_norm",), numpy=_layer_norm,
        ),
    }
)  # fmt: skip
