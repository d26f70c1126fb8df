"""A block as stages-to-be: for every stage and every cut, its work on one tile, what feeds it, and what it keeps.

The numbers that the search (`fuse`), the widths and the final section (`build`) all read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, prod

from rdusim.arch.types import Pcu
from rdusim.dtypes import DType, size_of
from rdusim.errors import LowerError
from rdusim.graph.ops import SPECS, density, indexed, points, points_of
from rdusim.graph.types import Access, Block, Compute, Operator, OperatorGraph
from rdusim.program.cluster import KEPT, Feed, Group
from rdusim.program.tile import Cut, Flows, cuts
from rdusim.program.types import CollectiveWork
from rdusim.program.width import Demand, demand
from rdusim.timing.work import SimdWork, SystolicWork, Work
from rdusim.units import Bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """Tensor `root` reaching stage `target` from stage `source` of the same block, or from memory (source -1)."""

    root: str
    source: int
    target: int
    size: int  # bytes in one execution of the section, all tiles
    resident: bool  # the whole of it (of one part of the flows it shares) is there while tiles pass
    multicast: bool
    gathered: bool
    row_bytes: int
    flows: frozenset[int]  # flows along which it arrives part by part
    held: frozenset[int]  # of these, the ones along which a part replaces the one before
    read: frozenset[int]  # flows along which it can be read part by part from memory, whoever wrote it
    axes: tuple[tuple[int, int], ...]  # (axis of the root, flow), of those axes that survive the layouts on the way
    index: int = -1  # the stage that makes the indices by which it is gathered; -1: they come from memory


@dataclass(frozen=True, slots=True)
class Sketch:
    """One block. `works` and `demands` remember what was asked for before, by stage and cut."""

    graph: OperatorGraph
    block: Block
    groups: tuple[Group, ...]
    flows: Flows
    edges: tuple[Edge, ...]
    last_reader: Mapping[str, int]  # tensor -> last stage of the block that reads it; past the end if kept
    passing: tuple[frozenset[int], ...]  # flows that pass through each stage: along others it fires once
    least_tiles: int = 1
    works: dict[tuple[int, Cut], tuple[Work, ...]] = field(default_factory=dict)
    demands: dict[tuple[int, Cut], Demand] = field(default_factory=dict)

    def work(self, group: int, cut: Cut) -> tuple[Work, ...]:
        """What one tile asks of the PCUs of a stage."""
        key = (group, cut)
        if key not in self.works:
            self.works[key] = _work(self.groups[group], self.graph, self.flows, cut)
        return self.works[key]

    def demand(self, group: int, cut: Cut, pcu: Pcu) -> Demand:
        """What the width of a stage must respect."""
        key = (group, cut)
        if key not in self.demands:
            self.demands[key] = demand(self.work(group, cut), pcu)
        return self.demands[key]

    def collective(self, group: int, cut: Cut) -> CollectiveWork | None:
        """What one tile moves between sockets, for a COLLECTIVE stage."""
        members = self.groups[group].operators
        operator = next((member for member in members if SPECS[member.kind].compute is Compute.COLLECTIVE), None)
        if operator is None:
            return None
        shape = _tile_shape(operator, self.flows, cut)
        size = sum(
            prod(shape[label] for label in operand.dims) * size_of(self.graph.tensors[operand.tensor].dtype)
            for operand in operator.outputs
        )
        participants = operator.attributes["participants"]
        stride = operator.attributes.get("stride", 1)
        assert isinstance(participants, int)
        assert isinstance(stride, int)
        if operator.kind == "all_to_all":  # its dims are those of what all participants hold together
            filled = operator.attributes.get("filled", 1.0)  # most slots at the experts may be empty
            assert isinstance(filled, float)
            size = ceil(size / participants * filled)
        return CollectiveWork(kind=operator.kind, participants=participants, size=Bytes(size), stride=stride)

    def tile_shape(self, group: int, cut: Cut) -> Mapping[str, int]:
        """Extents of the stage's leading operator within one tile."""
        return _tile_shape(_leading(self.groups[group]), self.flows, cut)

    def cuts(self, first: int, end: int) -> list[Cut]:
        """Cuts worth trying for the stages first .. end-1, of those with at least `least_tiles` where there are any."""
        found = cuts(self.graph, self.flows, self.operators(first, end))
        return [cut for cut in found if cut.tiles >= self.least_tiles] or found[-1:]

    def operators(self, first: int, end: int) -> list[Operator]:
        """Operators of the stages first .. end-1."""
        return [operator for group in self.groups[first:end] for operator in group.operators]


