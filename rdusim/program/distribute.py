"""A model over the sockets of one pipeline stage: every axis of parallelism cuts what the axes before it have left.

Tensor parallelism first, whose group are neighbours; then the tokens of a sequence, the experts, the sequences of a
batch. All are the same walk over the graph (`program.shard`); only where a cut starts differs.
docs/model.md, "Parallelism".
"""

from __future__ import annotations

from rdusim.errors import LowerError
from rdusim.graph.types import OperatorGraph
from rdusim.program.cut import Group
from rdusim.program.shard import shard, shard_experts, shard_inputs
from rdusim.program.types import Parallelism


def distribute(graph: OperatorGraph, parallelism: Parallelism) -> OperatorGraph:
    """The part of `graph` that one socket runs, collectives included.

    Raises LowerError where an axis does not divide what it cuts, or where the graph does not say what that is.
    """
    local = shard(graph, parallelism.tp, parallelism.stride("tp"))
    local = _inputs(local, parallelism, "sp", graph.token_label, "tokens")
    stride, ways = parallelism.stride("ep"), parallelism.ep
    local = shard_experts(local, Group(axis="ep", ways=ways, stride=stride, label=graph.batch_label))
    return _inputs(local, parallelism, "dp", graph.batch_label, "sequences")


def _inputs(graph: OperatorGraph, parallelism: Parallelism, axis: str, label: str, noun: str) -> OperatorGraph:
    ways = int(getattr(parallelism, axis))
    if ways > 1 and not label:
        raise LowerError(f"{axis}={ways}: {graph.name} does not say which dimension of its inputs counts {noun}")
    return shard_inputs(graph, Group(axis=axis, ways=ways, stride=parallelism.stride(axis), label=label))
