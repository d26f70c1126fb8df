"""The optimizer of a training step: which state it keeps, and the operators that update weights in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from rdusim.dtypes import DType, size_of
from rdusim.errors import OptionError, Problem
from rdusim.graph.types import Access, Block, BlockKind, Operand, Operator, Role, Scalar, TensorType

RECOMPUTE: Final = ("none", "selective", "full")
PRECISIONS: Final = ("mixed", "uniform")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """How a training step is run.

    `optimizer`: adamw or sgd (with momentum, unless that is 0). `precision`: mixed keeps weights narrower than fp32
    also in fp32, and the state with them; uniform keeps all in the format of the weights. `recompute`: which
    activations the backward pass computes again instead of reading them (none; selective: attention scores and
    probabilities, arXiv 2205.05198; full: all but the inputs of repeated blocks). `step`: its number, from 1.
    `micro_batches`: equal parts of a step's batch, of which the graph is one: gradients are those of their mean loss.
    """

    optimizer: str = "adamw"
    precision: str = "mixed"
    recompute: str = "none"
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    momentum: float = 0.9
    step: int = 1
    micro_batches: int = 1

    def __post_init__(self) -> None:
        """Raises OptionError for words that are none of the choices."""
        choices = (("optimizer", tuple(OPTIMIZERS)), ("precision", PRECISIONS), ("recompute", RECOMPUTE))
        problems = [
            Problem(
                field=f"--{name}", message=f"unknown value {getattr(self, name)!r}", hint=f"one of {', '.join(known)}"
            )
            for name, known in choices
            if getattr(self, name) not in known
        ]
        if problems:
            raise OptionError(*problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Method:
    """`state`: tensors kept for each weight."""

    kind: str
    state: Callable[[TrainOptions], tuple[str, ...]]
    attributes: Callable[[TrainOptions], dict[str, Scalar]]


def _adamw(options: TrainOptions) -> dict[str, Scalar]:
    return {
        "learning_rate": options.learning_rate, "weight_decay": options.weight_decay, "beta1": options.beta1,
        "beta2": options.beta2, "eps": options.eps, "step": options.step,
    }  # fmt: skip


def _sgd(options: TrainOptions) -> dict[str, Scalar]:
    return {
        "learning_rate": options.learning_rate, "weight_decay": options.weight_decay, "momentum": options.momentum,
    }  # fmt: skip


OPTIMIZERS: Final[Mapping[str, _Method]] = MappingProxyType(
    {
        "adamw": _Method(kind="adamw_step", state=lambda _: ("mean", "square"), attributes=_adamw),
        "sgd": _Method(
            kind="sgd_step", state=lambda options: ("momentum",) if options.momentum else (), attributes=_sgd
        ),
    }
)


def update(
    block: Block,
    weights: Sequence[Operand],
    gradients: Mapping[str, str],
    tensors: dict[str, TensorType],
    options: TrainOptions,
) -> tuple[Block, list[Operator]]:
    """The block that updates `weights` of `block`, and its operators: one for each weight, as PyTorch's fused ones.

    State and results are added to `tensors`; results take the places of what they update (`Block.updated`).
    """
    name = f"{block.name}.optimizer"
    updated: dict[str, str] = {}
    operators = []
    for weight in weights:
        operator, places = _step(name, weight, gradients[weight.tensor], tensors, options)
        operators.append(operator)
        updated |= places
    names = tuple(operator.name for operator in operators)
    made = Block(
        name=name, operators=names, repeats=block.repeats, updated=updated, kind=BlockKind.UPDATE, of=block.name
    )
    return made, operators


def _step(
    block: str, weight: Operand, gradient: str, tensors: dict[str, TensorType], options: TrainOptions
) -> tuple[Operator, dict[str, str]]:
    method, kind = OPTIMIZERS[options.optimizer], tensors[weight.tensor]
    wide: DType = "fp32" if options.precision == "mixed" and size_of(kind.dtype) < size_of("fp32") else kind.dtype
    state = [f"{weight.tensor}.{name}" for name in method.state(options)]
    tensors |= {name: replace(kind, dtype=wide, role=Role.OPTIMIZER) for name in state}
    places = [weight.tensor, *state]
    if wide != kind.dtype:
        master = f"{weight.tensor}.master"
        tensors[master] = replace(kind, dtype=wide, role=Role.OPTIMIZER)
        places = [master, *state, weight.tensor]
    updated = {f"{place}.updated": place for place in places}
    tensors |= {name: tensors[place] for name, place in updated.items()}

    def operand(tensor: str) -> Operand:
        return Operand(tensor=tensor, dims=weight.dims, access=Access.STREAMED)

    operator = Operator(
        name=f"{block}/{weight.tensor.partition('/')[2]}",
        kind=method.kind,
        dims=dict(zip(weight.dims, kind.shape, strict=True)),
        inputs=tuple(operand(tensor) for tensor in (gradient, *places[: 1 + len(state)])),
        outputs=tuple(operand(tensor) for tensor in updated),
        attributes=method.attributes(options),
    )
    return operator, updated
