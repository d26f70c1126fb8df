"""Layout only: nothing is computed, elements change place. Labels of inputs that no output has are not iterated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from rdusim.graph.ops.spec import OperatorSpec, aligned, number, spread
from rdusim.graph.types import Compute, Operator

if TYPE_CHECKING:
    from rdusim.graph.ops.spec import Array


def changed(operator: Operator) -> tuple[str, ...]:
    """Labels of the axis that changes its extent: on one side of the operator only."""
    inside = {label for operand in operator.inputs for label in operand.dims}
    outside = {label for operand in operator.outputs for label in operand.dims}
    return tuple(label for label in operator.dims if (label in inside) != (label in outside))


def _transpose(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    return (aligned(operator, arrays)[0],)


def _expand(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    import numpy as np

    shape = tuple(operator.dims[label] for label in operator.outputs[0].dims)
    return (np.broadcast_to(aligned(operator, arrays)[0], shape),)


def _slice(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """x[start::step] along `axis`, as long as the output's new label; without one, the axis goes away."""
    axis, target = str(operator.attributes["axis"]), operator.outputs[0].dims
    start, step = int(number(operator, "start")), int(number(operator, "step", 1))
    dims = operator.inputs[0].dims
    into = next((label for label in target if label not in dims), None)
    position = dims.index(axis)
    before: tuple[slice | int, ...] = (slice(None),) * position
    if into is None:
        return (spread(arrays[0][(*before, start)], (*dims[:position], *dims[position + 1 :]), target),)
    part = arrays[0][(*before, slice(start, start + step * operator.dims[into], step))]
    return (spread(part, (*dims[:position], into, *dims[position + 1 :]), target),)


def _cat(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """Inputs one after the other along the output label `concat`; other axes stand as in the output."""
    import numpy as np

    return (np.concatenate(arrays, axis=operator.outputs[0].dims.index(str(operator.attributes["concat"]))),)


def _stack(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    import numpy as np

    return (np.stack(arrays, axis=operator.outputs[0].dims.index(str(operator.attributes["axis"]))),)


def _pad(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """Zeros behind the input along the output label `axis`."""
    import numpy as np

    position = operator.outputs[0].dims.index(str(operator.attributes["axis"]))
    missing = operator.dims[str(operator.attributes["axis"])] - arrays[0].shape[position]
    widths = [(0, missing if axis == position else 0) for axis in range(arrays[0].ndim)]
    return (np.pad(arrays[0], widths),)


SPECS: Final[Mapping[str, OperatorSpec]] = MappingProxyType(
    {
        "transpose": OperatorSpec(
            kind="transpose", compute=Compute.MOVE, onnx=("Transpose",), aten=("aten::permute", "aten::clone"),
            numpy=_transpose,
        ),
        "expand": OperatorSpec(
            kind="expand", compute=Compute.MOVE, onnx=("Expand",), aten=("aten::expand", "aten::repeat"),
            numpy=_expand,
        ),
        "slice": OperatorSpec(
            kind="slice", compute=Compute.MOVE, whole=changed, attributes=("axis",),
            onnx=("Slice",), aten=("aten::slice", "aten::select"), numpy=_slice,
        ),
        "cat": OperatorSpec(
            kind="cat", compute=Compute.MOVE, whole=changed, attributes=("concat",), operands=(2, 64),
            onnx=("Concat",), aten=("aten::cat",), numpy=_cat,
        ),
        # A cat whose first input lies in place already: only the new entries move (a static KV cache).
        "kv_append": OperatorSpec(
            kind="kv_append", compute=Compute.MOVE, whole=changed, attributes=("concat",), operands=(2, 2),
            onnx=("Concat",), aten=("aten::cat", "aten::index_copy_"), numpy=_cat,
        ),
        "stack": OperatorSpec(
            kind="stack", compute=Compute.MOVE, whole=changed, attributes=("axis",), operands=(2, 64),
            onnx=("ConcatFromSequence",), aten=("aten::stack",), numpy=_stack,
        ),
        "pad": OperatorSpec(
            kind="pad", compute=Compute.MOVE, whole=changed, attributes=("axis",),
            onnx=("Pad",), aten=("aten::constant_pad_nd",), numpy=_pad,
        ),
    }
)  # fmt: skip
