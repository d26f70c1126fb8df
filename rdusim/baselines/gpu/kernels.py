"""From operators to GPU kernels: one each (eager), or fused as inference engines fuse them. No operator goes by name.

Fused (docs/model.md, "GPU baselines"): layouts are ways of reading; element-wise operators go on in the kernel that
made their latest input, except a reduction behind a product; products of one activation with several weights are one
product; two products of activations with only element-wise work between them are one kernel that keeps what lies
between on chip (FlashAttention, arXiv 2205.14135), if its rows fit there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Final

from rdusim.baselines.gpu.types import Fusion
from rdusim.dtypes import DType
from rdusim.graph.ops import SPECS, points
from rdusim.graph.types import Block, Compute, Operand, Operator, OperatorGraph, Role
from rdusim.program.cluster import Feed, resolve
from rdusim.units import Bytes

_VIEWS: Final = ("transpose", "slice")  # PyTorch changes strides and launches nothing
_KEPT: Final = (Role.KV_CACHE, Role.OUTPUT)  # results that memory must get
_WIDEST_ROW: Final = 256  # columns of the second product that fused attention holds: head sizes of FlashAttention


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """`batch` products of m x k by k x n. `visible`: share of it that a causal mask leaves to be computed."""

    batch: int
    m: int
    n: int
    k: int
    dtype: DType
    visible: float = 1.0

    @property
    def flops(self) -> float:
        return 2.0 * self.batch * self.m * self.n * self.k * self.visible


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What a collective moves between `participants` GPUs; `size`: bytes of the whole result."""

    kind: str
    participants: int
    size: Bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """One launch, made `repeats` times in a row with the others of its block. Quantities of one GPU and one launch.

    `read`, `written`: bytes over HBM. `vector_work`, `special_work`: operations on the fp32 cores and the special
    function units. `attention`: its products are one pass over keys and values.
    """

    name: str
    block: str
    repeats: int
    operators: tuple[str, ...]
    products: tuple[Product, ...]
    attention: bool
    exchange: Exchange | None
    vector_work: int
    special_work: int
    read: int
    written: int

    @property
    def flops(self) -> float:
        return sum(product.flops for product in self.products) + self.vector_work

    @property
    def size(self) -> int:
        """Bytes over HBM."""
        return self.read + self.written


def kernels_of(graph: OperatorGraph, fusion: Fusion) -> tuple[Kernel, ...]:
    """Kernels in the order in which they run, block by block; `graph` is the part of one GPU."""
    carried = {tensor for block in graph.blocks for tensor in block.carried}
    return tuple(kernel for block in graph.blocks for kernel in _Former(graph, block, fusion, carried).run())


@dataclass(slots=True)
class _Open:
    """A kernel while operators are put in."""

    compute: Compute
    operators: list[Operator] = field(default_factory=list)
    attention: bool = False


