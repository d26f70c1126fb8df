"""A training step over a pipeline: contiguous layers of all blocks, each chunk with a way forth, a way back, an update.

A chunk keeps its weights, gradients and state, and what its way back reads of its way forth; activations and their
gradients travel between chunks. The step is cut over the sockets of a stage before its layers are shared out, so that
both ways of a layer agree on who holds what. docs/model.md, "Training over a pipeline".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from rdusim.errors import LowerError
from rdusim.graph.ops import flops
from rdusim.graph.types import Block, BlockKind, OperatorGraph, Role
from rdusim.program.accumulate import accumulated
from rdusim.program.partition import Part, split

HANDED_ON = (Role.ACTIVATION, Role.SAVED)  # what may leave the blocks that make it


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Consecutive layers. The last micro-batch differs where sockets then exchange gradients; None: nothing to do.

    `returned`: updated weights that other chunks read too, which are sent there.
    """

    forward: Part
    last_forward: Part
    backward: Part | None
    last_backward: Part | None
    update: Part | None
    returned: tuple[str, ...]

    @property
    def parts(self) -> tuple[Part, ...]:
        every = (self.forward, self.last_forward, self.backward, self.last_backward, self.update)
        return tuple(part for part in every if part is not None)


def training_chunks(
    whole: OperatorGraph, local: OperatorGraph, count: int, micro_batches: int, costs: Mapping[str, float]
) -> tuple[Chunk, ...]:
    """`count` chunks of a training step of one micro-batch: `whole`, of which `local` is what one socket runs.

    `costs`: by block, of one repeat, in any unit. Raises LowerError where there are fewer layers than chunks.
    """
    runs = _runs(whole, count, micro_batches, costs)
    places = {owner: [owner in dict(run) for run in runs] for run in runs for owner, _ in run}

    def apart(one: str, other: str) -> bool:
        return places[one] != places[other]

    adds = micro_batches > 1
    last = accumulated(local, apart, adds=adds, last=True)
    before = accumulated(local, apart, adds=adds, last=False) if adds else last
    done = _flops(whole)
    found = []
    for number in range(count):
        early, late = (_Chunk(graph, runs, number, done) for graph in (before, last))
        found.append(
            Chunk(
                forward=_required(early.forward()),
                last_forward=_required(late.forward()),
                backward=early.backward(),
                last_backward=late.backward(),
                update=late.update(),
                returned=late.returned(),
            )
        )
    return tuple(found)


def distinct(chunks: Iterable[Chunk]) -> tuple[Part, ...]:
    """Every different part once, in order."""
    found: list[Part] = []
    for part in (part for chunk in chunks for part in chunk.parts):
        if part not in found:
            found.append(part)
    return tuple(found)


def _required(part: Part | None) -> Part:
    assert part is not None, "a chunk has layers"
    return part


Run = Sequence[tuple[str, int]]  # forward blocks of a chunk, and how many repeats of each


def _runs(graph: OperatorGraph, count: int, micro_batches: int, costs: Mapping[str, float]) -> list[Run]:
    """Forward blocks of each chunk. A layer costs what a micro-batch takes both ways, and its share of an update."""
    layers = [block.name for block in graph.blocks if block.kind is BlockKind.FORWARD for _ in range(block.repeats)]
    if count > len(layers):
        raise LowerError(
            f"a pipeline of {count} chunks: {graph.name} has {len(layers)} layers to share out, so at most that many"
        )
    of_layer: dict[str, float] = {}
    for block in graph.blocks:
        share = costs[block.name] / (micro_batches if block.kind is BlockKind.UPDATE else 1)
        of_layer[block.owner] = of_layer.get(block.owner, 0.0) + share
    ends = split([of_layer[name] for name in layers], count)
    starts = (0, *ends[:-1])
    return [
        [(name, len(list(same))) for name, same in groupby(layers[start:end])]
        for start, end in zip(starts, ends, strict=True)
    ]


def _flops(graph: OperatorGraph) -> dict[str, float]:
    """Of one repeat of each block, on all sockets; what is only computed again does not count."""
    return {
        block.name: float(
            sum(
                flops(graph.by_name[name])
                for name in block.operators
                if not graph.by_name[name].attributes.get("again")
            )
        )
        for block in graph.blocks
    }


