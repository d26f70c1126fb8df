"""The backward operators of one block as they are written down: what a rule sees of an operator, and what it gives.

A gradient has the shape and number format of its tensor. Where a tensor is read several times, its gradients are
added up, as autograd does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from rdusim.dtypes import DType
from rdusim.graph.build import default_access
from rdusim.graph.types import Operand, Operator, Role, Scalar, TensorType

FIXED = (Role.WEIGHT, Role.CONSTANT)  # operands that wait while others pass


class Tape:
    """Operators of one backward block, and the gradients known so far: `gradients` is shared by all blocks.

    `wanted`: tensors of which a gradient is asked for. `renamed`: forward tensor -> the copy that is read here.
    """

    def __init__(
        self,
        block: str,
        tensors: dict[str, TensorType],
        gradients: dict[str, str],
        wanted: frozenset[str],
        renamed: Mapping[str, str],
    ) -> None:
        self.block, self.tensors, self.gradients, self.wanted, self.renamed = block, tensors, gradients, wanted, renamed
        self.operators: list[Operator] = []

    def emit(
        self,
        kind: str,
        name: str,
        inputs: Sequence[Operand],
        outputs: Sequence[tuple[tuple[str, ...], DType]],
        extents: Mapping[str, int],
        attributes: Mapping[str, Scalar] | None = None,
        parallel: tuple[str, ...] = (),
        module: str = "",
    ) -> tuple[Operand, ...]:
        """Add an operator whose results have these labels and formats; they are called like it."""
        base = name = f"{self.block}/{name}"
        number = 2
        while name in self.tensors:  # a second gradient of the same operand
            name, number = f"{base}.{number}", number + 1
        made = []
        for index, (dims, dtype) in enumerate(outputs):
            tensor = name if index == 0 else f"{name}:{index}"
            self.tensors[tensor] = TensorType(shape=tuple(extents[label] for label in dims), dtype=dtype)
            made.append(Operand(tensor=tensor, dims=dims))
        access = default_access(kind, [(each.dims, self._fixed(each.tensor)) for each in inputs])
        labels = dict.fromkeys(label for each in (*made, *inputs) for label in each.dims)
        self.operators.append(
            Operator(
                name=name,
                kind=kind,
                dims={label: extents[label] for label in labels},
                inputs=tuple(replace(each, access=how) for each, how in zip(inputs, access, strict=True)),
                outputs=tuple(made),
                attributes=attributes or {},
                parallel=parallel,
                module=module,
            )
        )
        return tuple(made)

    def _fixed(self, tensor: str) -> bool:
        return self.tensors[tensor].role in FIXED

    def add(self, tensor: str, gradient: str, dims: tuple[str, ...], name: str, module: str) -> None:
        """One more contribution to the gradient of a tensor."""
        if (known := self.gradients.get(tensor)) is None:
            self.gradients[tensor] = gradient
            return
        extents = dict(zip(dims, self.tensors[tensor].shape, strict=True))
        both = [Operand(tensor=known, dims=dims), Operand(tensor=gradient, dims=dims)]
        (total,) = self.emit("add", name, both, [(dims, self.tensors[tensor].dtype)], extents, module=module)
        self.gradients[tensor] = total.tensor


class Step:
    """One operator of the forward pass, on the way back. Rules read it and end in `give`."""

    def __init__(self, tape: Tape, operator: Operator) -> None:
        self.tape, self.operator = tape, operator
        self.gradient = Operand(
            tensor=tape.gradients[operator.outputs[0].tensor], dims=operator.outputs[0].dims
        )  # of the first result
        self._name = operator.name.partition("/")[2]

    @property
    def module(self) -> str:
        """The way back through the module that the operator is part of."""
        name = self.operator.module.partition("/")[2]
        return f"{self.tape.block}/{name}.backward" if name else ""

    @property
    def output(self) -> Operand:
        """The first result, as the forward pass made it."""
        return self._forward(self.operator.outputs[0])

    def input(self, index: int) -> Operand:
        """An operand of the forward pass."""
        return self._forward(self.operator.inputs[index])

    def wants(self, index: int) -> bool:
        """Whether anybody asks for the gradient of an operand."""
        return index < len(self.operator.inputs) and self.operator.inputs[index].tensor in self.tape.wanted

    def dtype(self, index: int) -> DType:
        return self.tape.tensors[self.operator.inputs[index].tensor].dtype

    def op(
        self,
        kind: str,
        inputs: Sequence[Operand],
        out: tuple[str, ...] | None = None,
        *,
        dtype: DType | None = None,
        attributes: Mapping[str, Scalar] | None = None,
        parallel: tuple[str, ...] = (),
        name: str = "",
    ) -> Operand:
        """Add an operator; its result has the labels and format of the first operand unless told otherwise."""
        dims = inputs[0].dims if out is None else out
        dtype = self.tape.tensors[inputs[0].tensor].dtype if dtype is None else dtype
        name = f"{self._name}.{name or kind}"
        return self.tape.emit(
            kind, name, inputs, [(dims, dtype)], self.operator.dims, attributes, parallel, self.module
        )[0]

    def scaled(self, x: Operand, scalar: float, kind: str = "mul") -> Operand:
        """x times (or, for `div`, over) a number; x itself where that changes nothing."""
        return x if scalar == 1.0 else self.op(kind, [x], attributes={"scalar": scalar})

    def give(self, index: int, gradient: Operand) -> None:
        """The gradient of an operand. Labels that the operand lacks were broadcast: they are summed over."""
        wanted, dtype = self.operator.inputs[index], self.dtype(index)
        if set(gradient.dims) != set(wanted.dims):
            assert set(wanted.dims) < set(gradient.dims), f"{self.operator.name}: {gradient.dims} for {wanted.dims}"
            gradient = self.op("sum", [gradient], wanted.dims)
        elif gradient.dims != wanted.dims:
            gradient = self.op("transpose", [gradient], wanted.dims)
        if self.tape.tensors[gradient.tensor].dtype != dtype:
            gradient = self.op("cast", [gradient], dtype=dtype, attributes={"to": dtype})
        self.tape.add(wanted.tensor, gradient.tensor, wanted.dims, f"{self._name}.add_gradients", self.module)

    def each(self, gradient: Callable[[int], Operand]) -> None:
        """`give` for every operand whose gradient is asked for."""
        for index in range(len(self.operator.inputs)):
            if self.wants(index):
                self.give(index, gradient(index))

    def _forward(self, operand: Operand) -> Operand:
        return replace(operand, tensor=self.tape.renamed.get(operand.tensor, operand.tensor))


Rule = Callable[[Step], None]