class _Former:
    """One walk over the operators of a block."""

    def __init__(self, graph: OperatorGraph, block: Block, fusion: Fusion, carried: set[str]) -> None:
        self.graph, self.block, self.fused = graph, block, fusion is Fusion.FUSED
        self.carried = carried
        self.here = set(block.operators)
        self.moved: dict[str, Operator] = {}  # tensor -> the layout that is only a way of reading it
        self.open: list[_Open] = []
        self.home: dict[str, int] = {}  # tensor -> the kernel that makes it

    def run(self) -> Iterator[Kernel]:
        operators = [self.graph.by_name[name] for name in self.block.operators]
        regions = _attentions(self.graph, operators) if self.fused else {}
        waiting: dict[str, list[Operator]] = {}
        for operator in operators:
            region = regions.get(operator.name)
            if self._is_view(operator):
                self.moved |= {operand.tensor: operator for operand in operator.outputs}
            elif region is None:
                self._put(operator, self._place(operator))
            else:  # the kernel stands where its last product does: by then all that it reads has been made
                waiting.setdefault(region, []).append(operator)
                if operator.name == region:
                    for inner in waiting[region]:
                        self._put(inner, len(self.open) - (inner is not waiting[region][0]))
                    self.open[-1].attention = True
        for number in range(len(self.open) - 1 if self.fused else 0):
            self._sink(number)
        return (self._kernel(kernel) for kernel in self.open)

    def _sink(self, number: int) -> None:
        """Hand operators behind a product on to the one kernel that reads them, where what they read is there too."""
        kernel = self.open[number]
        for operator in reversed(kernel.operators if kernel.compute is Compute.SYSTOLIC else []):
            readers = {self.home[out.tensor] for out in self._read_by(operator)}
            inside = {each.name for each in kernel.operators if each is not operator}
            inputs = [feed.root for feed in self._feeds(operator) if self.home.get(feed.root) == number]
            outputs = [operand.tensor for operand in operator.outputs]
            stays = any(self._is_kept(tensor) for tensor in outputs) or not _is_simd(operator)
            if stays or len(readers) != 1 or not all(self._leaves(root, inside) for root in inputs):
                continue
            target = readers.pop()
            if target > number and self.open[target].compute is Compute.SIMD:
                kernel.operators.remove(operator)
                self._put(operator, target)

    def _read_by(self, operator: Operator) -> Iterator[Operand]:
        """A result of every operator that reads those of `operator`, seen through layouts."""
        for name in self._readers(operator):
            reader = self.graph.by_name[name]
            if self.moved.get(reader.outputs[0].tensor) is reader:
                yield from self._read_by(reader)
            else:
                yield reader.outputs[0]

    def _is_view(self, operator: Operator) -> bool:
        spec = SPECS[operator.kind]
        if spec.compute is not Compute.MOVE or spec.gathers:
            return False
        if not self.fused:
            return operator.kind in _VIEWS
        return bool(self._readers(operator)) or all(self._role(operand) in _KEPT for operand in operator.outputs)

    def _readers(self, operator: Operator) -> list[str]:
        consumers = self.graph.consumers
        return [name for out in operator.outputs for name in consumers.get(out.tensor, ()) if name in self.here]

    def _place(self, operator: Operator) -> int:
        """The kernel that this operator goes on in; one more than there are for a new one."""
        new = len(self.open)
        spec = SPECS[operator.kind]
        if not self.fused or spec.compute in (Compute.COLLECTIVE, Compute.MOVE):
            return new
        if spec.compute is Compute.SYSTOLIC:
            return self._twin(operator, new)
        makers = [self.home[feed.root] for feed in self._feeds(operator) if feed.root in self.home]
        latest = max(makers, default=new)  # all other inputs come from earlier kernels: no circle
        if latest == new or self.open[latest].compute is Compute.COLLECTIVE:
            return new
        row_wise = spec.reduces or spec.passes > 1
        return new if row_wise and self.open[latest].compute is Compute.SYSTOLIC else latest

    def _twin(self, operator: Operator, new: int) -> int:
        """A kernel whose product has the same activation and another weight of the same depth."""
        if self._weights(operator) != 1:
            return new
        sizes = _product(self.graph, operator)
        for number, kernel in enumerate(self.open):
            other = kernel.operators[0]
            if kernel.compute is Compute.SYSTOLIC and not kernel.attention and self._weights(other) == 1:
                theirs = _product(self.graph, other)
                same = (theirs.batch, theirs.m, theirs.k, theirs.dtype) == (sizes.batch, sizes.m, sizes.k, sizes.dtype)
                if same and other.inputs[0].tensor == operator.inputs[0].tensor:
                    return number
        return new

    def _weights(self, operator: Operator) -> int:
        return sum(self._role(operand) is Role.WEIGHT for operand in operator.inputs[1:2])

    def _role(self, operand: Operand) -> Role:
        return self.graph.tensors[operand.tensor].role

    def _put(self, operator: Operator, number: int) -> None:
        if number == len(self.open):
            self.open.append(_Open(compute=SPECS[operator.kind].compute))
        self.open[number].operators.append(operator)
        if operator.kind == "kv_append":  # its readers find the past and the new entries where they lie
            self.moved |= {operand.tensor: operator for operand in operator.outputs}
            return
        self.home |= {operand.tensor: number for operand in operator.outputs}

    def _feeds(self, operator: Operator) -> list[Feed]:
        inputs = operator.inputs[1:] if operator.kind == "kv_append" else operator.inputs
        return [feed for operand in inputs for feed in resolve(self.graph, operand, self.moved)]

    def _kernel(self, kernel: _Open) -> Kernel:
        operators = kernel.operators
        made = {operand.tensor for operator in operators for operand in operator.outputs}
        return Kernel(
            name=_title(operators),
            block=self.block.name,
            repeats=self.block.repeats,
            operators=tuple(operator.name for operator in operators),
            products=tuple(_merged(self.graph, operators, kernel.attention)),
            attention=kernel.attention,
            exchange=self._exchange(operators[0]),
            vector_work=sum(SPECS[each.kind].points_ops * points(each) for each in operators if _is_simd(each)),
            special_work=sum(SPECS[each.kind].tail_ops * points(each) for each in operators if _is_simd(each)),
            read=self._read(kernel, made),
            written=self._written(operators, made),
        )

    def _exchange(self, operator: Operator) -> Exchange | None:
        if SPECS[operator.kind].compute is not Compute.COLLECTIVE:
            return None
        participants = operator.attributes["participants"]
        assert isinstance(participants, int)
        size = sum(self.graph.tensors[operand.tensor].bytes for operand in operator.outputs)
        return Exchange(kind=operator.kind, participants=participants, size=Bytes(size))

    def _read(self, kernel: _Open, made: set[str]) -> int:
        """What comes from memory: every tensor once, as far as it is needed; a gather reads what it finds."""
        most: dict[str, int] = {}
        parts: dict[tuple[str, tuple[str, ...]], int] = {}
        for operator in kernel.operators:
            limit = sum(self.graph.tensors[operand.tensor].bytes for operand in operator.outputs)
            moves = SPECS[operator.kind].compute is Compute.MOVE
            for feed in self._feeds(operator):
                tensor = self.graph.tensors[feed.root]
                if feed.root in made or (kernel.attention and tensor.role is Role.CONSTANT):
                    continue  # fused attention works masks out from positions
                most[feed.root] = tensor.bytes
                size = min(feed.size, limit) if moves else feed.size
                key = feed.root, feed.labels
                parts[key] = max(parts.get(key, 0), size)
        read = dict.fromkeys(most, 0)
        for (root, _), size in parts.items():
            read[root] += size
        return sum(min(size, most[root]) for root, size in read.items())

    def _written(self, operators: list[Operator], made: set[str]) -> int:
        """What a kernel after this one reads, the next repeat gets, or memory keeps."""
        inside = {operator.name for operator in operators}
        if operators[0].kind == "kv_append":  # in place: the new entries
            return self.graph.tensors[operators[0].inputs[1].tensor].bytes
        return sum(self.graph.tensors[tensor].bytes for tensor in made if self._leaves(tensor, inside))

    def _is_kept(self, tensor: str) -> bool:
        return (
            tensor in self.carried
            or self.graph.tensors[tensor].role in _KEPT
            or any(name not in self.here for name in self.graph.consumers.get(tensor, ()))
        )

    def _leaves(self, tensor: str, inside: set[str]) -> bool:
        if self._is_kept(tensor):
            return True
        for name in self.graph.consumers.get(tensor, ()):
            reader = self.graph.by_name[name]
            through = [out.tensor for out in reader.outputs if self.moved.get(out.tensor) is reader]
            if any(self._leaves(out, inside) for out in through) or (name not in inside and not through):
                return True
        return False