class _Chunk:
    """One chunk of a graph: which tensors its passes make, hold, hand on; lives only inside `training_chunks`."""

    def __init__(self, graph: OperatorGraph, runs: Sequence[Run], number: int, done: Mapping[str, float]) -> None:
        self._graph, self._done = graph, done
        self._repeats = dict(runs[number])
        first, last = runs[number][0][0], runs[number][-1][0]
        self._goes_on = {
            BlockKind.FORWARD: number + 1 < len(runs) and runs[number + 1][0][0] == last and last,
            BlockKind.BACKWARD: number > 0 and runs[number - 1][-1][0] == first and first,
        }
        self._blocks = {kind: [self._block(each) for each in self._of(kind)] for kind in BlockKind}
        self._made = {kind: self._written(blocks) for kind, blocks in self._blocks.items()}
        self._read = {kind: self._inputs(blocks) for kind, blocks in self._blocks.items()}
        everything = self._written(graph.blocks)
        self._received = {kind: (self._read[kind] - self._made[kind]) & everything for kind in BlockKind}
        self._received[BlockKind.BACKWARD] -= self._made[BlockKind.FORWARD] | self._received[BlockKind.FORWARD]
        self._received[BlockKind.UPDATE] -= self._made[BlockKind.FORWARD] | self._made[BlockKind.BACKWARD]
        self._held = {
            tensor
            for tensor in self._read[BlockKind.BACKWARD]
            & (self._made[BlockKind.FORWARD] | self._read[BlockKind.FORWARD])
            if graph.tensors[tensor].role in (*HANDED_ON, Role.INPUT, Role.OUTPUT)
        }

    def forward(self) -> Part | None:
        return self._part(BlockKind.FORWARD)

    def backward(self) -> Part | None:
        return self._part(BlockKind.BACKWARD)

    def update(self) -> Part | None:
        return self._part(BlockKind.UPDATE)

    def returned(self) -> tuple[str, ...]:
        """Weights that are updated here and that forward or backward blocks elsewhere read as well."""
        here = {place for block in self._blocks[BlockKind.UPDATE] for place in block.updated.values()}
        elsewhere = self._inputs(
            block
            for block in self._graph.blocks
            if block.kind is not BlockKind.UPDATE and block.owner not in self._repeats
        )
        return tuple(sorted(name for name in here & elsewhere if self._graph.tensors[name].role is Role.WEIGHT))

    def _of(self, kind: BlockKind) -> list[Block]:
        return [block for block in self._graph.blocks if block.kind is kind and block.owner in self._repeats]

    def _block(self, block: Block) -> Block:
        repeats = self._repeats[block.owner]
        return replace(block, repeats=repeats, carried=block.carried if repeats > 1 else {})

    def _written(self, blocks: Iterable[Block]) -> set[str]:
        """What operators make; of gradients that grow also the name that memory knows them by."""
        found: set[str] = set()
        for block in blocks:
            found |= {operand.tensor for name in block.operators for operand in self._graph.by_name[name].outputs}
            found |= {place for place in block.updated.values() if self._graph.tensors[place].role is Role.GRADIENT}
        return found

    def _inputs(self, blocks: Iterable[Block]) -> set[str]:
        return {
            operand.tensor
            for block in blocks
            for name in block.operators
            for operand in self._graph.by_name[name].inputs
        }

    def _sent(self, kind: BlockKind) -> set[str]:
        """What other chunks read: by other blocks there, or by further repeats of one of these blocks."""
        inside = {name for blocks in self._blocks.values() for block in blocks for name in block.operators}
        found = {
            tensor
            for tensor in self._made[kind]
            if any(reader not in inside for reader in self._graph.consumers.get(tensor, ()))
        }
        for block in self._of(kind):
            if block.owner == self._goes_on.get(kind):
                found |= set(block.carried)
        return {tensor for tensor in found if self._graph.tensors[tensor].role in HANDED_ON}

    def _own(self, tensor: str) -> bool:
        """Whether a tensor made on the way forth is there for every repeat on the way back."""
        if self._graph.tensors[tensor].role is Role.SAVED:
            return True
        maker = self._graph.producer.get(tensor)
        owners = {
            block.owner
            for kind in (BlockKind.FORWARD, BlockKind.BACKWARD)
            for block in self._blocks[kind]
            for name in block.operators
            if name == maker or (kind is BlockKind.BACKWARD and name in self._graph.consumers[tensor])
        }
        return len(owners) == 1

    def _role(self, tensor: str, kind: BlockKind, sent: Collection[str]) -> Role:
        role = self._graph.tensors[tensor].role
        if tensor in self._received[kind]:
            return role if role is Role.GRADIENT else Role.INPUT
        if tensor in sent:
            return Role.OUTPUT
        if tensor not in self._held or role not in HANDED_ON:
            return role
        made = kind is BlockKind.FORWARD and tensor in self._made[kind]
        if tensor in self._sent(BlockKind.FORWARD) or tensor not in self._made[BlockKind.FORWARD]:
            return Role.INPUT
        return Role.SAVED if self._own(tensor) else Role.OUTPUT if made else Role.INPUT

    def _part(self, kind: BlockKind) -> Part | None:
        blocks = self._blocks[kind]
        if not blocks:
            return None
        operators = tuple(self._graph.by_name[name] for block in blocks for name in block.operators)
        used = {operand.tensor for each in operators for operand in (*each.inputs, *each.outputs)}
        used |= {place for block in blocks for place in block.updated.values()}
        sent = self._sent(kind)
        tensors = {
            name: replace(tensor, role=self._role(name, kind, sent))
            for name, tensor in self._graph.tensors.items()
            if name in used
        }
        return Part(
            graph=replace(self._graph, operators=operators, tensors=tensors, blocks=tuple(blocks)),
            received=tuple(sorted(self._received[kind])),
            held=tuple(sorted(self._held & used)),
            flops=sum(self._done[block.name] * block.repeats for block in blocks),
        )
