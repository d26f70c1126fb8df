"""Which dimension of a block can flow through it tile by tile, and how many tiles that makes.

Labels are local to an operator; a *flow* is a dimension of the block: all (tensor, axis) pairs that streamed operands
tie together (the tokens of a prompt, the sequences of a batch, a row of a matrix). A run of stages can be cut along
a flow when each of its operators either carries the flow from inputs to outputs or has nothing to do with it, and no
operator needs the whole of it first (a softmax over it, a contraction, a GEMM's resident operand made from it).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rdusim.graph.ops import SPECS
from rdusim.graph.types import Access, Compute, Operator, OperatorGraph

MOST_TILES = 4096

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Flows and the parts each is cut into, outermost first. `tiles` is their product."""

    parts: tuple[tuple[int, int], ...]  # (flow, parts)

    @property
    def tiles(self) -> int:
        result = 1
        for _, parts in self.parts:
            result *= parts
        return result

    def of(self, flows: Mapping[str, int] | frozenset[int]) -> int:
        """Tiles that something spanning `flows` falls into."""
        spanned = flows if isinstance(flows, frozenset) else frozenset(flows.values())
        result = 1
        for flow, parts in self.parts:
            if flow in spanned:
                result *= parts
        return result

    @property
    def flows(self) -> frozenset[int]:
        return frozenset(flow for flow, _ in self.parts)

    def loops(self, flows: Collection[int]) -> tuple[int, ...]:
        """The loops, numbered from the outermost, that cut these flows."""
        return tuple(loop for loop, (flow, _) in enumerate(self.parts) if flow in flows)

    def cuts(self, spanned: Iterable[tuple[Key, int]]) -> tuple[tuple[Key, int], ...]:
        """Of things that span a flow each, those that are cut, with their loop."""
        loop = {flow: number for number, (flow, _) in enumerate(self.parts)}
        return tuple((key, loop[flow]) for key, flow in spanned if flow in loop)

    def comes_again(self, flows: Collection[int], fires: Collection[int]) -> bool:
        """Whether something cut along `flows` is gone through several times by a stage that fires along `fires`.

        It is when a loop that does not cut it stands outside of one that does: a mask over tokens, sequence by
        sequence.
        """
        mine = self.loops(flows)
        return any(loop < mine[-1] for loop in self.loops(fires) if loop not in mine) if mine else False


WHOLE = Cut(parts=())


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorFlows:
    """Flow of each label of one operator; the flows it lets through and those that it needs whole."""

    labels: Mapping[str, int]
    through: frozenset[int]
    blocked: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flows:
    """All flows of a block. `extents`: the size of each; `tensors`: flows along the axes of each tensor."""

    operators: Mapping[str, OperatorFlows]
    tensors: Mapping[str, tuple[int, ...]]
    extents: Mapping[int, int]


def find_flows(graph: OperatorGraph, operators: Sequence[Operator]) -> Flows:
    """Tie the labels of every operator to the axes of its tensors, and read off the flows."""
    joined = _Sets()
    for operator in operators:
        for operand in (*operator.inputs, *operator.outputs):
            if operand.access is Access.STREAMED:
                for axis, label in enumerate(operand.dims):
                    joined.join((operator.name, label), (operand.tensor, axis))
    number: dict[object, int] = {}

    def flow(key: object) -> int:
        return number.setdefault(joined.root(key), len(number))

    found: dict[str, OperatorFlows] = {}
    tensors: dict[str, tuple[int, ...]] = {}
    extents: dict[int, int] = {}
    for operator in operators:
        labels = {label: flow((operator.name, label)) for label in operator.dims}
        for label, extent in operator.dims.items():
            extents[labels[label]] = max(extents.get(labels[label], 1), extent)
        for operand in (*operator.inputs, *operator.outputs):
            tensors[operand.tensor] = tuple(flow((operand.tensor, axis)) for axis in range(len(operand.dims)))
        found[operator.name] = _operator_flows(operator, labels, tensors)
    return Flows(operators=found, tensors=tensors, extents=extents)


