"""A table of step costs: measure, compare at held-out points, measure more where interpolation is too far off."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import isqrt

import numpy as np

from rdusim.errors import OptionError, Problem
from rdusim.serve.costs import ShapeTable, Surface, Table
from rdusim.serve.types import StepCosts

_Measure = Callable[[int, int], float]
_HELD_OUT = 24  # cells whose middle is measured to state the error


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Where to start: batches, prompt tokens and contexts, ascending; the first and the last are the range wanted.

    `tolerance`: relative error at held-out points above which an interval is cut. `most`: no axis gets more points.
    """

    batches: tuple[int, ...] = (1, 64)
    tokens: tuple[int, ...] = (1, 8192)
    contexts: tuple[int, ...] = (1, 8192)
    tolerance: float = 0.02
    most: int = 12


def table_of(measure: StepCosts, shapes: Iterable[str], grid: Grid | None = None) -> Table:
    """Costs of every shape, tabulated. Equation: docs/model.md, "Tabulated step costs". Raises OptionError."""
    grid = grid or Grid()
    _check(grid)
    return Table(shapes={shape: _tabulate(measure, shape, grid) for shape in shapes}, source=measure)


def _check(grid: Grid) -> None:
    problems = [
        Problem(
            message=f"{list(axis)} is no ascending list of positive numbers", field=name, hint="for example [1, 8, 64]"
        )
        for name, axis in (("batches", grid.batches), ("tokens", grid.tokens), ("contexts", grid.contexts))
        if not axis or axis[0] < 1 or any(low >= high for low, high in pairwise(axis))
    ]
    if not grid.tolerance > 0:
        problems.append(
            Problem(message=f"{grid.tolerance} is not above 0", field="tolerance", hint="0.02 allows 2% of error")
        )
    if problems:
        raise OptionError(*problems)


def _tabulate(measure: StepCosts, shape: str, grid: Grid) -> ShapeTable:
    prefill = _remembering(lambda batch, tokens: measure.prefill(shape, batch, tokens))
    decode = _remembering(lambda batch, context: measure.decode(shape, batch, context))
    tables = [_surface(prefill, grid.batches, grid.tokens, grid), _surface(decode, grid.batches, grid.contexts, grid)]
    held_out = [
        error for ask, table in zip((prefill, decode), tables, strict=True) for _, error in _held_out(ask, table)
    ]
    moved = Surface(
        batches=tables[1].batches,
        tokens=tables[1].tokens,
        values=_values(lambda b, c: measure.decode_bytes(shape, b, c), tables[1].batches, tables[1].tokens),
    )
    return ShapeTable(
        prefill=tables[0],
        decode=tables[1],
        decode_bytes=moved,
        inside=max(held_out),
        beyond=max(_beyond(table) for table in tables),
        measured=len(prefill.known) + len(decode.known),
    )


class _Remembering:
    """A measurement that is not made twice at one place."""

    __slots__ = ("known", "measure")

    def __init__(self, measure: _Measure) -> None:
        self.measure = measure
        self.known: dict[tuple[int, int], float] = {}

    def __call__(self, batch: int, tokens: int) -> float:
        if (batch, tokens) not in self.known:
            self.known[batch, tokens] = float(self.measure(batch, tokens))
        return self.known[batch, tokens]


def _remembering(measure: _Measure) -> _Remembering:
    return _Remembering(measure)


def _surface(ask: _Measure, batches: Sequence[int], tokens: Sequence[int], grid: Grid) -> Surface:
    """Each axis is refined along the two edges of the other, then both where the middle of a cell is foretold badly."""
    columns = _refined(tokens, lambda x: [ask(batch, x) for batch in sorted({batches[0], batches[-1]})], grid)
    rows = _refined(batches, lambda x: [ask(x, token) for token in sorted({tokens[0], tokens[-1]})], grid)
    while True:
        table = Surface(batches=rows, tokens=columns, values=_values(ask, rows, columns))
        bad = [cell for cell, error in _held_out(ask, table) if error > grid.tolerance]
        finer = _with_middles(rows, [row for row, _ in bad], grid), _with_middles(columns, [at for _, at in bad], grid)
        if finer == (rows, columns):
            return table
        rows, columns = finer


def _with_middles(axis: tuple[int, ...], places: Sequence[int], grid: Grid) -> tuple[int, ...]:
    new = [place for place in dict.fromkeys(places) if place not in axis]
    return tuple(sorted([*axis, *new[: max(grid.most - len(axis), 0)]]))


def _values(
    ask: _Measure, rows: Sequence[int], columns: Sequence[int]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.array([[ask(row, column) for column in columns] for row in rows], dtype=np.float64)


def _refined(axis: Sequence[int], ask: Callable[[int], list[float]], grid: Grid) -> tuple[int, ...]:
    """The axis with every interval cut at its geometric middle until what was foretold there is near enough."""
    points = list(axis)
    todo = list(pairwise(axis))
    while todo and len(points) < grid.most:
        low, high = max(todo, key=lambda ends: ends[1] / ends[0])
        todo.remove((low, high))
        if (middle := _between(low, high)) is None:
            continue
        share = (middle - low) / (high - low)
        truth = ask(middle)
        told = [first + share * (last - first) for first, last in zip(ask(low), ask(high), strict=True)]
        points.append(middle)
        if any(_off(guess, real) > grid.tolerance for guess, real in zip(told, truth, strict=True)):
            todo += [(low, middle), (middle, high)]
    return tuple(sorted(points))


def _between(low: int, high: int) -> int | None:
    middle = isqrt(low * high)
    middle = max(middle, low + 1)
    return middle if middle < high else None


def _held_out(ask: _Measure, table: Surface) -> list[tuple[tuple[int, int], float]]:
    """Relative errors at the middles of cells, of some that are spread evenly over the table."""
    rows = [row for ends in pairwise(table.batches) if (row := _between(*ends)) is not None] or [table.batches[0]]
    columns = [column for ends in pairwise(table.tokens) if (column := _between(*ends)) is not None]
    cells = list(product(rows, columns or [table.tokens[0]]))
    chosen = cells[:: -(-len(cells) // _HELD_OUT)]
    return [((row, column), _off(table.line(row).at(column), ask(row, column))) for row, column in chosen]


def _beyond(table: Surface) -> float:
    """Relative error of foretelling the last row and the last column from those before them."""
    values, errors = table.values, [0.0]
    for axis, places in ((0, table.batches), (1, table.tokens)):
        if len(places) > 2:
            before, last, end = (np.take(values, i, axis) for i in (-3, -2, -1))
            share = (places[-1] - places[-2]) / (places[-2] - places[-3])
            errors.append(float(np.max(np.abs(last + share * (last - before) - end) / np.maximum(end, 1e-300))))
    return max(errors)


def _off(guess: float, real: float) -> float:
    return abs(guess - real) / real if real > 0 else abs(guess)
