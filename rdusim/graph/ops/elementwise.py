"""Element-wise operators: one result per point, operands broadcast over the labels they lack.

A binary operator with one operand takes its other side from the attribute `scalar` (`reverse`: the scalar stands left).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from rdusim.dtypes import NUMPY
from rdusim.graph.ops.spec import Meaning, OperatorSpec, aligned, number
from rdusim.graph.types import Compute, Operator

if TYPE_CHECKING:
    from rdusim.graph.ops.spec import Array


def _binary(function: str) -> Meaning:
    def meaning(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
        import numpy as np

        operands: list[object] = list(aligned(operator, arrays))
        if len(operands) == 1:
            scalar = number(operator, "scalar")
            operands = [scalar, *operands] if operator.attributes.get("reverse") else [*operands, scalar]
        return (getattr(np, function)(*operands),)

    return meaning


def _unary(function: Callable[[Array], Array]) -> Meaning:
    def meaning(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
        return (function(aligned(operator, arrays)[0]),)

    return meaning


def _named(function: str) -> Meaning:
    def meaning(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
        import numpy as np

        return (getattr(np, function)(aligned(operator, arrays)[0]),)

    return meaning


def _rsqrt(array: Array) -> Array:
    root: Array = array**-0.5
    return root


def sigmoid(array: Array) -> Array:
    """1 / (1 + exp(-x))."""
    import numpy as np

    result: Array = 1.0 / (1.0 + np.exp(-array))
    return result


def _silu(array: Array) -> Array:
    return array * sigmoid(array)


def _relu(array: Array) -> Array:
    import numpy as np

    result: Array = np.maximum(array, 0)
    return result


def _gelu(array: Array) -> Array:
    import math

    import numpy as np

    erf: Array = np.vectorize(math.erf, otypes=[float])(array / math.sqrt(2.0)).astype(array.dtype)
    return 0.5 * array * (1.0 + erf)


def _gelu_tanh(array: Array) -> Array:
    import math

    import numpy as np

    result: Array = 0.5 * array * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (array + 0.044715 * array**3)))
    return result


def gelu_slope(array: Array) -> Array:
    """Derivative of x * cdf(x): cdf + x * pdf of the normal distribution."""
    import math

    import numpy as np

    erf: Array = np.vectorize(math.erf, otypes=[float])(array / math.sqrt(2.0)).astype(array.dtype)
    density = np.exp(-0.5 * array * array) / math.sqrt(2.0 * math.pi)
    result: Array = 0.5 * (1.0 + erf) + array * density
    return result


def gelu_tanh_slope(array: Array) -> Array:
    """Derivative of 0.5 x (1 + tanh(u)), u = sqrt(2/pi) (x + 0.044715 x^3)."""
    import math

    import numpy as np

    scale = math.sqrt(2.0 / math.pi)
    bend = np.tanh(scale * (array + 0.044715 * array**3))
    inner = scale * (1.0 + 3 * 0.044715 * array * array)
    result: Array = 0.5 * (1.0 + bend) + 0.5 * array * (1.0 - bend * bend) * inner
    return result


def _cast(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    wanted = str(operator.attributes["to"])
    # Values stay exact where int8 stands for a quantised activation, and where float64 stands for every format.
    if wanted == "int8" or (arrays[0].dtype == "float64" and wanted.startswith(("fp", "bf"))):
        return (aligned(operator, arrays)[0],)
    return (aligned(operator, arrays)[0].astype(NUMPY[wanted]),)  # type: ignore[index]


def _masked_fill(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """masked_fill(x, mask): the attribute `scalar` where the mask is true."""
    import numpy as np

    x, mask = aligned(operator, arrays)
    return (np.where(mask, np.asarray(number(operator, "scalar"), dtype=x.dtype), x),)


def _clamp(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """clamp(x): no less than the attribute `least` and no more than `most`, where they are given."""
    import numpy as np

    least, most = (float(number(operator, key, end)) for key, end in (("least", -np.inf), ("most", np.inf)))
    return (np.clip(aligned(operator, arrays)[0], least, most),)


def _where(operator: Operator, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """where(condition, x): x where the condition is true, else the attribute `scalar`."""
    import numpy as np

    condition, x = aligned(operator, arrays)
    return (np.where(condition, x, np.asarray(number(operator, "scalar"), dtype=x.dtype)),)


def _simd(
    kind: str,
    meaning: Meaning,
    points_ops: int,
    tail_ops: int = 0,
    operands: tuple[int, int] = (1, 1),
    attributes: tuple[str, ...] = (),
    onnx: str = "",
    aten: str = "",
) -> OperatorSpec:
    return OperatorSpec(
        kind=kind,
        compute=Compute.SIMD,
        numpy=meaning,
        points_ops=points_ops,
        tail_ops=tail_ops,
        operands=operands,
        attributes=attributes,
        onnx=(onnx or kind.capitalize(),),
        aten=(f"aten::{aten or kind}",),
    )


SPECS: Final[Mapping[str, OperatorSpec]] = MappingProxyType(
    {
        "add": _simd("add", _binary("add"), 1, operands=(1, 2)),
        "sub": _simd("sub", _binary("subtract"), 1, operands=(1, 2)),
        "mul": _simd("mul", _binary("multiply"), 1, operands=(1, 2)),
        "maximum": _simd("maximum", _binary("maximum"), 1, operands=(1, 2), onnx="Max"),
        # A division is a reciprocal in the tail and a multiplication.
        "div": _simd("div", _binary("divide"), 1, 1, operands=(1, 2)),
        # Only small whole exponents occur: x*x, x*x*x.
        "pow": _simd("pow", _binary("power"), 2, attributes=("scalar",)),
        "neg": _simd("neg", _named("negative"), 1),
        "abs": _simd("abs", _named("abs"), 1),
        "rsqrt": _simd("rsqrt", _unary(_rsqrt), 0, 1, onnx="Reciprocal"),
        "sqrt": _simd("sqrt", _named("sqrt"), 0, 1),
        "exp": _simd("exp", _named("exp"), 0, 1),
        "log": _simd("log", _named("log"), 0, 1),
        "tanh": _simd("tanh", _named("tanh"), 0, 1),
        "cos": _simd("cos", _named("cos"), 0, 1),
        "sin": _simd("sin", _named("sin"), 0, 1),
        "sigmoid": _simd("sigmoid", _unary(sigmoid), 0, 1),
        "silu": _simd("silu", _unary(_silu), 1, 1),
        "relu": _simd("relu", _unary(_relu), 1),
        # x * 0.5 * (1 + erf(x / sqrt 2)): three products and a sum around one tail function.
        "gelu": _simd("gelu", _unary(_gelu), 4, 1),
        "gelu_tanh": _simd("gelu_tanh", _unary(_gelu_tanh), 7, 1, onnx="Gelu", aten="gelu"),
        "cast": _simd("cast", _cast, 0, 1, attributes=("to",), aten="_to_copy"),
        "clamp": _simd("clamp", _clamp, 2, onnx="Clip"),
        "masked_fill": _simd("masked_fill", _masked_fill, 1, operands=(2, 2), attributes=("scalar",), onnx="Where"),
        "where": _simd("where", _where, 1, operands=(2, 2), attributes=("scalar",)),
    }
)
