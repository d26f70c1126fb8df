"""Writes a graph down operator by operator, so that a model's file reads like its modeling_*.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod

from rdusim.dtypes import DType
from rdusim.graph.ops import SPECS
from rdusim.graph.types import (
    Access,
    Block,
    Compute,
    Operand,
    Operator,
    OperatorGraph,
    Phase,
    Role,
    RunShape,
    Scalar,
    TensorType,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A tensor with the labels under which the next operator sees it."""

    tensor: str
    dims: tuple[str, ...]
    dtype: DType
    fixed: bool = False  # a weight or a constant: the operand that waits while others pass

    def labelled(self, dims: str) -> Value:
        """The same tensor seen with other labels, one per axis."""
        return replace(self, dims=tuple(dims.split()))


def default_access(kind: str, operands: Sequence[tuple[tuple[str, ...], bool]]) -> tuple[Access, ...]:
    """How operands (labels, weight or constant) are read when nobody says otherwise.

    A gather indexes its first. A matrix product streams its first activation past the rest. Others stream what has
    every label of the widest operand and hold what is broadcast.
    """
    spec = SPECS[kind]
    if spec.gathers and spec.compute is Compute.SYSTOLIC:
        return (Access.GATHERED, Access.STREAMED, *(Access.RESIDENT for _ in operands[2:]))
    if spec.gathers:
        return (Access.GATHERED, *(Access.STREAMED for _ in operands[1:]))
    if spec.compute is Compute.MOVE:
        return tuple(Access.STREAMED for _ in operands)
    if spec.compute is Compute.SYSTOLIC:
        streamed = next((index for index, (_, fixed) in enumerate(operands) if not fixed), 0)
        return tuple(Access.STREAMED if index == streamed else Access.RESIDENT for index in range(len(operands)))
    labels = {label for dims, _ in operands for label in dims}
    widest = max((len(set(dims)) for dims, _ in operands), default=0)
    return tuple(
        Access.STREAMED if labels <= set(dims) or len(set(dims)) == widest else Access.RESIDENT for dims, _ in operands
    )


