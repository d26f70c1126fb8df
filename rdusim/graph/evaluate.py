"""What a graph means: its operators executed one after the other in NumPy. The reference for every functional check."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from rdusim.errors import GraphError, Problem
from rdusim.graph.ops import spec_of
from rdusim.graph.types import OWN_PER_REPEAT, Block, OperatorGraph, Role

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


def evaluate(graph: OperatorGraph, inputs: Mapping[str, Array], keep: Collection[str] = ()) -> dict[str, Array]:
    """Results of a run: tensors that leave the graph or stay in memory, and the tensors named in `keep`.

    `inputs` holds every tensor without producer. What every repeat of a block has for itself (weights, cached entries,
    state) has an axis of repeats in front; so have such tensors in the result, cache entries and gradients among them.
    Of a kept activation the last repeat's value is returned.
    Raises GraphError for inputs that are missing or have another shape.
    """
    _check_inputs(graph, inputs)
    values = dict(inputs)
    stacked: dict[str, dict[int, Array]] = {}
    for block in graph.blocks:
        read = _earlier_entries(graph, block)
        for repeat in range(block.repeats):
            values.update({name: stacked[name][block.own(repeat)] for name in read})
            _run(graph, block, repeat, inputs, values)
            for tensor in _entries(graph, block):
                stacked.setdefault(tensor, {})[block.own(repeat)] = values[tensor]
            if repeat + 1 < block.repeats:
                values.update({target: values[source] for source, target in block.carried.items()})
    return _results(graph, values, stacked, keep)


def own(graph: OperatorGraph) -> dict[str, int]:
    """Tensors without producer of which every repeat has its own -> how many."""
    found: dict[str, int] = {}
    for block in graph.blocks:
        if block.repeats > 1:
            for name in block.operators:
                for operand in graph.by_name[name].inputs:
                    role = graph.tensors[operand.tensor].role
                    if role in OWN_PER_REPEAT and operand.tensor not in graph.producer:
                        found[operand.tensor] = block.repeats
    return found


def input_shapes(graph: OperatorGraph) -> dict[str, tuple[int, ...]]:
    """Shapes that `evaluate` wants, for every tensor without producer."""
    repeats = own(graph)
    return {
        name: (repeats[name], *tensor.shape) if name in repeats else tensor.shape
        for name, tensor in graph.tensors.items()
        if name not in graph.producer
    }


def _check_inputs(graph: OperatorGraph, inputs: Mapping[str, Array]) -> None:
    problems = []
    for name, shape in input_shapes(graph).items():
        if name not in inputs:
            problems.append(Problem(message="has no value", field=name))
        elif inputs[name].shape != shape:
            problems.append(Problem(message=f"has shape {inputs[name].shape}, not {shape}", field=name))
    if problems:
        raise GraphError(*problems)


def _run(
    graph: OperatorGraph, block: Block, repeat: int, inputs: Mapping[str, Array], values: dict[str, Array]
) -> None:
    repeats = own(graph) if block.repeats > 1 else {}
    for name in block.operators:
        operator = graph.by_name[name]
        operands = [
            inputs[operand.tensor][block.own(repeat)] if operand.tensor in repeats else values[operand.tensor]
            for operand in operator.inputs
        ]
        results = spec_of(operator).numpy(operator, operands)
        for operand, result in zip(operator.outputs, results, strict=True):
            assert result.shape == graph.tensors[operand.tensor].shape, f"{name}: {result.shape}"
            values[operand.tensor] = result


def _entries(graph: OperatorGraph, block: Block) -> list[str]:
    """What a block makes that every repeat has for itself."""
    made = (operand.tensor for name in block.operators for operand in graph.by_name[name].outputs)
    return [tensor for tensor in made if graph.tensors[tensor].role in OWN_PER_REPEAT]


def _earlier_entries(graph: OperatorGraph, block: Block) -> list[str]:
    """What other repeated blocks have made for each repeat, and this one reads repeat by repeat."""
    entries = {tensor for other in graph.blocks if other.repeats > 1 for tensor in _entries(graph, other)}
    read = {operand.tensor for name in block.operators for operand in graph.by_name[name].inputs}
    return sorted((entries & read) - set(_entries(graph, block))) if block.repeats > 1 else []


def _results(
    graph: OperatorGraph, values: Mapping[str, Array], stacked: Mapping[str, Mapping[int, Array]], keep: Collection[str]
) -> dict[str, Array]:
    import numpy as np

    repeats = {tensor: block.repeats for block in graph.blocks for tensor in _entries(graph, block)}
    results = {name: values[name] for name in graph.producer if graph.tensors[name].role is Role.OUTPUT or name in keep}
    for tensor, entries in stacked.items():
        if graph.tensors[tensor].role is not Role.SAVED or tensor in keep:
            ordered = [entries[repeat] for repeat in range(len(entries))]
            results[tensor] = np.stack(ordered) if repeats[tensor] > 1 else ordered[0]
    return results