def _is_simd(operator: Operator) -> bool:
    return SPECS[operator.kind].compute is Compute.SIMD


def _title(operators: list[Operator]) -> str:
    """The operator that says best what a kernel does: the first product, else the last one."""
    products = [each.name for each in operators if SPECS[each.kind].compute is Compute.SYSTOLIC]
    return (products or [operators[-1].name])[0]


def _merged(graph: OperatorGraph, operators: list[Operator], attention: bool) -> Iterator[Product]:
    """The products of a kernel; those side by side are one with the columns of all."""
    found = [_product(graph, each) for each in operators if SPECS[each.kind].compute is Compute.SYSTOLIC]
    if attention or len(found) < 2:
        yield from found
    else:
        first, *_ = found
        columns = sum(product.n for product in found)
        yield Product(batch=first.batch, m=first.m, n=columns, k=first.k, dtype=first.dtype)


def _product(graph: OperatorGraph, operator: Operator) -> Product:
    """Sizes by labels: of both operands and the result a batch, of one operand and the result rows or columns."""
    left, right = operator.inputs[-2:] if operator.kind == "baddbmm" else operator.inputs[:2]
    out = {label for operand in operator.outputs for label in operand.dims}
    both = set(left.dims) & set(right.dims)

    def extent(labels: set[str]) -> int:
        return prod(operator.dims[label] for label in labels)

    return Product(
        batch=extent(both & out),
        m=extent((set(left.dims) - both) & out),
        n=extent((set(right.dims) - both) & out),
        k=extent(set(operator.dims) - out),
        dtype=graph.tensors[left.tensor].dtype,
        visible=_visible(operator),
    )


