"""What a kind of operator is: the one record that every pass reads instead of knowing operators by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from rdusim.graph.types import Compute, Operator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

Meaning = Callable[[Operator, Sequence["Array"]], tuple["Array", ...]]


def no_labels(operator: Operator) -> tuple[str, ...]:
    """Every label may be sharded and tiled."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorSpec:
    """One kind of operator.

    `points_ops`: SIMD pipeline operations at each point of the iteration space; `tail_ops`: operations of the PCU's
    tail (exp, rsqrt, tanh, casts) at each point. `passes`: how often a tile is traversed.
    `whole`: labels that may neither be sharded nor cut into tiles, because a result needs the entire axis.
    `contraction`: how partial results over a sharded label that the output lacks combine across sockets; None: they
    do not, such a label must stay whole ("argmax": the index of the largest, which travels with its value).
    `addressed`: labels that are found by index or made, and not gone through: no part of the iteration space.
    `linear`: operands in which the result is linear: partial sums of one of them give partial sums of the result.
    `routed`: labels that count tokens, and the one that counts their slots at the experts: cut tokens are in cut slots.
    `placed`: a label of which a socket's part must know where it begins: for parts, `numpy` reads the attributes
    `first` (index of the first element) and `count` (elements that are no padding). `gathers`: the first operand is
    read by index.
    `numpy`: operands in, results out; the reference meaning.
    """

    kind: str
    compute: Compute
    numpy: Meaning
    points_ops: int = 0
    tail_ops: int = 0
    passes: int = 1
    reduces: bool = False
    whole: Callable[[Operator], tuple[str, ...]] = no_labels
    contraction: Literal["sum", "max", "argmax"] | None = None
    placed: Callable[[Operator], tuple[str, ...]] = no_labels
    addressed: Callable[[Operator], tuple[str, ...]] = no_labels
    linear: tuple[int, ...] = ()
    routed: Callable[[Operator], tuple[tuple[str, ...], str]] | None = None
    gathers: bool = False
    operands: tuple[int, int] = (1, 1)  # fewest and most inputs
    attributes: tuple[str, ...] = ()  # attributes it needs
    onnx: tuple[str, ...] = ()
    aten: tuple[str, ...] = ()


def aligned(operator: Operator, arrays: Sequence[Array]) -> list[Array]:
    """Operands as views that broadcast against the first output: its axes in order, extent 1 where a label lacks."""
    target = operator.outputs[0].dims
    return [spread(array, operand.dims, target) for array, operand in zip(arrays, operator.inputs, strict=True)]


def spread(array: Array, dims: tuple[str, ...], target: tuple[str, ...]) -> Array:
    """Axes `dims` of an array put into the order of `target`, with extent 1 for labels it does not have."""
    order = [dims.index(label) for label in target if label in dims]
    shape = [array.shape[dims.index(label)] if label in dims else 1 for label in target]
    return array.transpose(order).reshape(shape)


def number(operator: Operator, key: str, default: float = 0.0) -> float:
    """A numeric attribute."""
    value = operator.attributes.get(key, default)
    assert isinstance(value, int | float)
    return value
