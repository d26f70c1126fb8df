"""Runs the shards of a graph on all sockets in step, with real collectives: what tensor parallelism must mean.

A tensor cut along several axes is cut the first axis first: of 8 sockets, axes cut in 4 and 2 give socket r the parts
r // 2 and r % 2, and an axis cut in 4 alone gives it part r // 2, which two sockets then hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rdusim.graph.evaluate import own
from rdusim.graph.ops import SPECS
from rdusim.graph.types import Access, Compute, Operator, OperatorGraph

Array = NDArray[Any]


def place(rank: int, ways: int, cuts: Sequence[int]) -> list[int]:
    """The part that a socket holds along each axis."""
    found = []
    for cut in cuts:
        ways //= cut
        found.append(rank // ways % cut)
    return found


def part_of(array: Array, shape: Sequence[int], rank: int, ways: int) -> Array:
    """The part, of `shape`, of a whole array that a socket holds."""
    assert all(whole % part == 0 for whole, part in zip(array.shape, shape, strict=True))
    cuts = [whole // part for whole, part in zip(array.shape, shape, strict=True)]
    index = tuple(slice(at * part, (at + 1) * part) for at, part in zip(place(rank, ways, cuts), shape, strict=True))
    return array[index]


def whole_of(parts: Sequence[Array], shape: Sequence[int], ways: int) -> Array:
    """The whole array; sockets that hold the same part must agree on it."""
    found = np.full(tuple(shape), np.nan, dtype=parts[0].dtype if parts[0].dtype.kind == "f" else float)
    for rank, part in enumerate(parts):
        seen = part_of(found, part.shape, rank, ways)
        assert np.isnan(seen).all() or np.allclose(seen, part, rtol=1e-4, atol=1e-5), "replicas differ"
        seen[...] = part
    assert not np.isnan(found).any(), "a part is on no socket"
    return found


class Sockets:
    """The values of every tensor on every socket. `full`: the graph before sharding, for the extents of whole axes."""

    def __init__(self, full: OperatorGraph, cut: OperatorGraph, ways: int) -> None:
        self.full, self.cut, self.ways = full, cut, ways
        self.repeated = own(cut)
        self.values: list[dict[str, Array]] = [{} for _ in range(ways)]

    def run(self, inputs: Mapping[str, Array]) -> None:
        for rank, values in enumerate(self.values):
            for name, array in inputs.items():
                shape = self.cut.tensors[name].shape
                shape = (array.shape[0], *shape) if name in self.repeated else shape
                values[name] = part_of(array, shape, rank, self.ways)
        stored = [dict(values) for values in self.values]
        for block in self.cut.blocks:
            for repeat in range(block.repeats):
                for values, kept in zip(self.values, stored, strict=True):
                    values.update({name: kept[name][repeat] for name in self.repeated if name in kept})
                for name in block.operators:
                    self._step(self.cut.by_name[name])
                if repeat + 1 < block.repeats:
                    for values in self.values:
                        values.update({target: values[source] for source, target in block.carried.items()})

    def whole(self, tensor: str) -> Array:
        return whole_of([values[tensor] for values in self.values], self.full.tensors[tensor].shape, self.ways)

    def _step(self, operator: Operator) -> None:
        if SPECS[operator.kind].compute is Compute.COLLECTIVE and operator.name not in self.full.by_name:
            results = self._collective(operator)
        else:
            results = [self._alone(operator, rank) for rank in range(self.ways)]
        for values, made in zip(self.values, results, strict=True):
            for out, result in zip(operator.outputs, made, strict=True):
                shape = self.cut.tensors[out.tensor].shape
                assert result.shape == shape, f"{operator.name}: makes {result.shape}, should make {shape}"
                values[out.tensor] = result

    def _collective(self, operator: Operator) -> list[tuple[Array, ...]]:
        sent = [[values[operand.tensor] for operand in operator.inputs] for values in self.values]
        parts = [mine[0] for mine in sent]
        if operator.kind == "all_reduce":
            assert operator.attributes["participants"] == self.ways
            return [self._reduced(str(operator.attributes["reduction"]), sent)] * self.ways
        if operator.kind == "reduce_scatter":
            (whole,) = self._reduced(str(operator.attributes["reduction"]), sent)
            shape = self.cut.tensors[operator.outputs[0].tensor].shape
            return [(part_of(whole, shape, rank, self.ways),) for rank in range(self.ways)]
        if operator.kind == "all_to_all":
            full = self.full.tensors[operator.inputs[0].tensor].shape
            whole = whole_of(parts, full, self.ways)
            shape = self.cut.tensors[operator.outputs[0].tensor].shape
            return [(part_of(whole, shape, rank, self.ways),) for rank in range(self.ways)]
        if operator.kind == "broadcast":
            return [(parts[int(str(operator.attributes["root"]))],)] * self.ways
        source = operator.inputs[0].tensor
        return [(whole_of(parts, self.full.tensors[source].shape, self.ways),)] * self.ways

    def _reduced(self, how: str, sent: Sequence[Sequence[Array]]) -> tuple[Array, ...]:
        if how == "argmax":  # of equal values the first socket's, whose indices are lower
            index, value = (np.stack(arrays) for arrays in zip(*sent, strict=True))
            best = value.argmax(axis=0)[None]
            return tuple(np.take_along_axis(array, best, axis=0)[0] for array in (index, value))
        parts = [mine[0] for mine in sent]
        return (np.asarray(sum(parts) if how == "sum" else np.maximum.reduce(parts)),)

    def _alone(self, operator: Operator, rank: int) -> tuple[Array, ...]:
        operands = [self._seen(operator, at, rank) for at in range(len(operator.inputs))]
        if operator.kind == "embedding":  # rows that this socket does not own are zeros
            table, index = operands
            rows = self.full.tensors[operator.inputs[0].tensor].shape[0]
            first = place(rank, self.ways, [rows // table.shape[0]])[0] * table.shape[0]
            here = (index >= first) & (index < first + table.shape[0])
            (found,) = SPECS["embedding"].numpy(operator, [table, np.where(here, index - first, 0)])
            return (np.asarray(found * here[..., None]),)
        if "banded" in operator.attributes:  # queries of the sockets behind come after these
            query = str(operator.attributes["query"])
            parts = self.full.by_name[operator.name].dims[query] // operator.dims[query]
            behind = (parts - 1 - rank) * operator.dims[query] if parts > 1 else 0
            operator = replace(operator, attributes={**operator.attributes, "behind": behind})
        if "experts" in operator.attributes and operator.kind in ("dispatch", "combine"):
            operands = self._numbered(operator, operands, rank)
        results = SPECS[operator.kind].numpy(operator, operands)
        if operator.kind == "argmax":  # an index within the shard becomes one of the whole
            cut = self.full.tensors[operator.inputs[0].tensor].shape[-1] > operands[0].shape[-1]
            return results[0] + cut * rank * operands[0].shape[-1], *results[1:]
        return tuple(np.asarray(result) for result in results)

    def _numbered(self, operator: Operator, operands: list[Array], rank: int) -> list[Array]:
        """Tokens and slots, which `route` numbers over all sockets, as this socket numbers its own; -1 for others."""
        full = self.full.by_name[operator.name].dims
        if operator.kind == "dispatch":
            x, index = operands
            tokens = int(np.prod([operator.dims[label] for label in operator.inputs[0].dims[:-1]]))
            whole = int(np.prod([full[label] for label in operator.inputs[0].dims[:-1]]))
            first = rank * tokens if tokens < whole else 0
            return [x, np.where((index >= first) & (index < first + tokens), index - first, -1)]
        rows, weights, slots = operands
        group, place, slot = operator.inputs[0].dims[:3]
        x, e, t = np.unravel_index(np.maximum(slots, 0), (full[group], full[place], full[slot]))
        x = x - rank * operator.dims[group] if operator.dims[group] < full[group] else x
        t = t - rank * operator.dims[slot] if operator.dims[slot] < full[slot] else t
        mine = (slots >= 0) & (x >= 0) & (x < operator.dims[group]) & (t >= 0) & (t < operator.dims[slot])
        local = (x * operator.dims[place] + e) * operator.dims[slot] + t
        return [rows, weights, np.where(mine, local, -1)]

    def _seen(self, operator: Operator, at: int, rank: int) -> Array:
        """An operand that is whole on this socket, but of which the operator reads only its own part."""
        operand, array = operator.inputs[at], self.values[rank][operator.inputs[at].tensor]
        if operand.access is Access.GATHERED or operator.name not in self.full.by_name:
            return array
        before = self.full.by_name[operator.name].dims
        cut = {label: before[label] // extent for label, extent in operator.dims.items()}
        order = [label for label in dict.fromkeys([*operator.outputs[0].dims, *operator.dims]) if cut[label] > 1]
        routed = SPECS[operator.kind].routed is not None  # tokens and their slots are cut together
        places = [rank] * len(order) if routed else place(rank, self.ways, [cut[label] for label in order])
        parts = dict(zip(order, places, strict=True))
        for axis, label in enumerate(operand.dims):
            extent = operator.dims[label]
            if label in parts and array.shape[axis] == before[label]:
                array = array.take(range(parts[label] * extent, (parts[label] + 1) * extent), axis=axis)
        return array