def sketch(graph: OperatorGraph, block: Block, groups: tuple[Group, ...], flows: Flows, least_tiles: int = 1) -> Sketch:
    """Join the stages of a block by the tensors between them."""
    made = {tensor: group.index for group in groups for tensor in group.made}
    last: dict[str, int] = {}
    edges: dict[tuple[str, int, bool], Edge] = {}
    for group in groups:
        for operator, feed in group.feeds:
            edge = _edge(operator, feed, made, group, flows)
            key = (feed.root, group.index, edge.resident)
            if key not in edges or edges[key].size < edge.size:
                edges[key] = edge
            last[feed.root] = group.index
    outside = _read_outside(graph, block, made)
    for tensor in made:
        if tensor in outside or graph.tensors[tensor].role in KEPT:
            last[tensor] = len(groups)
    passing = tuple(
        frozenset(flow for operator in group.operators for flow in flows.operators[operator.name].through)
        for group in groups
    )
    return Sketch(graph, block, groups, flows, tuple(edges.values()), last, passing, least_tiles)


def _read_outside(graph: OperatorGraph, block: Block, made: Mapping[str, int]) -> set[str]:
    """Tensors of this block that other blocks, or the next repeat, read."""
    inside = set(block.operators)
    outside = {tensor for tensor in made if tensor in block.carried}
    for tensor, readers in graph.consumers.items():
        if tensor in made and any(reader not in inside for reader in readers):
            outside.add(tensor)
    return outside


def _edge(operator: Operator, feed: Feed, made: Mapping[str, int], group: Group, flows: Flows) -> Edge:
    source = made.get(feed.root, -1)
    labels = flows.operators[operator.name].labels
    along = flows.tensors.get(feed.root, ())
    shared = frozenset(
        along[axis] for label, axis in feed.axes if axis < len(along) and labels.get(label) == along[axis]
    )
    systolic = SPECS[operator.kind].compute is Compute.SYSTOLIC
    own = SPECS[operator.kind].gathers and feed.root == operator.inputs[0].tensor and not feed.folded
    if own:  # what is read follows the indices, tile by tile
        shared = frozenset(labels[label] for label in _rows(operator)) & flows.operators[operator.name].through
    elif feed.access is Access.GATHERED:
        shared = flows.operators[operator.name].through
    resident = feed.access is Access.RESIDENT or (own and systolic)
    return Edge(
        root=feed.root,
        source=source,
        target=group.index,
        size=feed.size,
        resident=resident,
        multicast=systolic,
        gathered=feed.access is Access.GATHERED,
        row_bytes=feed.row_bytes,
        flows=frozenset(along) if source >= 0 else shared,
        held=shared,
        read=shared | frozenset(labels[label] for label, _ in feed.axes if label in labels and not own),
        axes=tuple((axis, labels[label]) for label, axis in feed.axes if label in labels),
        index=made.get(operator.inputs[-1].tensor, -1) if own else -1,
    )


def _rows(operator: Operator) -> set[str]:
    """Labels of what an operator reads of its gathered operand: those of the indices for those that are addressed."""
    table, index = operator.inputs[0], operator.inputs[-1]
    return {*table.dims, *index.dims} - set(indexed(operator))


def _leading(group: Group) -> Operator:
    return max(group.operators, key=points) if group.compute is not Compute.SYSTOLIC else _systolic(group)


def _systolic(group: Group) -> Operator:
    (operator,) = [op for op in group.operators if SPECS[op.kind].compute is Compute.SYSTOLIC]
    return operator


def _tile_shape(operator: Operator, flows: Flows, cut: Cut) -> dict[str, int]:
    labels = flows.operators[operator.name].labels
    parts = dict(cut.parts)
    return {label: ceil(extent / parts.get(labels[label], 1)) for label, extent in operator.dims.items()}


