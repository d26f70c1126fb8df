"""Columns as the loops read them: plain arrays, whose items come out three times as fast as NumPy's."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rdusim.serve.types import Requests

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


class Columns(NamedTuple):
    """`arrival`: at the node."""

    arrival: array[float]
    prompt: array[int]
    output: array[int]
    expert: array[int]


def columns_of(requests: Requests, network: float) -> Columns:
    return Columns(
        arrival=real(requests.arrival + network),
        prompt=whole(requests.prompt_tokens),
        output=whole(requests.output_tokens),
        expert=whole(requests.expert),
    )


def real(column: Floats) -> array[float]:
    return array("d", column.astype(np.float64).tobytes())


def whole(column: Ints) -> array[int]:
    return array("q", column.astype(np.int64).tobytes())


def real_view(column: array[float]) -> Floats:
    """NumPy's view of it; the array can grow no more while that lives."""
    return np.frombuffer(column, dtype=np.float64) if column else np.zeros(0)


def whole_view(column: array[int]) -> Ints:
    return np.frombuffer(column, dtype=np.int64) if column else np.zeros(0, dtype=np.int64)
