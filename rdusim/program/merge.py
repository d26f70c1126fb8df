"""One all-reduce for a sum of partial results, where each of the summands would have had its own.

The gradients that come back from query, key and value (or from both halves of a gated feed-forward) are partial sums
over the sockets; so are attention and feed-forward of a layer that runs them side by side. all_reduce(a) +
all_reduce(b) = all_reduce(a + b). And an operator that is linear in an operand may be carried out before the sum: a
token's weighted sum of its experts' results is smaller than these.
"""

from __future__ import annotations

from dataclasses import replace

from rdusim.graph.ops import SPECS
from rdusim.graph.types import Operand, Operator, OperatorGraph, Role


def merge_reductions(graph: OperatorGraph) -> OperatorGraph:
    """The same results with fewer all-reduces: sums of tensors that were reduced for this sum alone, and alike."""
    merged = _Merge(graph)
    for operator in graph.operators:
        if merged.sums_reduced(operator) or merged.passes_sums(operator):
            merged.reduce_behind(operator)
    return merged.graph()


class _Merge:
    """The operators as they are rewritten, in order; lives only inside `merge_reductions`."""

    def __init__(self, graph: OperatorGraph) -> None:
        self._graph = graph
        self._made = {operator.name: [operator] for operator in graph.operators}  # what stands in its place
        self._reduction = {
            operator.outputs[0].tensor: operator
            for operator in graph.operators
            if operator.kind == "all_reduce" and len(operator.outputs) == 1
        }
        self._block = {name: block.name for block in graph.blocks for name in block.operators}
        self._repeats = {block.name: block.repeats for block in graph.blocks}
        self._passing = {tensor for block in graph.blocks for pair in block.carried.items() for tensor in pair}
        self._tensors = dict(graph.tensors)
        self._place = {operator.name: operator.name for operator in graph.operators}  # reduction -> where it stands

    def sums_reduced(self, operator: Operator) -> bool:
        """Whether this is a sum of two results that were reduced alike, as often as it, and are read by nobody else."""
        tensors = [operand.tensor for operand in operator.inputs]
        reductions = [self._reduction.get(tensor) for tensor in tensors]
        if operator.kind != "add" or len(set(tensors)) != 2 or None in reductions:
            return False
        one, other = (each for each in reductions if each is not None)
        shapes = {self._tensors[tensor].shape for tensor in (*tensors, operator.outputs[0].tensor)}
        return (
            one.attributes == other.attributes
            and one.attributes.get("reduction") == "sum"
            and len(shapes) == 1
            and all(self._graph.consumers[tensor] == (operator.name,) for tensor in tensors)
            and all(self._tensors[tensor].role is Role.ACTIVATION for tensor in tensors)
            and not self._passing & set(tensors)
            and self._together(operator.name, *(self._place[each.name] for each in (one, other)))
        )

    def passes_sums(self, operator: Operator) -> bool:
        """Whether it is linear in the one operand that was reduced, in its block, and that nobody else reads."""
        reduced = [at for at, operand in enumerate(operator.inputs) if operand.tensor in self._reduction]
        if len(reduced) != 1 or reduced[0] not in SPECS[operator.kind].linear or len(operator.outputs) != 1:
            return False
        tensor = operator.inputs[reduced[0]].tensor
        reduction = self._reduction[tensor]
        return (
            reduction.attributes.get("reduction") == "sum"
            and self._graph.consumers[tensor] == (operator.name,)
            and self._tensors[tensor].role is Role.ACTIVATION
            and tensor not in self._passing
            and self._block[self._place[reduction.name]] == self._block[operator.name]
        )

    def _together(self, *operators: str) -> bool:
        """Whether operators are of one repeat: of one block, or of blocks that run once."""
        blocks = {self._block[name] for name in operators}
        return len(blocks) == 1 or all(self._repeats[block] == 1 for block in blocks)

    def reduce_behind(self, operator: Operator) -> None:
        """Work on what was to be reduced, then reduce the result, which keeps its name."""
        (out,) = operator.outputs
        partial = f"{out.tensor}.partial"
        self._tensors[partial] = replace(self._tensors[out.tensor], role=Role.ACTIVATION)
        inputs = []
        for operand in operator.inputs:
            if operand.tensor not in self._reduction:
                inputs.append(operand)
                continue
            reduction = self._reduction.pop(operand.tensor)
            place = self._made[self._place[reduction.name]]
            place.remove(reduction)
            inputs.append(replace(operand, tensor=reduction.inputs[0].tensor))
            del self._tensors[operand.tensor]
        added = replace(operator, inputs=tuple(inputs), outputs=(replace(out, tensor=partial),))
        labels = tuple(f"a{axis}" for axis in range(len(out.dims)))
        reduced = Operator(
            name=f"{out.tensor}_{reduction.kind}",
            kind=reduction.kind,
            dims=dict(zip(labels, (operator.dims[label] for label in out.dims), strict=True)),
            inputs=(Operand(tensor=partial, dims=labels),),
            outputs=(Operand(tensor=out.tensor, dims=labels),),
            attributes=reduction.attributes,
            module=operator.call,
        )
        self._made[operator.name] = [added, reduced]
        self._reduction[out.tensor] = reduced
        self._place[reduced.name] = operator.name

    def graph(self) -> OperatorGraph:
        """The graph as it stands now."""
        blocks = tuple(
            replace(block, operators=tuple(each.name for name in block.operators for each in self._made[name]))
            for block in self._graph.blocks
        )
        operators = tuple(each for operator in self._graph.operators for each in self._made[operator.name])
        return replace(self._graph, operators=operators, tensors=self._tensors, blocks=blocks)
