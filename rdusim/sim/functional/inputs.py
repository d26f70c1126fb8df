"""Values to execute a graph on: random from a seed, indices within what they index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod

import numpy as np

from rdusim.graph.evaluate import input_shapes
from rdusim.graph.ops import SPECS
from rdusim.graph.types import OperatorGraph, Role
from rdusim.sim.functional.storage import Array

SPREAD = 0.3  # standard deviation: large enough that every part of a layer changes the result
FEW = 8  # integers that index nothing are below this


def random_inputs(graph: OperatorGraph, known: Mapping[str, Array], seed: int) -> dict[str, Array]:
    """A value for every tensor without producer; `known` ones (constants of a family) as they are, in float64."""
    rng = np.random.default_rng(seed)
    limits = _limits(graph)
    found: dict[str, Array] = {}
    for name, shape in input_shapes(graph).items():
        kind = graph.tensors[name].dtype
        if name in known:
            array = known[name]
            found[name] = array.astype(np.float64) if array.dtype.kind == "f" else array
        elif kind == "int32":
            found[name] = rng.integers(0, limits.get(name, FEW), size=shape)
        elif kind == "bool":
            found[name] = rng.integers(0, 2, size=shape).astype(bool)
        else:
            values = rng.normal(size=shape) * SPREAD
            # Some of an optimizer's state are means of squares.
            found[name] = np.abs(values) if graph.tensors[name].role is Role.OPTIMIZER else values
    return found


def _limits(graph: OperatorGraph) -> dict[str, int]:
    """For tensors of indices, how many things they choose among; seen through layouts on the way."""
    limits: dict[str, int] = {}
    for operator in reversed(graph.operators):
        spec = SPECS[operator.kind]
        if spec.gathers:
            table, index = operator.inputs[0], operator.inputs[-1]
            labels = spec.placed(operator) or table.dims
            _least(limits, [index.tensor], prod(operator.dims[label] for label in labels))
        elif operator.outputs[0].tensor in limits:
            _least(limits, (operand.tensor for operand in operator.inputs), limits[operator.outputs[0].tensor])
    return limits


def _least(limits: dict[str, int], tensors: Iterable[str], most: int) -> None:
    for tensor in tensors:
        limits[tensor] = min(limits.get(tensor, most), most)
