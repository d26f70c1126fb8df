"""The loss of a training step: mean cross entropy of the next tokens, and its gradient by the logits.

Written for logits that are cut along the vocabulary (Megatron-LM, arXiv 1909.08053, section 3): maximum, sum of
exponentials and the labels' logits are all that sockets exchange, and the probabilities are kept for the way back.
"""

from __future__ import annotations

from math import prod

from rdusim.graph.gradients.tape import Tape
from rdusim.graph.types import Operand, Role, Scalar, TensorType

LABELS = "labels"
LOSS = "loss"


def cross_entropy(tape: Tape, logits: Operand, micro_batches: int = 1) -> None:
    """Add loss = mean over tokens of log(sum over v of exp(x_v)) - x_label, an output, and the gradient of `logits`.

    The labels become an input of the graph. Gradient: (softmax(x) - one hot) / tokens, those of all `micro_batches`.
    """
    tokens, vocabulary = logits.dims[:-1], logits.dims[-1]
    shape = tape.tensors[logits.tensor].shape
    dtype, extents = tape.tensors[logits.tensor].dtype, dict(zip(logits.dims, shape, strict=True))
    count = prod(shape[:-1])
    tape.tensors[LABELS] = TensorType(shape=shape[:-1], dtype="int32", role=Role.INPUT)
    labels = Operand(tensor=LABELS, dims=tokens)

    def op(kind: str, name: str, inputs: list[Operand], dims: tuple[str, ...], **attributes: Scalar) -> Operand:
        return tape.emit(kind, f"{LOSS}.{name}", inputs, [(dims, dtype)], extents, attributes)[0]

    shifted = op("sub", "shift", [logits, op("max", "max", [logits], tokens)], logits.dims)
    picked = op("pick", "pick", [shifted, labels], tokens, axis=vocabulary)
    grown = op("exp_within", "exp", [shifted], logits.dims, axis=vocabulary)
    total = op("sum", "sum", [grown], tokens)
    each = op("sub", "of_tokens", [op("log", "log", [total], tokens), picked], tokens)
    found = op("mean", "mean", [each], (), count=count)
    tape.tensors[found.tensor] = TensorType(shape=(), dtype=dtype, role=Role.OUTPUT)
    probabilities = op("div", "probabilities", [grown, total], logits.dims)
    difference = op("subtract_one_hot", "gradient", [probabilities, labels], logits.dims, axis=vocabulary)
    gradient = op("div", "gradient_mean", [difference], logits.dims, scalar=count * micro_batches)
    tape.gradients[logits.tensor] = gradient.tensor
