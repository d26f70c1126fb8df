"""Which operators of the forward pass run again in the backward pass, so that their results need not be stored."""

from __future__ import annotations

from dataclasses import replace

from rdusim.graph.types import Block, Operand, Operator, OperatorGraph, TensorType


def recomputed(graph: OperatorGraph, block: Block, how: str) -> tuple[Operator, ...]:
    """Operators of a forward block that run again. Only what repeats is worth it.

    full: all of them, from the block's inputs (activation checkpointing). selective: those on the way from one causal
    product to the next, scores and probabilities, whose results grow with the square of the tokens (arXiv 2205.05198).
    """
    operators = [graph.by_name[name] for name in block.operators]
    if how == "none" or block.repeats == 1:
        return ()
    return tuple(operators) if how == "full" else _between_products(graph, operators)


def _between_products(graph: OperatorGraph, operators: list[Operator]) -> tuple[Operator, ...]:
    after: set[str] = set()  # operators that are, or follow, a causal product
    for operator in operators:
        makers = {graph.producer.get(operand.tensor) for operand in operator.inputs}
        if operator.attributes.get("causal") or makers & after:
            after.add(operator.name)
    before: set[str] = set()  # operators that a later causal product needs
    for operator in reversed(operators):
        if operator.attributes.get("causal") or operator.name in before:
            before |= {maker for operand in operator.inputs if (maker := graph.producer.get(operand.tensor))}
    return tuple(operator for operator in operators if operator.name in after & before)


def again(
    operators: tuple[Operator, ...], block: str, tensors: dict[str, TensorType]
) -> tuple[list[Operator], dict[str, str]]:
    """Copies of operators in another block, their results renamed; and the new names of the results."""
    renamed: dict[str, str] = {}
    copies = []
    for operator in operators:
        for operand in operator.outputs:
            renamed[operand.tensor] = f"{block}/again/{operand.tensor.partition('/')[2]}"
            tensors[renamed[operand.tensor]] = tensors[operand.tensor]

        def seen(operand: Operand) -> Operand:
            return replace(operand, tensor=renamed.get(operand.tensor, operand.tensor))

        copies.append(
            replace(
                operator,
                name=f"{block}/again/{operator.name.partition('/')[2]}",
                inputs=tuple(map(seen, operator.inputs)),
                outputs=tuple(map(seen, operator.outputs)),
                attributes={**operator.attributes, "again": True},
                parallel=operator.parallel,
            )
        )
    return copies, renamed
