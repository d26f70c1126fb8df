"""What only a training step runs: kernels of PyTorch's backward pass, parts of the loss, and optimizers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from rdusim.graph.ops.elementwise import gelu_slope, gelu_tanh_slope, sigmoid
from rdusim.graph.ops.move import changed
from rdusim.graph.ops.spec import Meaning, OperatorSpec, aligned, number, spread
from rdusim.graph.types import Compute, Operator

if TYPE_CHECKING:
    from rdusim.graph.ops.spec import Array


def _silu_backward(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """(gradient, x): gradient * s (1 + x (1 - s)), s = sigmoid(x)."""
    gradient, x = aligned(operator, arrays)
    gate = sigmoid(x)
    return (gradient * gate * (1.0 + x * (1.0 - gate)),)


def _gelu_backward(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    gradient, x = aligned(operator, arrays)
    return (gradient * gelu_slope(x),)


def _gelu_tanh_backward(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    gradient, x = aligned(operator, arrays)
    return (gradient * gelu_tanh_slope(x),)


def _threshold_backward(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """(gradient, x): the gradient where x > 0."""
    gradient, x = aligned(operator, arrays)
    return (gradient * (x > 0),)


def _sigmoid_backward(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """(gradient, y = sigmoid(x)): gradient * y (1 - y)."""
    gradient, y = aligned(operator, arrays)
    return (gradient * y * (1.0 - y),)


def _tanh_backward(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """(gradient, y = tanh(x)): gradient * (1 - y^2)."""
    gradient, y = aligned(operator, arrays)
    return (gradient * (1.0 - y * y),)


def _softmax_backward(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """(gradient, y = softmax(x)): y (gradient - sum of gradient y)."""
    gradient, y = aligned(operator, arrays)
    return (y * (gradient - (gradient * y).sum(axis=_position(operator), keepdims=True)),)


def _layer_norm_backward(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """(gradient, x, scale): with n = (x - mean) r and g = gradient * scale, r (g - mean(g) - n mean(g n))."""
    (gradient, x, *scale), axis = aligned(operator, arrays), _position(operator)
    normal, root = _normal(x, axis, number(operator, "eps"))
    scaled = gradient * scale[0] if scale else gradient
    along = (scaled * normal).mean(axis=axis, keepdims=True)
    return (root * (scaled - scaled.mean(axis=axis, keepdims=True) - normal * along),)


def _layer_norm_weight_backward(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """(gradient, x): sums of gradient * n (for the scale) and of the gradient (for the bias), see above."""
    gradient, x = (spread(array, operator.inputs[0].dims, operator.inputs[0].dims) for array in arrays)
    dims, kept = operator.inputs[0].dims, operator.outputs[0].dims
    normal, _ = _normal(x, dims.index(str(operator.attributes["axis"])), number(operator, "eps"))
    gone = tuple(axis for axis, label in enumerate(dims) if label not in kept)
    sums = ((gradient * normal).sum(axis=gone), gradient.sum(axis=gone))
    return sums[: len(operator.outputs)]


def _normal(x: Array, axis: int, eps: float) -> tuple[Array, Array]:
    """x with mean 0 and variance 1 along an axis, and the factor 1 / sqrt(variance + eps)."""
    centred = x - x.mean(axis=axis, keepdims=True)
    root = ((centred * centred).mean(axis=axis, keepdims=True) + eps) ** -0.5
    return centred * root, root


def _position(operator: Operator) -> int:
    return operator.outputs[0].dims.index(str(operator.attributes["axis"]))


def _axis_label(operator: Operator) -> tuple[str, ...]:
    return (str(operator.attributes["axis"]),)


def _copy(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    return (aligned(operator, arrays)[0],)


def _slice_backward(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """The gradient at [start::step] along the output label `axis`, zeros elsewhere; see `slice`."""
    import numpy as np

    dims, axis = operator.outputs[0].dims, str(operator.attributes["axis"])
    source = operator.inputs[0].dims
    into = next((label for label in source if label not in dims), None)
    start, step = int(number(operator, "start")), int(number(operator, "step", 1))
    found = np.zeros([operator.dims[label] for label in dims], dtype=arrays[0].dtype)
    place: list[slice | int] = [slice(None)] * len(dims)
    place[dims.index(axis)] = start if into is None else slice(start, start + step * operator.dims[into], step)
    target = tuple(into if label == axis else label for label in dims if label != axis or into is not None)
    found[tuple(place)] = spread(arrays[0], source, tuple(str(label) for label in target))
    return (found,)


def _embedding_backward(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """(gradient, indices): rows of the gradient added up by index; a part of the table takes only its own rows."""
    import numpy as np

    (dims, index), target = (operand.dims for operand in operator.inputs), operator.outputs[0].dims
    rows = arrays[1].reshape(-1) - int(number(operator, "first"))
    flat = spread(arrays[0], dims, (*index, *target[1:])).reshape(rows.size, -1)
    found = np.zeros((operator.dims[target[0]], flat.shape[1]), dtype=arrays[0].dtype)
    here = (rows >= 0) & (rows < len(found))
    np.add.at(found, rows[here], flat[here])
    return (found.reshape([operator.dims[label] for label in target]),)


def _summed(operator: Operator) -> tuple[str, ...]:
    """Labels that the table lacks: a row may come from any of their elements."""
    return tuple(label for label in operator.inputs[1].dims if label not in operator.outputs[0].dims)


def _rows(operator: Operator) -> tuple[str, ...]:
    return operator.outputs[0].dims[:1]


def _pick(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """(x, index): the element of x at the index along `axis`; zero where another part has it."""
    import numpy as np

    dims, index = (operand.dims for operand in operator.inputs)
    axis = str(operator.attributes["axis"])
    rows = arrays[1] - int(number(operator, "first"))
    here = (rows >= 0) & (rows < arrays[0].shape[dims.index(axis)])
    moved = spread(arrays[0], dims, (*index, axis))
    found = np.take_along_axis(moved, np.where(here, rows, 0)[..., None], axis=-1)[..., 0] * here
    return (spread(found, index, operator.outputs[0].dims),)


def _exp_within(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """exp(x), and zero where a part of `axis` is padding: padding is no member of a sum of exponentials."""
    import numpy as np

    target, axis = operator.outputs[0].dims, str(operator.attributes["axis"])
    columns = spread(np.arange(operator.dims[axis]), (axis,), target)
    known = columns < int(number(operator, "count", operator.dims[axis]))
    return (np.where(known, np.exp(aligned(operator, arrays)[0]), 0.0).astype(arrays[0].dtype),)


def _subtract_one_hot(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """(x, index): x, less 1 at the index along `axis`."""
    import numpy as np

    target, axis = operator.outputs[0].dims, str(operator.attributes["axis"])
    x, rows = aligned(operator, arrays)
    count = operator.dims[axis]
    columns = spread(np.arange(count) + int(number(operator, "first")), (axis,), target)
    return (x - (rows == columns),)


def _sgd_step(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """(gradient, weight[, momentum]) -> (weight[, momentum][, narrow copy]), torch.optim.SGD."""
    gradient, weight, *velocity = arrays
    step = gradient + number(operator, "weight_decay") * weight
    if velocity:
        step = number(operator, "momentum") * velocity[0] + step
    found = weight - number(operator, "learning_rate") * step
    return _with_copy(operator, (found, step) if velocity else (found,))


def _adamw_step(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """(gradient, weight, mean, square) -> (weight, mean, square[, narrow copy]), Loshchilov and Hutter 2019."""
    gradient, weight, mean, square = arrays
    first, second, rate = (number(operator, key) for key in ("beta1", "beta2", "learning_rate"))
    steps = number(operator, "step", 1.0)
    mean = first * mean + (1.0 - first) * gradient
    square = second * square + (1.0 - second) * gradient * gradient
    root = (square / (1.0 - second**steps)) ** 0.5 + number(operator, "eps")
    weight = weight * (1.0 - rate * number(operator, "weight_decay"))
    return _with_copy(operator, (weight - rate / (1.0 - first**steps) * mean / root, mean, square))


def _with_copy(operator: Operator, results: tuple[Array, ...]) -> tuple[Array, ...]:
    """A weight kept in a wide format is also written in the narrow one that the model computes with."""
    return (*results, results[0]) if len(operator.outputs) > len(results) else results


def _simd(kind: str, meaning: Meaning, points_ops: int, tail_ops: int, operands: int, aten: str) -> OperatorSpec:
    return OperatorSpec(
        kind=kind, compute=Compute.SIMD, numpy=meaning, points_ops=points_ops, tail_ops=tail_ops,
        operands=(operands, operands), aten=(f"aten::{aten}",),
    )  # fmt: skip


SPECS: Final[Mapping[str, OperatorSpec]] = MappingProxyType(
    {
        # 1 - s, x (1 - s), 1 + .., times s, times the gradient around one sigmoid.
        "silu_backward": _simd("silu_backward", _silu_backward, 5, 1, 2, "silu_backward"),
        # erf and exp; x^2, x pdf, cdf + .., scaling twice, times the gradient.
        "gelu_backward": _simd("gelu_backward", _gelu_backward, 7, 2, 2, "gelu_backward"),
        "gelu_tanh_backward": _simd("gelu_tanh_backward", _gelu_tanh_backward, 14, 1, 2, "gelu_backward"),
        "threshold_backward": _simd("threshold_backward", _threshold_backward, 1, 0, 2, "threshold_backward"),
        "sigmoid_backward": _simd("sigmoid_backward", _sigmoid_backward, 3, 0, 2, "sigmoid_backward"),
        "tanh_backward": _simd("tanh_backward", _tanh_backward, 3, 0, 2, "tanh_backward"),
        # Passes: sum of products; difference and product.
        "softmax_backward": OperatorSpec(
            kind="softmax_backward", compute=Compute.SIMD, points_ops=4, passes=2, reduces=True, whole=_axis_label,
            attributes=("axis",), operands=(2, 2), aten=("aten::_softmax_backward_data",), numpy=_softmax_backward,
        ),
        # Passes: mean and variance; two means of products; the result.
        "layer_norm_backward": OperatorSpec(
            kind="layer_norm_backward", compute=Compute.SIMD, points_ops=13, tail_ops=1, passes=3, reduces=True,
            whole=_axis_label, attributes=("axis", "eps"), operands=(2, 3),
            aten=("aten::native_layer_norm_backward",), numpy=_layer_norm_backward,
        ),
        # PyTorch launches it beside the one above: it sums over all tokens.
        "layer_norm_weight_backward": OperatorSpec(
            kind="layer_norm_weight_backward", compute=Compute.SIMD, points_ops=8, tail_ops=1, passes=2, reduces=True,
            whole=_axis_label, contraction="sum", attributes=("axis", "eps"), operands=(2, 2),
            aten=("aten::native_layer_norm_backward",), numpy=_layer_norm_weight_backward,
        ),
        "copy": OperatorSpec(kind="copy", compute=Compute.MOVE, aten=("aten::clone",), numpy=_copy),
        "slice_backward": OperatorSpec(
            kind="slice_backward", compute=Compute.MOVE, whole=changed, attributes=("axis",),
            aten=("aten::slice_backward", "aten::select_backward"), numpy=_slice_backward,
        ),
        # Rows go where the index says: the memory adds nothing up, so a part of the table needs all of its tokens.
        "embedding_backward": OperatorSpec(
            kind="embedding_backward", compute=Compute.MOVE, operands=(2, 2), contraction="sum", placed=_rows,
            whole=_rows, aten=("aten::embedding_dense_backward",), numpy=_embedding_backward,
        ),
        "pick": OperatorSpec(
            kind="pick", compute=Compute.SIMD, points_ops=1, reduces=True, contraction="sum", placed=_axis_label,
            attributes=("axis",), operands=(2, 2), aten=("aten::gather",), numpy=_pick,
        ),
        "exp_within": OperatorSpec(
            kind="exp_within", compute=Compute.SIMD, points_ops=1, tail_ops=1, placed=_axis_label, attributes=("axis",),
            aten=("aten::exp",), numpy=_exp_within,
        ),
        "subtract_one_hot": OperatorSpec(
            kind="subtract_one_hot", compute=Compute.SIMD, points_ops=1, placed=_axis_label, attributes=("axis",),
            operands=(2, 2), aten=("aten::scatter_add",), numpy=_subtract_one_hot,
        ),
        "sgd_step": OperatorSpec(
            kind="sgd_step", compute=Compute.SIMD, points_ops=6, operands=(2, 3), attributes=("learning_rate",),
            aten=("aten::_fused_sgd_",), numpy=_sgd_step,
        ),
        # Decay 1, mean 3, square 4, root and bias corrections 4, step 2; a square root and a reciprocal in the tail.
        "adamw_step": OperatorSpec(
            kind="adamw_step", compute=Compute.SIMD, points_ops=14, tail_ops=2, operands=(4, 4),
            attributes=("learning_rate", "beta1", "beta2", "eps"), aten=("aten::_fused_adamw_",), numpy=_adamw_step,
        ),
    }
)  # fmt: skip
