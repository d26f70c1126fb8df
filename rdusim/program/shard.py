"""Cut labels of operators over a group of sockets, and insert the collectives that this owes.

Tensor parallelism starts at operators that name `parallel` labels (heads, ffn, vocabulary), data and sequence
parallelism at the label of the inputs that is cut; all follow tensor axes from there: a cut label that is missing in
the output leaves partial results, which are all-reduced at once; a label that must be whole for an operator is
all-gathered in front of it (Megatron-LM, arXiv 1909.08053, found by propagation).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod

from rdusim.errors import LowerError, Problem
from rdusim.graph.types import Operator, OperatorGraph
from rdusim.program.cut import Group, Walk, split_labels
from rdusim.program.expert_cut import ExpertWalk, expert_labels
from rdusim.program.merge import merge_reductions


def shard(graph: OperatorGraph, ways: int, stride: int = 1) -> OperatorGraph:
    """The part of `graph` that one of `ways` sockets runs under tensor parallelism, collectives included.

    Raises LowerError when `ways` does not divide what has to be cut (heads, ffn width, vocabulary).
    """
    if ways == 1:
        return graph
    if problems := list(_misfits(graph, ways)):
        raise LowerError(*problems[:8], f"choose tp among the divisors that fit, e.g. {_advice(graph, ways)}")
    return merge_reductions(Walk(graph, Group(axis="tp", ways=ways, stride=stride)).run())


def shard_inputs(graph: OperatorGraph, group: Group) -> OperatorGraph:
    """The part of `graph` that a socket runs when the inputs are cut along `group.label`, collectives included.

    Keys and values that a socket's queries need of the others' tokens are gathered before they are copied for each
    query head; so the graph is walked twice, first to find out which. Raises LowerError where it does not divide.
    """
    if group.ways == 1:
        return graph
    extents = {operator.dims[group.label] for operator in graph.operators if group.label in operator.dims}
    short = sorted(extent for extent in extents if extent % group.ways)
    if not extents:
        raise LowerError(f"{group.axis}={group.ways} finds no label '{group.label}' in {graph.name}")
    if short:
        raise LowerError(_indivisible(group, short[0], alike=len(extents) == 1))
    trial = ExpertWalk(graph, group)
    found = trial.run()
    return merge_reductions(ExpertWalk(graph, group, trial.sources()).run() if trial.met else found)


def _indivisible(group: Group, extent: int, *, alike: bool) -> Problem:
    """Of the tokens or the sequences of the inputs, with the nearest numbers that would do.

    Where blocks go over different numbers of tokens (not `alike`), some of them are the model's and not for choice.
    """
    noun = {"sp": "tokens", "dp": "sequences"}.get(group.axis, f"of label '{group.label}'")
    below = extent // group.ways * group.ways
    near = " or ".join(f"{count:,}" for count in (below, below + group.ways) if count)
    message = f"{group.axis}={group.ways} does not divide {extent:,} {noun}"
    if not alike:
        return Problem(field="--parallel", message=f"{message} that one of its blocks goes over", hint="leave it out")
    return Problem(field="--parallel", message=message, hint=f"{near} would do")


def shard_experts(graph: OperatorGraph, group: Group) -> OperatorGraph:
    """The part of `graph` that a socket runs when `group.ways` sockets share out the experts of its mixtures.

    Outside the experts they share out the sequences, where these divide, and do the same work otherwise. Raises
    LowerError for a graph without experts, or built for another number of groups (`RunShape.expert_groups`).
    """
    if group.ways == 1:
        return graph
    extents = {
        operator.dims[str(label)]
        for operator in graph.operators
        for label in expert_labels(operator)
        if str(label) in operator.dims
    }
    if extents != {group.ways}:
        why = f"its experts are in {extents.pop()} groups" if extents else "it has no experts to share out"
        raise LowerError(f"ep={group.ways}: {graph.name} cannot be cut so: {why}")
    sequences = {operator.dims[group.label] for operator in graph.operators if group.label in operator.dims}
    divides = bool(sequences) and all(extent % group.ways == 0 for extent in sequences)
    return merge_reductions(ExpertWalk(graph, group if divides else replace(group, label="")).run())


def divisors_that_fit(graph: OperatorGraph, sockets: int) -> Iterator[int]:
    """Ways of tensor parallelism that divide both the sockets and the model, most first."""
    for ways in range(sockets, 0, -1):
        if sockets % ways == 0 and not any(_misfits(graph, ways)):
            yield ways


def _misfits(graph: OperatorGraph, ways: int) -> Iterator[str]:
    if ways > 1 and not any(operator.parallel for operator in graph.operators):
        yield f"tp={ways}: no operator of {graph.name} names a dimension to cut (`parallel` in a YAML graph)"
    for operator in graph.operators:
        if ways > 1 and operator.parallel and not _divides(operator, graph, ways):
            extents = " x ".join(f"{label}={operator.dims[label]}" for label in operator.parallel)
            yield f"{operator.name}: tp={ways} does not divide {extents}"


def _divides(operator: Operator, graph: OperatorGraph, ways: int) -> bool:
    """Whether the labels take all ways; or are cut to single elements that several sockets keep a copy of.

    Copies are right only where another operator cuts the same label and goes on with a further one (key and value
    heads, fewer than sockets, beside the query heads they serve).
    """
    cut = split_labels(operator.parallel, operator.dims, ways)
    if prod(cut.values()) == ways:
        return True
    single = all(cut[label] == operator.dims[label] for label in operator.parallel)
    return single and any(
        len(other.parallel) > len(operator.parallel) and other.parallel[: len(operator.parallel)] == operator.parallel
        for other in graph.operators
    )


def _advice(graph: OperatorGraph, ways: int) -> str:
    return ", ".join(f"tp={fit}" for fit in divisors_that_fit(graph, ways))
