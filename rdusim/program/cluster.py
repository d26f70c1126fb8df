"""Operators that fire together: a systolic operator alone, a chain of element-wise ones ended by at most one reduction.

Layout operators (transpose, slice, concatenate, expand) do no work of their own: they are folded into the access
pattern of the buffer that their consumer reads, and belong to the stage that fills that buffer. A `Feed` says what
really arrives at a stage once layouts are folded away.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod

from rdusim.dtypes import size_of
from rdusim.graph.ops import SPECS, indexed, rows_gathered
from rdusim.graph.types import Access, Compute, Operand, Operator, OperatorGraph, Role

KEPT = (  # results that memory must get
    Role.KV_CACHE,
    Role.OUTPUT,
    Role.SAVED,
    Role.GRADIENT,
    Role.WEIGHT,
    Role.OPTIMIZER,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """Bytes of tensor `root` that an operand needs, and how they are read.

    `labels`: the operand's labels that the root really spans (an expanded label is only read several times).
    `axes`: label -> axis of the root, where the label survives the layouts on the way.
    """

    root: str
    size: int
    labels: tuple[str, ...]
    axes: tuple[tuple[str, int], ...]
    access: Access
    folded: bool  # a layout operator stands between the root's producer and this operand
    row_bytes: int  # contiguous bytes in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A stage before it has tiles and widths. `feeds` come from outside the group, one entry per operand."""

    index: int
    operators: tuple[Operator, ...]
    compute: Compute
    feeds: tuple[tuple[Operator, Feed], ...]
    made: tuple[str, ...]  # tensors that real (not folded) operators of the group produce

    @property
    def name(self) -> str:
        """The operator that says best what the stage does: the last one that computes."""
        real = [operator.name for operator in self.operators if SPECS[operator.kind].compute is not Compute.MOVE]
        return (real or [self.operators[-1].name])[-1]


def cluster(
    graph: OperatorGraph, names: Iterable[str], ends: frozenset[str] = frozenset(), *, by_module: bool = False
) -> tuple[Group, ...]:
    """Stages of the operators `names` (in topological order), such that every edge goes to the same or a later stage.

    The operators `ends` are the last of their stage. `by_module`: a stage computes for one module only.
    """
    return _Clusters(graph, _in_order(graph, names), ends, by_module).run()


def _in_order(graph: OperatorGraph, names: Iterable[str]) -> list[Operator]:
    """Operators in topological order, as they were given where that leaves a choice."""
    import networkx as nx

    place = {name: number for number, name in enumerate(names)}
    order = nx.lexicographical_topological_sort(graph.digraph.subgraph(place), key=place.__getitem__)
    return [graph.by_name[name] for name in order]


def alone(graph: OperatorGraph, names: Iterable[str]) -> tuple[Group, ...]:
    """One stage per operator, layouts included: what an unfused program runs."""
    groups = []
    in_place: dict[str, Operator] = {}
    for index, name in enumerate(names):
        operator = graph.by_name[name]
        spec = SPECS[operator.kind]
        appends = operator.kind == "kv_append"
        feeds = tuple(
            (operator, feed)
            for operand in (operator.inputs[1:] if appends else operator.inputs)
            for feed in _trimmed(graph, operator, resolve(graph, operand, in_place))
        )
        if appends:  # its readers find the past and the new entries where they are
            in_place |= {operand.tensor: operator for operand in operator.outputs}
        made = () if appends else tuple(operand.tensor for operand in operator.outputs)
        groups.append(Group(index=index, operators=(operator,), compute=spec.compute, feeds=feeds, made=made))
    return tuple(groups)


def _trimmed(graph: OperatorGraph, operator: Operator, feeds: list[Feed]) -> list[Feed]:
    """A layout alone reads no more than it writes: the rows it gathers, the part it slices."""
    if SPECS[operator.kind].compute is not Compute.MOVE:
        return _gathered(graph, operator, feeds)
    most = sum(int(graph.tensors[operand.tensor].bytes) for operand in operator.outputs)
    return [replace(feed, size=most if feed.access is Access.GATHERED else min(feed.size, most)) for feed in feeds]


