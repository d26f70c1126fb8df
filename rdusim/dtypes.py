"""Number formats: how many bytes an element takes and how NumPy holds it."""

from __future__ import annotations

from typing import Final, Literal

DType = Literal["fp32", "bf16", "fp16", "fp8", "int32", "int8", "bool"]

SIZE: Final[dict[DType, int]] = {"fp32": 4, "bf16": 2, "fp16": 2, "fp8": 1, "int32": 4, "int8": 1, "bool": 1}

# NumPy has no bf16 and no fp8: the functional meaning of an operator is computed in a wider type.
NUMPY: Final[dict[DType, str]] = {
    "fp32": "float32",
    "bf16": "float32",
    "fp16": "float16",
    "fp8": "float32",
    "int32": "int32",
    "int8": "int8",
    "bool": "bool",
}


def size_of(dtype: DType) -> int:
    """Bytes of one element."""
    return SIZE[dtype]
