"""A model over the sockets of one pipeline stage: every axis of parallelism cuts what the axes before it have left.

Tensor parallelism first, whose group are neighbours; then the tokens of a sequence, then the sequences of a batch. All
are the same walk over the graph (`program.shard`); only where a cut starts differs. docs/model.md, "Parallelism".
"""

from __future__ import annotations

from rdusim.errors import LowerError
from rdusim.graph.types import OperatorGraph
from rdusim.program.shard import Group, shard, shard_inputs
from rdusim.program.types import Parallelism


def distribute(graph: OperatorGraph, parallelism: Parallelism) -> OperatorGraph:
    """The part of `graph` that one socket runs, collectives included.

    Raises LowerError where an axis does not divide what it cuts, or where the graph does not say what that is.
    """
    local = shard(graph, parallelism.tp, parallelism.stride("tp"))
    for axis, label, noun in (("sp", graph.token_label, "tokens"), ("dp", graph.batch_label, "sequences")):
        ways = int(getattr(parallelism, axis))
        if ways > 1 and not label:
            raise LowerError(f"{axis}={ways}: {graph.name} does not say which dimension of its inputs counts {noun}")
        local = shard_inputs(local, Group(axis=axis, ways=ways, stride=parallelism.stride(axis), label=label))
    return local