def _operator_flows(
    operator: Operator, labels: Mapping[str, int], tensors: Mapping[str, tuple[int, ...]]
) -> OperatorFlows:
    spec = SPECS[operator.kind]
    kept = {label for operand in operator.outputs for label in operand.dims}
    through = frozenset(labels[label] for label in kept)
    adds_up = spec.compute is not Compute.MOVE or (spec.contraction is not None and not spec.gathers)
    blocked = {labels[label] for label in operator.dims if label not in kept and adds_up}
    blocked |= {labels[label] for label in spec.whole(operator)}
    spanned = list(labels.values())
    blocked |= {flow for flow in spanned if spanned.count(flow) > 1}  # a tile of x + transpose(x) needs two of x
    causal = bool(operator.attributes.get("causal"))
    for operand in operator.inputs:
        if operand.access is not Access.STREAMED and not causal:
            # A resident operand must be there in full: along an axis that is not a label shared with the stream,
            # its flow cannot arrive tile by tile. A causal operator reads only what has come already.
            pairs = zip(tensors[operand.tensor], operand.dims, strict=True)
            blocked |= {flow for flow, label in pairs if labels[label] != flow}
    return OperatorFlows(labels=labels, through=through - blocked, blocked=frozenset(blocked))


def cuts(graph: OperatorGraph, flows: Flows, operators: Sequence[Operator]) -> list[Cut]:
    """Every cut worth trying for a run of operators: whole, and powers of two along one or two flows."""
    usable = _usable(flows, operators)
    found = [WHOLE]
    ladders = [[(flow, parts) for parts in _ladder(flows.extents[flow])] for flow in usable[:2]]
    for ladder in ladders:
        found.extend(Cut(parts=(step,)) for step in ladder)
    if len(ladders) == 2:
        outer, inner = ladders
        # The outer flow goes one by one (a sequence of a batch at a time), the inner one in parts.
        found.extend(Cut(parts=(outer[-1], step)) for step in inner if outer[-1][1] * step[1] <= MOST_TILES)
    return found


def _usable(flows: Flows, operators: Sequence[Operator]) -> list[int]:
    """Flows that pass through the run; those that fewer axes of the tensors lack come first, shorter ones outermost."""
    blocked: set[int] = set()
    carried: dict[int, int] = {}
    for operator in operators:
        of = flows.operators[operator.name]
        blocked |= of.blocked
        for flow in of.through:
            carried[flow] = carried.get(flow, 0) + 1
    made: dict[str, Operator] = {operand.tensor: op for op in operators for operand in op.outputs}
    for operator in operators:  # what carries the flow in must carry it out
        of = flows.operators[operator.name]
        for operand in operator.inputs:
            if operand.tensor in made:
                blocked |= set(flows.tensors[operand.tensor]) - of.through - of.blocked
    # What few operators carry would leave the others without tiles.
    common = [flow for flow, times in carried.items() if 4 * times >= len(operators)]
    usable = [flow for flow in common if flow not in blocked and flows.extents[flow] > 1]
    usable.sort(key=lambda flow: (-carried[flow], -flows.extents[flow]))
    best = usable[:2]
    return sorted(best, key=lambda flow: flows.extents[flow])


def _ladder(extent: int) -> Iterator[int]:
    parts = 2
    while parts < min(extent, MOST_TILES):
        yield parts
        parts *= 2
    yield min(extent, MOST_TILES)


class _Sets:
    """Disjoint sets of hashable keys."""

    def __init__(self) -> None:
        self.parent: dict[object, object] = {}

    def root(self, key: object) -> object:
        path = []
        while (above := self.parent.setdefault(key, key)) != key:
            path.append(key)
            key = above
        for seen in path:
            self.parent[seen] = key
        return key

    def join(self, one: object, other: object) -> None:
        self.parent[self.root(one)] = self.root(other)