def _gathered(graph: OperatorGraph, operator: Operator, feeds: list[Feed]) -> list[Feed]:
    """Of what an operator that computes gathers, the rows that it finds: each a piece of memory of its own."""
    spec = SPECS[operator.kind]
    if spec.compute is Compute.MOVE or not spec.gathers:
        return feeds
    rows = rows_gathered(operator)
    count = prod(operator.dims[label] for label in operator.inputs[-1].dims)
    return [
        replace(feed, size=rows * size, row_bytes=rows // count * size)
        if feed.access is Access.GATHERED and not feed.folded
        else feed
        for feed in feeds
        for size in (size_of(graph.tensors[feed.root].dtype),)
    ]


class _Clusters:
    def __init__(self, graph: OperatorGraph, operators: list[Operator], ends: frozenset[str], by_module: bool) -> None:
        self.ends, self.by_module = ends, by_module
        self.graph = graph
        self.operators = operators
        self.here = {operator.name for operator in operators}
        self.carried = {tensor for block in graph.blocks for tensor in block.carried}
        self.group_of: dict[str, int] = {}  # operator -> group
        self.members: list[list[Operator]] = []
        self.compute: list[Compute] = []
        self.closed: set[int] = set()  # groups whose chain has ended
        self.moved: dict[str, Operator] = {}  # tensor -> the layout operator that makes it

    def run(self) -> tuple[Group, ...]:
        waiting: list[Operator] = []  # layouts that go with whoever reads them first
        for operator in self.operators:
            if SPECS[operator.kind].compute is Compute.MOVE:
                self._layout(operator, waiting)
            else:
                self._work(operator, waiting)
        for operator in waiting:  # nobody here reads them: they are stages of their own, memory to memory
            self._open(operator, Compute.MOVE)
        return tuple(self._group(index) for index in range(len(self.members)))

    def _layout(self, operator: Operator, waiting: list[Operator]) -> None:
        for operand in operator.outputs:
            self.moved[operand.tensor] = operator
        makers = [self.group_of[maker] for maker in self._makers(operator)]
        if self._waits(operator, makers, waiting) and not self._leaves(operator):
            waiting.append(operator)
        elif makers:
            self._join(operator, max(makers))
        else:
            self._open(operator, Compute.MOVE)
            for operand in operator.outputs:
                del self.moved[operand.tensor]

    def _waits(self, operator: Operator, makers: list[int], waiting: list[Operator]) -> bool:
        """Whether a layout goes with its reader.

        It does when it comes from memory, selects a part (the rest need not wait for it), or follows one that does.
        """
        selects = bool(indexed(operator)) and not SPECS[operator.kind].gathers
        follows = any(self.moved.get(operand.tensor) in waiting for operand in operator.inputs)
        return not makers or selects or follows

    def _leaves(self, operator: Operator) -> bool:
        """Whether memory gets a result: something outside reads it, the next repeat does, or it is kept."""
        return any(
            self.graph.tensors[operand.tensor].role in KEPT
            or operand.tensor in self.carried
            or any(reader not in self.here for reader in self.graph.consumers.get(operand.tensor, ()))
            for operand in operator.outputs
        )

    def _work(self, operator: Operator, waiting: list[Operator]) -> None:
        spec = SPECS[operator.kind]
        makers = [self.group_of[maker] for maker in self._makers(operator)]
        latest = max(makers, default=-1)
        if spec.compute is Compute.SIMD and latest >= 0 and self._continues(operator, latest):
            self._join(operator, latest)
        else:
            self._open(operator, spec.compute)
        if spec.reduces or spec.passes > 1 or operator.name in self.ends:
            self.closed.add(self.group_of[operator.name])
        needed = self._layouts_behind(operator)
        for layout in [layout for layout in waiting if layout.name in needed]:
            waiting.remove(layout)
            self._join(layout, self.group_of[operator.name], first=True)

    def _continues(self, operator: Operator, latest: int) -> bool:
        """A chain goes on while its input comes straight from it, vector by vector."""
        if self.compute[latest] is not Compute.SIMD or latest in self.closed:
            return False
        if self.by_module and self.members[latest][-1].call != operator.call:
            return False
        direct = [
            operand.tensor
            for operand in operator.inputs
            if (maker := self.graph.producer.get(operand.tensor)) is not None and self.group_of.get(maker) == latest
        ]
        return bool(direct) and not any(tensor in self.moved for tensor in direct)

    def _makers(self, operator: Operator) -> list[str]:
        """Placed operators that feed `operator`, seen through layouts that wait for their reader."""
        found: list[str] = []
        for operand in operator.inputs:
            maker = self.graph.producer.get(operand.tensor)
            if maker is None:
                continue
            if maker in self.group_of:
                found.append(maker)
            elif operand.tensor in self.moved:
                found.extend(self._makers(self.moved[operand.tensor]))
        return found

    def _layouts_behind(self, operator: Operator) -> set[str]:
        names: set[str] = set()
        todo = [operand.tensor for operand in operator.inputs]
        while todo:
            if (layout := self.moved.get(todo.pop())) is not None and layout.name not in names:
                names.add(layout.name)
                todo.extend(operand.tensor for operand in layout.inputs)
        return names

    def _open(self, operator: Operator, compute: Compute) -> None:
        self.members.append([])
        self.compute.append(compute)
        self._join(operator, len(self.members) - 1)

    def _join(self, operator: Operator, group: int, first: bool = False) -> None:
        self.members[group].insert(0 if first else len(self.members[group]), operator)
        self.group_of[operator.name] = group

    def _group(self, index: int) -> Group:
        members = self.members[index]
        alone_move = self.compute[index] is Compute.MOVE
        # A layout that leaves for memory is carried out on the way there; the others are only a way of reading.
        real = [op for op in members if alone_move or SPECS[op.kind].compute is not Compute.MOVE or self._leaves(op)]
        made = {operand.tensor for operator in real for operand in operator.outputs}
        feeds: dict[tuple[str, str, tuple[str, ...]], tuple[Operator, Feed]] = {}
        for operator in real:
            for operand in operator.inputs:
                for feed in _trimmed(self.graph, operator, resolve(self.graph, operand, self.moved)):
                    if feed.root not in made:
                        feeds.setdefault((operator.name, feed.root, feed.labels), (operator, feed))
        return Group(
            index=index,
            operators=tuple(members),
            compute=self.compute[index],
            feeds=tuple(feeds.values()),
            made=tuple(operand.tensor for operator in real for operand in operator.outputs),
        )


def resolve(graph: OperatorGraph, operand: Operand, moved: dict[str, Operator]) -> list[Feed]:
    """The tensors that really feed an operand, seen through folded layouts."""
    layout = moved.get(operand.tensor)
    if layout is None:
        return [_plain(graph, operand)]
    (out,) = [out for out in layout.outputs if out.tensor == operand.tensor]
    outer = dict(zip(out.dims, operand.dims, strict=True))  # the layout's label -> the reader's label
    skipped = indexed(layout)
    limit = graph.tensors[operand.tensor].bytes
    feeds: list[Feed] = []
    for source in layout.inputs:
        for feed in resolve(graph, source, moved):
            labels = tuple(outer[label] for label in feed.labels if label in outer)
            axes = tuple((outer[label], axis) for label, axis in feed.axes if label in outer)
            gathered = source.access is Access.GATHERED
            feeds.append(
                replace(
                    feed,
                    size=limit if gathered else min(feed.size, limit),  # a row for every index, however often
                    labels=labels,
                    axes=axes,
                    access=Access.GATHERED if gathered else operand.access,
                    folded=True,
                    row_bytes=min(feed.row_bytes, limit) if not skipped else feed.row_bytes,
                )
            )
    return feeds


def _plain(graph: OperatorGraph, operand: Operand) -> Feed:
    tensor = graph.tensors[operand.tensor]
    size, row = int(tensor.bytes), int(tensor.bytes)
    if operand.access is Access.GATHERED:
        row = size // max(1, tensor.shape[0])
    return Feed(
        root=operand.tensor,
        size=size,
        labels=operand.dims,
        axes=tuple((label, axis) for axis, label in enumerate(operand.dims)),
        access=operand.access,
        folded=False,
        row_bytes=row,
    )
