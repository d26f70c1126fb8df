"""From a forward pass to a whole training step: loss, backward pass by a rule for each operator, optimizer.

Blocks of the result: the forward blocks in order; the backward blocks in reverse order (what repeats, repeats there
too, from its last repeat to its first); a block of updates for each forward block that has weights.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from rdusim.dtypes import DType
from rdusim.errors import GraphError, Problem
from rdusim.graph.gradients import RULES, WITHOUT
from rdusim.graph.gradients.tape import Step, Tape
from rdusim.graph.loss import cross_entropy
from rdusim.graph.optimizer import TrainOptions, update
from rdusim.graph.recompute import again, recomputed
from rdusim.graph.types import Block, BlockKind, Operand, Operator, OperatorGraph, Role, TensorType

FLOATS: tuple[DType, ...] = ("fp32", "bf16", "fp16", "fp8")


def train(graph: OperatorGraph, options: TrainOptions | None = None) -> OperatorGraph:
    """One training step of `graph`, a forward pass whose last operator makes the logits (tokens x vocabulary, last).

    Inputs: those of `graph`, and `labels`, the next tokens. Output: the loss; gradients of weights have Role.GRADIENT,
    updated weights and state the names of what they replace with `.updated`. What the backward pass reads of a repeated
    block has Role.SAVED. Raises GraphError for operators that no gradient can go through, all at once.
    """
    return _Training(graph, options or TrainOptions()).run()


def wanted(graph: OperatorGraph) -> frozenset[str]:
    """Tensors of which a gradient is asked for: weights, and all that is computed from them."""
    found = {name for name, tensor in graph.tensors.items() if tensor.role is Role.WEIGHT and tensor.dtype in FLOATS}
    for operator in graph.operators:
        if any(operand.tensor in found for operand in operator.inputs):
            found |= {each.tensor for each in operator.outputs if graph.tensors[each.tensor].dtype in FLOATS}
    return frozenset(found)


class _Training:
    """The graph as it grows; lives only inside `train`."""

    def __init__(self, graph: OperatorGraph, options: TrainOptions) -> None:
        self.graph, self.options = graph, options
        self.wanted = wanted(graph)
        self.tensors: dict[str, TensorType] = dict(graph.tensors)
        self.gradients: dict[str, str] = {}
        self.forward = {block.name: [graph.by_name[name] for name in block.operators] for block in graph.blocks}
        self.backward: list[tuple[Block, list[Operator]]] = []
        self.problems: list[Problem] = []

    def run(self) -> OperatorGraph:
        self._check()
        self._loss()
        for block in reversed(self.graph.blocks):
            self._block(block)
        if self.problems:
            raise GraphError(*self.problems)
        parts = [
            (replace(block, operators=_names(self.forward[block.name])), self.forward[block.name])
            for block in self.graph.blocks
        ]
        parts += [*self.backward, *self._updates()]
        operators = tuple(operator for _, operators in parts for operator in operators)
        used = {operand.tensor for operator in operators for operand in (*operator.inputs, *operator.outputs)}
        return replace(
            self.graph,
            operators=operators,
            tensors={name: tensor for name, tensor in self.tensors.items() if name in used},
            blocks=tuple(block for block, _ in parts),
        )

    def _check(self) -> None:
        """The last operator makes logits of tokens; no operator that a gradient meets is without a rule."""
        last = self.graph.operators[-1].outputs[0]
        if last.tensor not in self.wanted or len(last.dims) < 2:
            message = f"{self.graph.name}: no logits to train on: the last operator makes {last.tensor}"
            raise GraphError(Problem(message=message, hint="a graph of phase train ends in logits"))
        kinds: dict[str, dict[str, str]] = {}  # reason -> kind -> its first operator
        for operator in self.graph.operators:
            if operator.kind not in RULES and any(operand.tensor in self.wanted for operand in operator.inputs):
                why = WITHOUT.get(operator.kind, "there is no rule in rdusim/graph/gradients")
                kinds.setdefault(why, {}).setdefault(operator.kind, operator.name)
        for why, found in kinds.items():
            message = f"no gradient goes through {', '.join(map(repr, found))}: {why}"
            self.problems.append(Problem(field=next(iter(found.values())), message=message))
        if self.problems:
            raise GraphError(*self.problems)

    def _loss(self) -> None:
        block, logits = self.graph.blocks[-1], self.graph.operators[-1].outputs[0]
        self.tensors[logits.tensor] = replace(self.tensors[logits.tensor], role=Role.ACTIVATION)
        tape = Tape(block.name, self.tensors, self.gradients, self.wanted, {})
        cross_entropy(tape, logits, self.options.micro_batches)
        self.forward[block.name] = [*self.forward[block.name], *tape.operators]

    def _block(self, block: Block) -> None:
        """Backward operators of a forward block; those of the last one follow it at once."""
        joined = block is self.graph.blocks[-1] and block.repeats == 1
        name = block.name if joined else f"{block.name}.backward"
        self._check_carried(block)
        carried = {source: self.gradients[source] for source in block.carried if source in self.gradients}
        copies, renamed = again(recomputed(self.graph, block, self.options.recompute), name, self.tensors)
        tape = Tape(name, self.tensors, self.gradients, self.wanted, renamed)
        for operator in reversed(block.operators):
            self._differentiate(tape, self.graph.by_name[operator])
        self._mark(block)
        operators = [*_needed(copies, tape.operators), *tape.operators]
        if not operators:
            return
        ends = {
            self.gradients[into] for out, into in block.carried.items() if out in carried and into in self.gradients
        }
        before = {self.gradients[each] for each in self._inputs(block) if each in self.gradients}
        operators = _weights_last(operators, ends | before)
        if block.repeats > 1:
            operators = self._save(block, operators)
        if joined:
            self.forward[block.name] = [*self.forward[block.name], *operators]
            return
        passed = {
            self.gradients[into]: carried[out]
            for out, into in block.carried.items()
            if out in carried and into in self.gradients
        }
        made = replace(
            block,
            name=name,
            operators=_names(operators),
            carried=passed,
            backwards=block.repeats > 1,
            kind=BlockKind.BACKWARD,
            of=block.name,
        )
        self.backward.append((made, operators))

    def _differentiate(self, tape: Tape, operator: Operator) -> None:
        if operator.outputs[0].tensor in self.gradients and any(
            operand.tensor in self.wanted for operand in operator.inputs
        ):
            RULES[operator.kind](Step(tape, operator))

    def _inputs(self, block: Block) -> list[str]:
        """Activations that come from other blocks."""
        inside = set(block.operators)
        return list(
            dict.fromkeys(
                operand.tensor
                for name in block.operators
                for operand in self.graph.by_name[name].inputs
                if self.graph.producer.get(operand.tensor, name) not in inside
            )
        )

    def _check_carried(self, block: Block) -> None:
        """What enters a repeated block must be handed on by it, or its gradient would be a sum over the repeats."""
        if block.repeats == 1:
            return
        for tensor in self._inputs(block):
            handed_on = tensor in block.carried.values() and tensor not in self.gradients
            if tensor in self.wanted and not handed_on:
                message = f"every repeat of block {block.name!r} reads {tensor}: no gradient is summed over repeats"
                self.problems.append(Problem(field=block.name, message=message))

    def _mark(self, block: Block) -> None:
        """Gradients of the weights that this block, of those that read them, was the last on the way back to reach."""
        for weight in self._weights(block):
            gradient = self.gradients[weight.tensor]
            kind = self.tensors[weight.tensor]
            self.tensors[gradient] = replace(self.tensors[gradient], role=Role.GRADIENT, density=kind.density)

    def _weights(self, block: Block) -> list[Operand]:
        """Weights with a gradient that no block before this one reads, with the labels of their first reader."""
        found: dict[str, Operand] = {}
        inside = set(block.operators)
        for name in block.operators:
            for operand in self.graph.by_name[name].inputs:
                first = self.graph.consumers[operand.tensor][0] in inside
                trained = self.graph.tensors[operand.tensor].role is Role.WEIGHT and operand.tensor in self.gradients
                if first and trained:
                    found.setdefault(operand.tensor, operand)
        return list(found.values())

    def _save(self, block: Block, operators: list[Operator]) -> list[Operator]:
        """Keep what the backward operators read of every repeat; what passes from repeat to repeat is copied first."""
        made = {operand.tensor: operand for each in self.forward[block.name] for operand in each.outputs}
        passing = {*block.carried, *block.carried.values()}
        renamed: dict[str, str] = {}
        for tensor in dict.fromkeys(operand.tensor for each in operators for operand in each.inputs):
            if tensor in passing:
                renamed[tensor] = self._copy(block, tensor)
            elif tensor in made and self.tensors[tensor].role is Role.ACTIVATION:
                self.tensors[tensor] = replace(self.tensors[tensor], role=Role.SAVED)
        return [_reading(operator, renamed) for operator in operators]

    def _copy(self, block: Block, tensor: str) -> str:
        kind, name = self.tensors[tensor], f"{block.name}/{tensor.partition('/')[2]}.saved"
        self.tensors[name] = replace(kind, role=Role.SAVED)
        dims = tuple(f"a{axis}" for axis in range(len(kind.shape)))
        copy = Operator(
            name=name,
            kind="copy",
            dims=dict(zip(dims, kind.shape, strict=True)),
            inputs=(Operand(tensor=tensor, dims=dims),),
            outputs=(Operand(tensor=name, dims=dims),),
        )
        operators = self.forward[block.name]
        made = tensor in block.carried
        self.forward[block.name] = [*operators, copy] if made else [copy, *operators]
        return name

    def _updates(self) -> Iterator[tuple[Block, list[Operator]]]:
        for block in self.graph.blocks:
            if weights := self._weights(block):
                yield update(block, weights, self.gradients, self.tensors, self.options)


def _names(operators: Iterable[Operator]) -> tuple[str, ...]:
    return tuple(operator.name for operator in operators)


def _reading(operator: Operator, renamed: dict[str, str]) -> Operator:
    """The operator with other names for what it reads."""
    inputs = (replace(operand, tensor=renamed.get(operand.tensor, operand.tensor)) for operand in operator.inputs)
    return replace(operator, inputs=tuple(inputs))


def _needed(copies: Sequence[Operator], readers: Sequence[Operator]) -> list[Operator]:
    """Of operators that could run again, those that something needs."""
    return _leading_to(copies, {operand.tensor for each in readers for operand in each.inputs})


def _leading_to(operators: Sequence[Operator], targets: Collection[str]) -> list[Operator]:
    """Operators, in order, whose results are among `targets` or lead to them."""
    sought, found = set(targets), []
    for operator in reversed(operators):
        if any(operand.tensor in sought for operand in operator.outputs):
            found.append(operator)
            sought |= {operand.tensor for operand in operator.inputs}
    return found[::-1]


def _weights_last(operators: Sequence[Operator], targets: Collection[str]) -> list[Operator]:
    """First the way back to the inputs, which streams token by token; then what only gradients of weights need.

    A weight's gradient sums over all tokens: between two operators of the stream it would break the stream.
    """
    stream = _leading_to(operators, targets)
    names = {operator.name for operator in stream}
    return [*stream, *(operator for operator in operators if operator.name not in names)]
