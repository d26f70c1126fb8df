"""Step costs that can be leapt over: tabulated, or constants; a run of decode steps is one closed form."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from rdusim.serve.line import Line, line_through
from rdusim.serve.types import StepCosts
from rdusim.units import Bytes, BytesPerSecond, Seconds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class LeapCosts(StepCosts, Protocol):
    """Step costs whose decode steps are piecewise linear in the context, so that the loop adds up many at once."""

    def decode_line(self, shape: str, batch: int) -> Line:
        """`decode` of that batch as a function of the context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """Costs by formula, for tests and for theory: prefill = seconds + per token x batch x tokens, and so on."""

    prefill_seconds: float = 0.0
    prefill_per_token: float = 0.0
    decode_seconds: float = 0.0
    decode_per_sequence: float = 0.0
    decode_per_context: float = 0.0
    weight_bytes: int = 0
    kv_bytes_per_token: int = 0
    copy: float = 1e12
    memory: float = 1e12

    def prefill(self, shape: str, batch: int, tokens: int) -> Seconds:
        return Seconds(self.prefill_seconds + self.prefill_per_token * batch * tokens)

    def decode(self, shape: str, batch: int, context: float) -> Seconds:
        return Seconds(self.decode_seconds + batch * (self.decode_per_sequence + self.decode_per_context * context))

    def decode_line(self, shape: str, batch: int) -> Line:
        return Line((0.0,), (self.decode(shape, batch, 0.0),), (batch * self.decode_per_context,))

    def switch(self, size: Bytes, source: str, target: str) -> Seconds:
        return Seconds(size / self.copy)

    def copy_bandwidth(self, source: str, target: str) -> BytesPerSecond:
        return BytesPerSecond(self.copy)

    def memory_bandwidth(self, tier: str) -> BytesPerSecond:
        return BytesPerSecond(self.memory)

    def decode_bytes(self, shape: str, batch: int, context: float) -> Bytes:
        return Bytes(round(self.weight_bytes + batch * context * self.kv_bytes_per_token))


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """Values over batch (rows) and tokens or context (columns): bilinear inside, along the last slope outside."""

    batches: tuple[int, ...]
    tokens: tuple[int, ...]
    values: Floats

    def line(self, batch: int) -> Line:
        """The row of a batch, between or beyond the batches that were measured."""
        return line_through(self.tokens, [float(value) for value in self._row(batch)])

    def _row(self, batch: int) -> Floats:
        if len(self.batches) == 1:
            return np.asarray(self.values[0])
        i = min(max(bisect_right(self.batches, batch) - 1, 0), len(self.batches) - 2)
        share = (batch - self.batches[i]) / (self.batches[i + 1] - self.batches[i])
        return np.asarray(self.values[i] + share * (self.values[i + 1] - self.values[i]))


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeTable:
    """What one expert shape costs. Errors are relative: `inside` at held-out points, `beyond` of the last slope.

    `measured`: how many steps were measured for it. docs/model.md, "Tabulated step costs".
    """

    prefill: Surface
    decode: Surface
    decode_bytes: Surface
    inside: float
    beyond: float
    measured: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Step costs by interpolation. Rows of batches are made once and kept, so a lookup is one bisection.

    `source` answers what needs no table: copies and bandwidths.
    """

    shapes: dict[str, ShapeTable]
    source: StepCosts
    _prefill: dict[tuple[str, int], Line] = field(default_factory=dict, repr=False, compare=False)
    _decode: dict[tuple[str, int], Line] = field(default_factory=dict, repr=False, compare=False)
    _switch: dict[tuple[int, str, str], Seconds] = field(default_factory=dict, repr=False, compare=False)

    def prefill(self, shape: str, batch: int, tokens: int) -> Seconds:
        line = self._prefill.get((shape, batch))
        if line is None:
            line = self._prefill[shape, batch] = self.shapes[shape].prefill.line(batch)
        return Seconds(line.at(tokens))

    def decode(self, shape: str, batch: int, context: float) -> Seconds:
        return Seconds(self.decode_line(shape, batch).at(context))

    def decode_line(self, shape: str, batch: int) -> Line:
        line = self._decode.get((shape, batch))
        if line is None:
            line = self._decode[shape, batch] = self.shapes[shape].decode.line(batch)
        return line

    def switch(self, size: Bytes, source: str, target: str) -> Seconds:
        key = (size, source, target)
        if key not in self._switch:
            self._switch[key] = self.source.switch(size, source, target)
        return self._switch[key]

    def copy_bandwidth(self, source: str, target: str) -> BytesPerSecond:
        return self.source.copy_bandwidth(source, target)

    def memory_bandwidth(self, tier: str) -> BytesPerSecond:
        return self.source.memory_bandwidth(tier)

    def decode_bytes(self, shape: str, batch: int, context: float) -> Bytes:
        return Bytes(round(self.shapes[shape].decode_bytes.line(batch).at(context)))
