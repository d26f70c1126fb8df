"""Gradients that grow over the micro-batches of a step, and sockets that add them up once, after the last one.

A weight's gradient is a sum over tokens, so also one over micro-batches and over sockets. Each micro-batch adds its
part to what memory holds; the all-reduce that sharding put behind the product waits for the last one, as in PyTorch's
`no_sync` and Megatron-LM. docs/model.md, "Training over a pipeline".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from rdusim.graph.types import BlockKind, Operand, Operator, OperatorGraph, Role

Apart = Callable[[str, str], bool]


def accumulated(graph: OperatorGraph, apart: Apart, *, adds: bool, last: bool) -> OperatorGraph:
    """A sharded training step as one micro-batch of several runs it. `last`: sockets exchange what they have summed.

    `adds`: a gradient keeps its name in memory and grows there; without it there is one micro-batch, the last.
    `apart`: whether two forward blocks lie on different sockets. A weight that both read (a tied embedding) has parts
    of its gradient on both; they are added when the weight is updated.
    """
    sums = _Sums(graph, apart)
    for tensor, kind in graph.tensors.items():
        if kind.role is Role.GRADIENT and tensor in graph.producer:
            sums.gradient(tensor, adds=adds, last=last)
    return sums.graph()


class _Sums:
    """The operators as they are rewritten; lives only inside `accumulated`."""

    def __init__(self, graph: OperatorGraph, apart: Apart) -> None:
        self._graph, self._apart = graph, apart
        self._operators = {block.name: [graph.by_name[name] for name in block.operators] for block in graph.blocks}
        self._updated = {block.name: dict(block.updated) for block in graph.blocks}
        self._tensors = dict(graph.tensors)
        self._block = {name: block for block in graph.blocks for name in block.operators}

    def gradient(self, tensor: str, *, adds: bool, last: bool) -> None:
        closing, parts = self._closing(tensor)
        if any(operator.kind == "add" for operator in closing):
            self._close_later(tensor, closing)
            for part in parts:
                self._tensors[part] = replace(self._tensors[part], role=Role.GRADIENT)
                if adds:
                    self._grow(part, part)
        elif adds and closing and last:
            self._grow(parts[0], tensor)
        elif adds:
            for operator in closing:
                self._operators[self._block[operator.name].name].remove(operator)
            self._grow(parts[0], parts[0])
            self._read_instead(tensor, parts[0], BlockKind.UPDATE)

    def _closing(self, tensor: str) -> tuple[list[Operator], list[str]]:
        """Operators that finish a gradient, the last first (sums over sockets, over blocks apart), and its parts."""
        operator = self._graph.by_name[self._graph.producer[tensor]]
        sources = list(dict.fromkeys(operand.tensor for operand in operator.inputs))
        alone = all(self._graph.consumers[source] == (operator.name,) for source in sources)
        if not alone or any(source not in self._graph.producer for source in sources):
            return [], [tensor]
        owners = {self._owner(each) for each in (tensor, *sources)}
        reduces = operator.kind == "all_reduce" and len(sources) == 1 and operator.attributes["reduction"] == "sum"
        joins = operator.kind == "add" and any(self._apart(one, other) for one in owners for other in owners)
        if not (reduces or joins):
            return [], [tensor]
        found = [self._closing(source) for source in sources]
        return [operator, *(each for ops, _ in found for each in ops)], [part for _, parts in found for part in parts]

    def _owner(self, tensor: str) -> str:
        return self._block[self._graph.producer[tensor]].owner

    def _close_later(self, tensor: str, closing: list[Operator]) -> None:
        """Move the operators to the block that updates the weight."""
        reader = self._block[self._graph.consumers[tensor][0]].name
        for operator in closing:
            self._operators[self._block[operator.name].name].remove(operator)
            self._operators[reader].insert(0, operator)
        for operand in (operand for operator in closing for operand in operator.outputs):
            self._tensors[operand.tensor] = replace(self._tensors[operand.tensor], role=Role.ACTIVATION)

    def _grow(self, part: str, result: str) -> None:
        """Add what this micro-batch makes of `part` to what memory holds of it; `result` takes its place there.

        Where `result` is another tensor, it is made of the sum in the same block (by a reduction over sockets).
        """
        block = self._block[self._graph.producer[part]].name
        operators = self._operators[block]
        at = next(i for i, each in enumerate(operators) if any(out.tensor == part for out in each.outputs))
        maker, kind = operators[at], self._tensors[part]
        fresh, grown = f"{part}.part", f"{part}.added"
        outputs = tuple(replace(out, tensor=fresh) if out.tensor == part else out for out in maker.outputs)
        (dims,) = (out.dims for out in maker.outputs if out.tensor == part)
        labels = dict(zip(dims, kind.shape, strict=True))
        operators[at : at + 1] = [
            replace(maker, outputs=outputs),
            Operator(
                name=f"{part}.accumulate",
                kind="add",
                dims=labels,
                inputs=(Operand(tensor=fresh, dims=dims), Operand(tensor=part, dims=dims)),
                outputs=(Operand(tensor=grown, dims=dims),),
            ),
        ]
        self._tensors[fresh] = replace(kind, role=Role.ACTIVATION)
        self._tensors[part] = replace(kind, role=Role.GRADIENT)
        stays = part == result
        self._tensors[grown] = replace(kind, role=Role.GRADIENT if stays else Role.ACTIVATION)
        self._updated[block][grown if stays else result] = part
        if not stays:
            self._read_instead(part, grown, BlockKind.BACKWARD, but=f"{part}.accumulate")
            self._read_instead(part, grown, BlockKind.FORWARD, but=f"{part}.accumulate")
            self._read_instead(result, part, BlockKind.UPDATE)

    def _read_instead(self, old: str, new: str, kind: BlockKind, but: str = "") -> None:
        for block in self._graph.blocks:
            if block.kind is kind:
                self._operators[block.name] = [
                    each if each.name == but else _reading(each, old, new) for each in self._operators[block.name]
                ]

    def graph(self) -> OperatorGraph:
        """The graph as it stands now."""
        blocks = tuple(
            replace(
                block,
                operators=tuple(each.name for each in self._operators[block.name]),
                updated=self._updated[block.name],
            )
            for block in self._graph.blocks
        )
        operators = tuple(each for block in blocks for each in self._operators[block.name])
        used = {operand.tensor for each in operators for operand in (*each.inputs, *each.outputs)}
        used |= {place for block in blocks for place in block.updated.values()}
        tensors = {name: tensor for name, tensor in self._tensors.items() if name in used}
        return replace(self._graph, operators=operators, tensors=tensors, blocks=blocks)


def _reading(operator: Operator, old: str, new: str) -> Operator:
    if all(operand.tensor != old for operand in operator.inputs):
        return operator
    inputs = tuple(replace(each, tensor=new) if each.tensor == old else each for each in operator.inputs)
    return replace(operator, inputs=inputs)
