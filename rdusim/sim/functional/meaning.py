"""What an operator means on a tile of a socket's part: its NumPy meaning with the extents and places of the tile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from rdusim.graph.ops import SPECS
from rdusim.graph.types import Operator, OperatorGraph
from rdusim.sim.functional.parts import places
from rdusim.sim.functional.storage import Array, Box

Ranges = Mapping[str, tuple[int, int]]  # label -> first and end of the part


class Meaning:
    """Operators of the graph that each of `ways` sockets runs; `full` is the graph before it was sharded."""

    def __init__(self, graph: OperatorGraph, full: OperatorGraph, ways: int) -> None:
        self.graph, self._full, self._ways = graph, full, ways
        self._cuts: dict[str, dict[str, int]] = {}

    def run(self, operator: Operator, arrays: Sequence[Array], ranges: Ranges, rank: int) -> tuple[Array, ...]:
        """Results of a tile: `arrays` are the operands' parts, `ranges` the labels' parts of what the socket holds."""
        attributes = dict(operator.attributes)
        for label in SPECS[operator.kind].placed(operator):
            start, end = ranges[label]
            if label in self.cuts(operator) or start > 0:
                part = self.places(operator, rank)[label] if label in self.cuts(operator) else 0
                first, whole = part * operator.dims[label] + start, self._full.by_name[operator.name].dims[label]
                attributes |= {"first": first, "count": max(0, min(end - start, whole - first))}
        if operator.attributes.get("banded"):
            query = str(operator.attributes["query"])
            attributes["behind"] = operator.dims[query] - ranges[query][1]
        dims = {label: end - first for label, (first, end) in ranges.items()}
        typed = [
            _typed(array, self.graph.tensors[operand.tensor].dtype)
            for array, operand in zip(arrays, operator.inputs, strict=True)
        ]
        return SPECS[operator.kind].numpy(replace(operator, dims=dims, attributes=attributes), typed)

    def box(self, operator: Operator, operand: int, ranges: Ranges, rank: int) -> Box:
        """The part of an operand's tensor that the parts of the labels ask for.

        A tensor that is whole on a socket, of which the operator reads only the socket's part, is read at that part;
        a banded operand whole, and so is a socket's part that is about to be gathered.
        """
        banded = operator.attributes.get("banded", ())
        assert isinstance(banded, tuple)
        found = []
        seen = operator.inputs[operand]
        for label, extent in zip(seen.dims, self.graph.tensors[seen.tensor].shape, strict=True):
            first, end = ranges[label]
            if extent < operator.dims[label] or (extent > operator.dims[label] and label in banded):
                first, end = 0, extent
            elif extent > operator.dims[label] and label in self.cuts(operator):
                start = self.places(operator, rank)[label] * operator.dims[label]
                first, end = first + start, end + start
            found.append(slice(first, end))
        return tuple(found)

    def places(self, operator: Operator, rank: int) -> dict[str, int]:
        """Which part of each label that is cut over the sockets a socket has."""
        cuts = self.cuts(operator)
        return dict(zip(cuts, places(rank, self._ways, list(cuts.values())), strict=True))

    def cuts(self, operator: Operator) -> Mapping[str, int]:
        """Labels that are cut over the sockets, most significant first, and in how many parts."""
        if operator.name not in self._full.by_name:
            return {}  # a collective
        if operator.name not in self._cuts:
            before = self._full.by_name[operator.name].dims
            order = dict.fromkeys([*operator.outputs[0].dims, *operator.dims])
            ways = {label: -(-before[label] // operator.dims[label]) for label in order}
            self._cuts[operator.name] = {label: by for label, by in ways.items() if by > 1}
        return self._cuts[operator.name]


def _typed(array: Array, dtype: str) -> Array:
    """Storage holds float64; indices and masks are what they stand for. What never came is index -1 or false."""
    if dtype == "int32":
        return np.where(np.isnan(array), -1, array).astype(np.int64)
    return np.nan_to_num(array).astype(bool) if dtype == "bool" else array