class GraphBuilder:
    """Collects one graph. `extents` holds the extent of every label; a label means one extent in the whole model.

    Names are `<block>/<operator>`; an operator's result is a tensor of the same name.
    """

    def __init__(self, name: str, shape: RunShape, extents: Mapping[str, int]) -> None:
        self.name = name
        self.shape = shape
        self.dtype: DType = shape.dtype
        self.extents = extents
        self.parameters = 0
        self.active_parameters = 0
        self._operators: list[Operator] = []
        self._tensors: dict[str, TensorType] = {}
        self._blocks: list[Block] = []
        self._block = ""
        self._part = ""
        self._repeats = 1
        self._filled: float | None = None
        self._module = ""

    @contextmanager
    def module(self, name: str) -> Iterator[None]:
        """Operators added inside are parts of one module or function of the model's code; the outermost counts."""
        outer, self._module = self._module, self._module or self._named(name)
        yield
        self._module = outer

    @contextmanager
    def slots(self, filled: float) -> Iterator[None]:
        """Operators added inside go over slots, which tokens fill to this share: above 1 where the slots are too few.

        Their attribute `filled` is what the slots of all sockets would have to be multiplied by to be the tokens'.
        """
        self._filled = filled
        yield
        self._filled = None

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Names inside are `<block>/<part>.<operator>`: one of the layers that a block consists of."""
        self._part = f"{name}."
        yield
        self._part = ""

    @contextmanager
    def block(self, name: str, repeats: int = 1) -> Iterator[dict[str, str]]:
        """Operators added inside belong to the block; fill the yielded mapping with what is carried (out -> in)."""
        first = len(self._operators)
        carried: dict[str, str] = {}
        self._block, self._repeats = name, repeats
        yield carried
        names = tuple(operator.name for operator in self._operators[first:])
        self._blocks.append(Block(name=name, operators=names, repeats=repeats, carried=carried if repeats > 1 else {}))
        self._block, self._repeats = "", 1

    def input(self, name: str, dims: str, dtype: DType) -> Value:
        return self._tensor(name, dims, dtype, Role.INPUT)

    def constant(self, name: str, dims: str, dtype: DType) -> Value:
        """A read-only table, the same for all repeats; asked for twice, it is the same tensor."""
        return self._tensor(name, dims, dtype, Role.CONSTANT)

    def weight(self, name: str, dims: str, density: float = 1.0, used: tuple[int, int] = (1, 1)) -> Value:
        """`used`: the share of it that one token meets, as (part, whole)."""
        value = self._add_tensor(self._named(name), tuple(dims.split()), self.dtype, Role.WEIGHT, density)
        elements = self._repeats * prod(self.extents[label] for label in value.dims)
        self.parameters += elements
        self.active_parameters += elements * used[0] // used[1]
        return value

    def past(self, name: str, dims: str) -> Value:
        """Cached entries of earlier steps."""
        return self._tensor(self._named(name), dims, self.dtype, Role.KV_CACHE)

    def op(
        self,
        kind: str,
        name: str,
        inputs: Sequence[Value],
        out: str | None = None,
        *,
        dtype: DType | None = None,
        role: Role = Role.ACTIVATION,
        parallel: tuple[str, ...] = (),
        attributes: Mapping[str, Scalar] | None = None,
    ) -> Value:
        """Add an operator; without `out` the result has the labels of the first input, without `dtype` its format."""
        dims = out if out is not None else " ".join(inputs[0].dims)
        results = {"": (dims, dtype or inputs[0].dtype)}
        return self.several(kind, name, inputs, results, role=role, parallel=parallel, attributes=attributes)[0]

    def several(
        self,
        kind: str,
        name: str,
        inputs: Sequence[Value],
        outs: Mapping[str, tuple[str, DType]],
        *,
        role: Role = Role.ACTIVATION,
        parallel: tuple[str, ...] = (),
        attributes: Mapping[str, Scalar] | None = None,
    ) -> list[Value]:
        """Add an operator with results `<name><key>` of these labels and formats."""
        name = self._named(name)
        results = [
            self._add_tensor(f"{name}{key}", tuple(dims.split()), dtype, role) for key, (dims, dtype) in outs.items()
        ]
        labels = dict.fromkeys(label for value in (*results, *inputs) for label in value.dims)
        access = default_access(kind, [(value.dims, value.fixed) for value in inputs])
        self._operators.append(
            Operator(
                name=name,
                kind=kind,
                dims={label: self.extents[label] for label in labels},
                inputs=tuple(
                    Operand(tensor=value.tensor, dims=value.dims, access=how)
                    for value, how in zip(inputs, access, strict=True)
                ),
                outputs=tuple(Operand(tensor=value.tensor, dims=value.dims) for value in results),
                attributes={**(attributes or {}), **({} if self._filled is None else {"filled": self._filled})},
                parallel=parallel,
                module=self._module,
            )
        )
        return results

    def cast(self, name: str, x: Value, dtype: DType) -> Value:
        """Change the number format; PyTorch launches nothing when it is that format already."""
        return x if x.dtype == dtype else self.op("cast", name, [x], dtype=dtype, attributes={"to": dtype})

    def linear(
        self,
        name: str,
        x: Value,
        weight: str,
        out: str,
        *,
        bias: str | None = None,
        parallel: tuple[str, ...] = (),
        partial: bool = False,
        sparsity: float = 0.0,
    ) -> Value:
        """x times a weight with labels `weight`, plus a bias with labels `bias`.

        `partial`: this weight follows a sharded input, so that sockets hold partial sums; the bias is then an operator
        of its own behind them, or it would be added once per socket.
        """
        attributes: Mapping[str, Scalar] = {"sparsity": sparsity} if sparsity else {}
        inputs = [x, self.weight(f"{name}.weight", weight, 1.0 - sparsity)]
        if bias is not None and not partial:
            inputs.append(self.weight(f"{name}.bias", bias))
        result = self.op("linear", name, inputs, out, dtype=self.dtype, parallel=parallel, attributes=attributes)
        if bias is not None and partial:
            result = self.op("add", f"{name}.add_bias", [result, self.weight(f"{name}.bias", bias)])
        return result

    def finish(self) -> OperatorGraph:
        shape = self.shape
        return OperatorGraph(
            name=self.name,
            operators=tuple(self._operators),
            tensors=self._tensors,
            blocks=tuple(self._blocks),
            parameters=self.parameters,
            active_parameters=self.active_parameters,
            batch=shape.batch,
            tokens=shape.batch * (1 if shape.phase is Phase.DECODE else shape.query_tokens),
            batch_label="b",
            token_label="s",
        )

    def _named(self, name: str) -> str:
        return f"{self._block}/{self._part}{name}"

    def _tensor(self, name: str, dims: str, dtype: DType, role: Role) -> Value:
        return self._add_tensor(name, tuple(dims.split()), dtype, role)

    def _add_tensor(self, name: str, dims: tuple[str, ...], dtype: DType, role: Role, density: float = 1.0) -> Value:
        known = self._tensors.get(name)
        shape = tuple(self.extents[label] for label in dims)
        tensor = TensorType(shape=shape, dtype=dtype, role=role, density=density)
        assert known is None or (known == tensor and role is Role.CONSTANT), f"tensor {name} is made twice"
        self._tensors[name] = tensor
        return Value(tensor=name, dims=dims, dtype=dtype, fixed=role in (Role.WEIGHT, Role.CONSTANT))
