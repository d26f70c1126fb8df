"""A memory by byte addresses that holds numbers: ranges that overlap spoil each other, as they would on the machine.

Numbers are float64 whatever their format. An element lies at the address that its format's size gives it and fills all
its bytes; read back, an element of which another one has taken a part is NaN, and so is what nobody has written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Box = tuple[slice, ...]

# Slots hold the bits of numbers, turned so that NaN is zero: fresh memory reads as NaN and costs nothing.
_NAN: Final = np.array(np.nan).view(np.uint64)


class Storage:
    """One tier of one socket, or the PMUs of a stage. `grain`: bytes that divide every address and element size."""

    def __init__(self, size: int, grain: int) -> None:
        self._grain = grain
        self._slots = np.zeros(-(-size // grain), dtype=np.uint64)

    def write(self, address: int, shape: Sequence[int], element: int, box: Box, values: Array) -> None:
        """Put `values` into the part `box` of a tensor of `shape`, whose elements of `element` bytes lie in a row."""
        bits = np.array(values, dtype=np.float64, order="C").view(np.uint64) ^ _NAN
        self._view(address, shape, element)[box] = bits[..., None]

    def read(self, address: int, shape: Sequence[int], element: int, box: Box) -> Array:
        """A copy of the part `box` of a tensor that lies there."""
        found = self._view(address, shape, element)[box]
        whole = (found == found[..., :1]).all(axis=-1)
        return (np.where(whole, found[..., 0], 0) ^ _NAN).view(np.float64)

    def _view(self, address: int, shape: Sequence[int], element: int) -> Array:
        width = element // self._grain
        start, count = address // self._grain, width * int(np.prod(shape, dtype=np.int64))
        return self._slots[start : start + count].reshape(*shape, width)
