"""Step costs of a scenario, tabulated at few points: those that its requests span. docs/model.md, "Step costs of an RDU
node".

A simulated step takes about a second, so points are spent where steps bend: prefill by tokens, decode by batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isqrt
from typing import Final

import numpy as np

from rdusim.serve.costs import ShapeTable, Surface, Table
from rdusim.serve.types import StepCosts

_PREFILL_BATCH: Final = 8  # prompts in one prefill that are measured at most; more are extrapolated
_FINER: Final = 4  # points of an axis of tokens lie that factor apart
_POINTS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What requests ask of a shape: prompts at once and their tokens, sequences at once and their contexts.

    `least`: tokens of the shortest prompt that the shape can read.
    """

    prompts: int = 1
    tokens: tuple[int, int] = (1, 1)
    sequences: int = 1
    contexts: tuple[int, int] = (2, 2)
    least: int = 1

    def __or__(self, other: Span) -> Span:
        """Both together."""
        return Span(
            prompts=max(self.prompts, other.prompts),
            tokens=(min(self.tokens[0], other.tokens[0]), max(self.tokens[1], other.tokens[1])),
            sequences=max(self.sequences, other.sequences),
            contexts=(min(self.contexts[0], other.contexts[0]), max(self.contexts[1], other.contexts[1])),
            least=max(self.least, other.least),
        )


def few_points(costs: StepCosts, spans: Mapping[str, Span], *, cheap: bool = False) -> Table:
    """A table for each shape; the middles of its widest cells are measured to say how far interpolation is off.

    `cheap`: steps cost little, so batches are measured at every power of two.
    """
    return Table(shapes={shape: _tabulate(costs, shape, span, cheap) for shape, span in spans.items()}, source=costs)


def _tabulate(costs: StepCosts, shape: str, span: Span, cheap: bool) -> ShapeTable:
    most = min(span.prompts, _PREFILL_BATCH)
    tokens = tuple(sorted({max(count, span.least) for count in _tokens(*span.tokens)}))
    # A further row costs as many steps as there are places on the other axis.
    prompts = _doubling(most) if cheap else tuple(sorted({1, most, *((2,) if most > 2 and len(tokens) < 3 else ())}))
    sequences = _doubling(span.sequences) if cheap else _sequences(span.sequences)
    contexts = _ends(*_rounded(*span.contexts))
    prefill = Surface(
        batches=prompts,
        tokens=tokens,
        values=np.array([[costs.prefill(shape, batch, count) for count in tokens] for batch in prompts]),
    )
    decode = Surface(
        batches=sequences,
        tokens=contexts,
        values=np.array([[costs.decode(shape, batch, count) for count in contexts] for batch in sequences]),
    )
    moved = Surface(
        batches=sequences,
        tokens=contexts,
        values=np.array([[float(costs.decode_bytes(shape, b, c)) for c in contexts] for b in sequences]),
    )
    return ShapeTable(
        prefill=prefill,
        decode=decode,
        decode_bytes=moved,
        inside=_inside(costs, shape, prefill, decode),
        beyond=_beyond(prefill, decode),
        measured=prefill.values.size + decode.values.size + 2,
    )


def _inside(costs: StepCosts, shape: str, prefill: Surface, decode: Surface) -> float:
    """The larger relative error of the two tables in the middle of their widest cells."""
    errors = []
    batch, count = _widest(prefill.batches), _widest(prefill.tokens)
    errors.append(_off(prefill.line(batch).at(count), costs.prefill(shape, batch, count)))
    batch, count = _widest(decode.batches), _widest(decode.tokens)
    errors.append(_off(decode.line(batch).at(count), costs.decode(shape, batch, count)))
    return max(errors)


def _beyond(prefill: Surface, decode: Surface) -> float:
    """Relative error of foretelling the largest batch of a table, or its most tokens, from those before."""
    errors = [0.0]
    for table in (prefill, decode):
        for axis, places in ((0, table.batches), (1, table.tokens)):
            if len(places) > 2:
                before, last, end = (np.take(table.values, i, axis) for i in (-3, -2, -1))
                told = last + (last - before) / (places[-2] - places[-3]) * (places[-1] - places[-2])
                errors.append(float(np.max(np.abs(told / end - 1))))
    return max(errors)


def _off(told: float, truth: float) -> float:
    return abs(told / truth - 1) if truth else 0.0


def _widest(axis: Sequence[int]) -> int:
    """The geometric middle of the widest interval; the only place of an axis with one."""
    if len(axis) == 1:
        return axis[0]
    low, high = max(pairwise(axis), key=lambda ends: ends[1] / ends[0])
    return max(isqrt(low * high), low)


def _tokens(least: int, most: int) -> tuple[int, ...]:
    """From the ends down by a factor; one place where all prompts are alike."""
    low, high = _rounded(least, most)
    inner = [high // _FINER**power for power in range(1, _POINTS - 1)]
    return tuple(sorted({low, high, *(place for place in inner if place > low)}))


def _sequences(most: int) -> tuple[int, ...]:
    """1, the largest batch, and between them what a socket's arrays take at once for the price of one."""
    return tuple(sorted({1, most, *((most // 4,) if most >= 16 else ())}))


def _rounded(least: int, most: int) -> tuple[int, int]:
    """Powers of two around a range, so that other scenarios ask for the same places; a single place as it is."""
    if least == most:
        return least, most
    return 1 << (least.bit_length() - 1), 1 << (most - 1).bit_length()


def _doubling(most: int) -> tuple[int, ...]:
    return tuple(sorted({most, *(1 << power for power in range(most.bit_length()))}))


def _ends(least: int, most: int) -> tuple[int, ...]:
    return tuple(sorted({least, most}))