def _visible(operator: Operator) -> float:
    """Share of (query, key) pairs below the diagonal; the last query sees all keys. 1 where a band is kept already."""
    if not operator.attributes.get("causal") or operator.attributes.get("banded"):
        return 1.0
    queries, keys = operator.dims.get("s", 1), operator.dims.get("c", 1)
    return 1.0 - (queries - 1) / (2.0 * keys) if queries <= keys else 1.0


def _attentions(graph: OperatorGraph, operators: list[Operator]) -> Mapping[str, str]:
    """Operator -> the last product of the fused attention that it is part of."""
    found: dict[str, str] = {}
    here = {operator.name for operator in operators}
    for operator in operators:
        if (
            _joins_activations(graph, operator)
            and operator.name not in found
            and (region := _region(graph, operator, here))
        ):
            found |= dict.fromkeys(region, region[-1])
    return found


def _joins_activations(graph: OperatorGraph, operator: Operator) -> bool:
    if SPECS[operator.kind].compute is not Compute.SYSTOLIC:
        return False
    return all(graph.tensors[operand.tensor].role is not Role.WEIGHT for operand in operator.inputs)


def _region(graph: OperatorGraph, first: Operator, here: set[str]) -> list[str]:
    """`first`, all that is made of its result, up to the one product that they meet in; or nothing."""
    region, last = [first.name], ""
    todo = [operand.tensor for operand in first.outputs]
    while todo:
        tensor = todo.pop()
        readers = graph.consumers.get(tensor, ())
        if graph.tensors[tensor].role in _KEPT or not readers or not here.issuperset(readers):
            return []
        for name in readers:
            reader = graph.by_name[name]
            compute = SPECS[reader.kind].compute
            if compute is Compute.SYSTOLIC and last in ("", name) and _fits(graph, reader):
                last = name
            elif compute is Compute.SIMD or (compute is Compute.MOVE and not SPECS[reader.kind].gathers):
                if name not in region:
                    region.append(name)
                    todo += [operand.tensor for operand in reader.outputs]
            else:
                return []
    return [*region, last]


def _fits(graph: OperatorGraph, operator: Operator) -> bool:
    return _joins_activations(graph, operator) and _product(graph, operator).n <= _WIDEST_ROW
