"""The walk of `program.cut` through mixtures of experts: where the tokens are cut, and where the experts are.

A socket that has some of the tokens has as many of the slots at every expert (`OperatorSpec.routed`). Where the experts
are cut over the same sockets, rows change hands twice: an all-to-all brings them from the slots of a socket's own
tokens to the socket of their expert, another one brings the results back (GShard, arXiv 2006.16668). Who goes where is
known to all: the choices, a few integers a token, are gathered.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil, prod

from rdusim.graph.ops import SPECS
from rdusim.graph.types import Access, Operand, Operator
from rdusim.program.cut import Walk


def expert_labels(operator: Operator) -> tuple[str, ...]:
    """Labels along which expert parallelism may cut an operator."""
    labels = operator.attributes.get("experts", ())
    assert isinstance(labels, tuple)
    return tuple(str(label) for label in labels)


class ExpertWalk(Walk):
    """`axis` ep: experts, and with a label also tokens, are cut. Other axes: only tokens."""

    choices = 0  # of all tokens that are routed together

    def _operator(self, operator: Operator, made: list[Operator]) -> None:
        inputs = [
            replace(operand, tensor=self.renamed.get(operand.tensor, operand.tensor)) for operand in operator.inputs
        ]
        experts = expert_labels(operator) if self.group.axis == "ep" else ()
        if SPECS[operator.kind].routed is not None and self._tokens_cut(operator, inputs):
            if operator.kind != "route" or not experts:
                self._routed(operator, inputs, made)
                return
            self.choices = prod(operator.dims[label] for label in operator.inputs[0].dims)
            operator = replace(operator, attributes={**operator.attributes, "sources": self.ways})
        elif experts and operator.kind != "route":
            for operand in inputs:
                if operand.access is not Access.GATHERED:
                    self._exchanged(operand, operator, experts[0], made)
        super()._operator(operator, made)

    def _label_ways(self, operator: Operator, inputs: list[Operand]) -> dict[str, int]:
        ways = super()._label_ways(operator, inputs)
        if self.group.axis == "ep" and operator.kind != "route":
            ways |= {label: self.ways for label in expert_labels(operator) if label in operator.dims}
        return ways

    def _tokens_cut(self, operator: Operator, inputs: list[Operand]) -> bool:
        routed = SPECS[operator.kind].routed
        assert routed is not None
        tokens, _ = routed(operator)
        return any(
            by > 1 and label in tokens
            for operand in inputs
            for label, by in zip(operand.dims, self.axes.get(operand.tensor, (1,) * len(operand.dims)), strict=True)
        )

    def _routed(self, operator: Operator, inputs: list[Operand], made: list[Operator]) -> None:
        """An operator between tokens and their slots, on a socket's own tokens."""
        routed = SPECS[operator.kind].routed
        assert routed is not None
        tokens, slot = routed(operator)
        for at, operand in enumerate(inputs):
            if slot in operand.dims and operand.dims[0] != slot and operator.kind == "combine":
                inputs[at] = replace(operand, tensor=self._exchanged(operand, operator, slot, made))
        ways = {slot: self.ways} | {
            label: by
            for operand in inputs
            for label, by in zip(operand.dims, self.axes.get(operand.tensor, (1,) * len(operand.dims)), strict=True)
            if label in tokens and by > 1
        }
        dims = {label: ceil(extent / ways.get(label, 1)) for label, extent in operator.dims.items()}
        for operand in operator.outputs:
            self.axes[operand.tensor] = tuple(ways.get(label, 1) for label in operand.dims)
        made.append(replace(operator, dims=dims, inputs=tuple(inputs)))

    def _exchanged(self, operand: Operand, operator: Operator, label: str, made: list[Operator]) -> str:
        """A tensor cut along `label` instead of another axis; itself if it is whole, or cut so already."""
        cut = self.axes.get(operand.tensor, ())
        if label not in operand.dims or all(by == 1 for by in cut) or cut[operand.dims.index(label)] > 1:
            return operand.tensor
        target = f"{operand.tensor}.exchanged"
        if target not in self.tensors:
            after = tuple(self.ways if axis == label else 1 for axis in operand.dims)
            self._collective("all_to_all", [operand.tensor], [target], made, after=after)
            rows = prod(self.tensors[operand.tensor].shape[:-1])
            filled = min(1.0, self.choices / rows) if self.choices else 1.0
            made[-1] = replace(made[-1], attributes={**made[-1].attributes, "filled": filled})
            self.renamed[operand.tensor] = target
        return target
