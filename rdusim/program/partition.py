"""Pipeline parallelism: a model's layers, in order, over groups of sockets, the slowest as fast as can be.

A layer is one repeat of a block. Contiguous runs of layers with the smallest largest cost (the linear partition
problem) are found by bisection of that cost; what a run reads of tensors made in another becomes an input, what others
read of its own an output. docs/model.md, "Parallelism".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from rdusim.arch.types import Arch
from rdusim.dtypes import size_of
from rdusim.errors import LowerError
from rdusim.graph.ops import flops, points
from rdusim.graph.types import Access, Block, OperatorGraph, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a pipeline stage runs at once: its graph, and the tensors that reach it from other stages.

    In training (`program.partition_training`) the graph is what one socket runs; `flops` are the model's, of all
    sockets, and `held` are tensors that a micro-batch keeps between its way forth and its way back.
    """

    graph: OperatorGraph
    received: tuple[str, ...]
    held: tuple[str, ...] = ()
    flops: float | None = None


def partition(graph: OperatorGraph, parts: int, costs: Mapping[str, float]) -> tuple[Part, ...]:
    """`parts` stages in order. `costs`: by block, of one repeat, in any unit. Equal stages compare equal.

    Raises LowerError where there are fewer layers than stages.
    """
    if parts == 1:
        return (Part(graph=graph, received=()),)
    layers = [block for block in graph.blocks for _ in range(block.repeats)]
    if parts > len(layers):
        raise LowerError(f"pp={parts}: layers of {graph.name} to share out: {len(layers)}, so at most pp={len(layers)}")
    ends = split([costs[block.name] for block in layers], parts)
    starts = (0, *ends[:-1])
    return tuple(_part(graph, layers[start:end]) for start, end in zip(starts, ends, strict=True))


def layer_costs(graph: OperatorGraph, arch: Arch) -> dict[str, float]:
    """Seconds of one repeat of each block by its roofline: arithmetic, or weights and caches off the nearest memory."""
    socket = arch.socket
    macs = max(socket.tile.pcu.macs_per_cycle.values(), default=1)
    peak = 2.0 * macs * socket.pcus * socket.clock
    return {
        block.name: max(
            sum(flops(graph.by_name[name]) for name in block.operators) / peak,
            _read(graph, block) / socket.memory[0].bandwidth,
        )
        for block in graph.blocks
    }


def _read(graph: OperatorGraph, block: Block) -> int:
    """Bytes of weights and caches that one repeat reads."""
    operators = [graph.by_name[name] for name in block.operators]
    found: dict[str, int] = {}
    for operator in operators:
        for operand in operator.inputs:
            tensor = graph.tensors[operand.tensor]
            if tensor.role in (Role.WEIGHT, Role.KV_CACHE):
                read = points(operator) * size_of(tensor.dtype) if operand.access is Access.GATHERED else tensor.bytes
                found[operand.tensor] = min(tensor.bytes, read)
    return sum(found.values())


def split(costs: Sequence[float], parts: int) -> tuple[int, ...]:
    """Ends of `parts` contiguous, non-empty runs whose largest sum is the least possible (to one part in a million)."""
    low, high = max(costs), sum(costs)
    while high - low > 1e-6 * high:
        limit = (low + high) / 2
        if len(_filled(costs, limit, parts)) <= parts:
            high = limit
        else:
            low = limit
    return _filled(costs, high, parts)


def _filled(costs: Sequence[float], limit: float, parts: int) -> tuple[int, ...]:
    """Runs as long as the limit lets them be, and as short as needed for one layer to be left for each further run."""
    ends: list[int] = []
    total, count = 0.0, len(costs)
    for index, cost in enumerate(costs):
        enough = count - index < parts - len(ends)  # the rest must go to stages of their own
        if index and (total + cost > limit or enough):
            ends.append(index)
            total = 0.0
        total += cost
    return (*ends, count)


def _part(graph: OperatorGraph, layers: Sequence[Block]) -> Part:
    """The graph of consecutive layers."""
    blocks = []
    for _, run in groupby(layers, key=lambda block: block.name):
        same = list(run)
        blocks.append(replace(same[0], repeats=len(same), carried=same[0].carried))
    names = [name for block in blocks for name in block.operators]
    operators = tuple(graph.by_name[name] for name in names)
    made = {operand.tensor for operator in operators for operand in operator.outputs}
    read = {operand.tensor for operator in operators for operand in operator.inputs}
    received = tuple(sorted(tensor for tensor in read - made if _arrives(graph, tensor)))
    sent = made & _read_later(graph, blocks, set(names))
    tensors = {
        name: replace(tensor, role=Role.INPUT if name in received else Role.OUTPUT if name in sent else tensor.role)
        for name, tensor in graph.tensors.items()
        if name in made | read
    }
    part = replace(graph, operators=operators, tensors=tensors, blocks=tuple(_alone(block) for block in blocks))
    return Part(graph=part, received=received)


def _arrives(graph: OperatorGraph, tensor: str) -> bool:
    """Whether a tensor that this part does not make comes from another part rather than from memory."""
    return tensor in graph.producer


def _read_later(graph: OperatorGraph, blocks: Sequence[Block], inside: set[str]) -> set[str]:
    """Tensors that operators outside read, or the next repeat of a block whose repeats are shared out."""
    found = {tensor for tensor, readers in graph.consumers.items() if any(reader not in inside for reader in readers)}
    return found | {tensor for block in blocks for tensor in block.carried}


def _alone(block: Block) -> Block:
    return block if block.repeats > 1 else replace(block, carried={})