def _work(group: Group, graph: OperatorGraph, flows: Flows, cut: Cut) -> tuple[Work, ...]:
    if group.compute is Compute.SYSTOLIC:
        return (_systolic_work(group, graph, flows, cut),)
    if group.compute is Compute.SIMD:
        return (_simd_work(group.operators, graph, flows, cut),)
    return ()


def _systolic_work(group: Group, graph: OperatorGraph, flows: Flows, cut: Cut) -> SystolicWork:
    """m: rows of the moving operand, n: columns of the resident one, k: contracted, batch: what both share.

    An operand expanded on the way (grouped-query attention) is read once for all its copies: the expanded label counts
    to the other operand's rows. Of a sparse weight (or a sparse gradient of one) only the non-zero elements take steps.
    """
    operator = _systolic(group)
    shape = _tile_shape(operator, flows, cut)
    output = set(operator.outputs[0].dims)
    factors = [operand for operand in operator.inputs if any(label not in output for label in operand.dims)]
    if len(factors) < 2:
        factors = list(operator.inputs[-2:])
    if len(factors) < 2:
        raise LowerError(f"operator '{operator.name}': a {operator.kind} needs two factors")
    moving, still = (
        _rows(operator)
        if operand.access is Access.GATHERED
        else set(operand.dims) - _expanded(graph, group, operand.tensor, operand.dims)
        for operand in factors[:2]
    )
    if factors[0].access is not Access.STREAMED and factors[1].access is Access.STREAMED:
        moving, still = still, moving

    def extent(labels: set[str]) -> int:
        return prod(shape[label] for label in labels)

    return SystolicWork(
        batch=extent(moving & still & output),
        m=extent((moving - still) & output),
        n=extent((still - moving) & output),
        k=ceil(extent((moving | still) - output) * density(operator)),
        dtype=_dtype(graph, factors[0].tensor),
    )


def _expanded(graph: OperatorGraph, group: Group, tensor: str, dims: tuple[str, ...]) -> set[str]:
    """Labels of an operand that a folded expand added on the way."""
    maker = graph.producer.get(tensor)
    if maker is None:
        return set()
    layout = graph.by_name[maker]
    spec = SPECS[layout.kind]
    if spec.compute is not Compute.MOVE or group.compute is not Compute.SYSTOLIC:
        return set()
    outer = dict(zip(layout.outputs[0].dims, dims, strict=True))
    inside = {label for operand in layout.inputs for label in operand.dims}
    new = {outer[label] for label in outer if label not in inside} if not spec.attributes else set()
    for operand in layout.inputs:
        if set(operand.dims) & set(outer):
            renamed = tuple(outer.get(label, f"{label}'") for label in operand.dims)
            new |= _expanded(graph, group, operand.tensor, renamed) & set(dims)
    return new


def _simd_work(operators: Sequence[Operator], graph: OperatorGraph, flows: Flows, cut: Cut) -> SimdWork:
    """The chain as one: the longest operator sets the elements.

    Shorter ones (after a reduction) weigh what they add.
    """
    elements, weighted, tails, passes, reduction = 1, 0.0, 0.0, 1, False
    dtype: DType = "fp8"
    for operator in operators:
        spec = SPECS[operator.kind]
        if spec.compute is not Compute.SIMD:
            continue
        count = points_of(operator, _tile_shape(operator, flows, cut))
        weighted += spec.points_ops * count
        tails += spec.tail_ops * count
        passes = max(passes, spec.passes)
        reduction |= spec.reduces
        elements = max(elements, count)
        for operand in (*operator.inputs, *operator.outputs):
            found = _dtype(graph, operand.tensor)
            if size_of(found) > size_of(dtype) and found != "int32":
                dtype = found
    operations = max(1, ceil(weighted / elements))
    return SimdWork(
        elements=elements,
        operations=operations,
        tails=ceil(tails / elements),
        passes=passes,
        reduction=reduction,
        dtype=dtype,
    )


def _dtype(graph: OperatorGraph, tensor: str) -> DType:
    return graph.tensors[tensor].dtype
