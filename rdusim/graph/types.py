"""The model, machine-independent: operators over named dimensions, tensors, and blocks that repeat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from math import ceil, prod
from typing import TYPE_CHECKING

from rdusim.dtypes import DType, size_of
from rdusim.units import Bytes

if TYPE_CHECKING:
    import networkx as nx


class Phase(StrEnum):
    """What a run does with its tokens: read a prompt, make the next token of each sequence, or learn from them."""

    PREFILL = "prefill"
    DECODE = "decode"
    TRAIN = "train"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunShape:
    """How much runs at once. `context_tokens`: KV-cache length at the end of the step, the current tokens included.

    Prefill: query_tokens == context_tokens == prompt length. Decode: query_tokens == 1.
    Mixtures of experts: `routing_skew` is the exponent of Zipf's law for how popular experts are (0: all alike);
    `expert_groups` share out the experts (expert parallelism), and shapes are those of the busiest group;
    `full_routing` makes room for every expert and token instead of the expected ones: nothing is ever dropped.
    """

    phase: Phase
    batch: int
    query_tokens: int
    context_tokens: int
    dtype: DType = "bf16"
    routing_skew: float = 0.0
    expert_groups: int = 1
    full_routing: bool = False


class Role(StrEnum):
    """What a tensor is to memory."""

    INPUT = "input"  # comes from outside each time (token ids)
    WEIGHT = "weight"  # read-only; inside a repeated block every repeat has its own
    CONSTANT = "constant"  # read-only table shared by all repeats (rotary cosines, ALiBi slopes, masks)
    KV_CACHE = "kv_cache"  # without producer: the cached past; with producer: the entries this step appends
    ACTIVATION = "activation"
    SAVED = "saved"  # an activation that the backward pass reads again; every repeat has its own
    GRADIENT = "gradient"  # of a weight; every repeat has its own
    OPTIMIZER = "optimizer"  # state that a training step reads and writes (moments, master weights)
    OUTPUT = "output"  # leaves the graph


OWN_PER_REPEAT = (Role.WEIGHT, Role.KV_CACHE, Role.SAVED, Role.GRADIENT, Role.OPTIMIZER)  # in a repeated block


class Access(StrEnum):
    """How an operator reads an operand (design/model.md, 'From graph to sections')."""

    STREAMED = "streamed"  # tile by tile, in order
    RESIDENT = "resident"  # the whole operand is there while tiles of the others pass
    GATHERED = "gathered"  # by index


class Compute(StrEnum):
    """Which hardware does an operator's work."""

    SYSTOLIC = "systolic"
    SIMD = "simd"
    MOVE = "move"  # layout only: transpose, slice, concatenate, expand; folded into a buffer's access when fused
    COLLECTIVE = "collective"


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorType:
    """Shape, number format and role of a tensor. For repeated blocks: of one repeat.

    `density`: the share of elements that are not zero. A sparse tensor is kept as these values in order and a bit for
    every element that says whether it is one of them.
    """

    shape: tuple[int, ...]
    dtype: DType
    role: Role = Role.ACTIVATION
    density: float = 1.0

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def bytes(self) -> Bytes:
        if self.density == 1.0:
            return Bytes(self.elements * size_of(self.dtype))
        return Bytes(ceil(self.elements * self.density) * size_of(self.dtype) + ceil(self.elements / 8))


@dataclass(frozen=True, slots=True, kw_only=True)
class Operand:
    """A tensor as an operator sees it: one dimension label per axis."""

    tensor: str
    dims: tuple[str, ...]
    access: Access = Access.STREAMED


Scalar = int | float | str | bool | tuple[int, ...] | tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One operator of PyTorch granularity.

    `dims` is the iteration space: label -> extent. A label of no output is contracted (reduced).
    `parallel` lists labels that tensor parallelism may cut here, most significant first (heads, ffn, vocabulary):
    empty means this operator starts no sharding, it only follows its inputs. `module`: the module or function of the
    model's code that it is part of, where that is more than one operator (a norm, scaled dot-product attention).
    """

    name: str
    kind: str
    dims: Mapping[str, int]
    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]
    attributes: Mapping[str, Scalar] = field(default_factory=dict)
    parallel: tuple[str, ...] = ()
    module: str = ""

    @property
    def call(self) -> str:
        """The module or function that runs it: its own name, where it is one by itself."""
        return self.module or self.name


class BlockKind(StrEnum):
    """What a block is to a training step. A last block's way back is among its own operators, behind the loss."""

    FORWARD = "forward"
    BACKWARD = "backward"
    UPDATE = "update"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A run of operators that is executed `repeats` times in a row.

    `carried`: for repeats > 1, output tensor -> input tensor of the next repeat (the first repeat gets that input
    from outside). `updated`: output tensor -> weight or state without producer whose place in memory it takes.
    `backwards`: the first repeat has the weights and saved tensors of the last one of other blocks, and so on.
    `of`: the forward block that a backward block leads back through, or whose weights an update changes.
    """

    name: str
    operators: tuple[str, ...]
    repeats: int = 1
    carried: Mapping[str, str] = field(default_factory=dict)
    updated: Mapping[str, str] = field(default_factory=dict)
    backwards: bool = False
    kind: BlockKind = BlockKind.FORWARD
    of: str = ""

    @property
    def owner(self) -> str:
        """The forward block that it belongs to: itself, or the one that it is `of`."""
        return self.of or self.name

    def own(self, repeat: int) -> int:
        """Which of the tensors that every repeat has for itself a repeat has."""
        return self.repeats - 1 - repeat if self.backwards else repeat


@dataclass(frozen=True, kw_only=True)
class OperatorGraph:
    """Operators in topological order, the tensors they name, and the blocks that partition them, in order.

    A tensor without producer is read from memory (INPUT, WEIGHT, CONSTANT, KV_CACHE); a produced tensor of role
    KV_CACHE or OUTPUT is written to memory.
    """

    name: str
    operators: tuple[Operator, ...]
    tensors: Mapping[str, TensorType]
    blocks: tuple[Block, ...]
    parameters: int = 0  # of the whole model, weights of all repeats
    unread_parameters: int = 0  # of these, what no operator of this run reads: a vision tower, in decode
    active_parameters: int = 0  # of all, what one token meets: of the experts only those it chooses
    batch: int = 1  # sequences that run at once
    tokens: int = 1  # tokens that a run produces or consumes, over the whole batch (a step of decode: batch)
    batch_label: str = ""  # the label of the inputs that counts sequences; empty: the graph does not say
    token_label: str = ""  # the one that counts a sequence's tokens

    @cached_property
    def by_name(self) -> Mapping[str, Operator]:
        return {operator.name: operator for operator in self.operators}

    @cached_property
    def producer(self) -> Mapping[str, str]:
        """Tensor -> operator that makes it."""
        return {operand.tensor: operator.name for operator in self.operators for operand in operator.outputs}

    @cached_property
    def consumers(self) -> Mapping[str, tuple[str, ...]]:
        """Tensor -> operators that read it, in order."""
        found: dict[str, list[str]] = {}
        for operator in self.operators:
            for operand in operator.inputs:
                readers = found.setdefault(operand.tensor, [])
                if operator.name not in readers:
                    readers.append(operator.name)
        return {tensor: tuple(names) for tensor, names in found.items()}

    @cached_property
    def digraph(self) -> nx.DiGraph[str]:
        """Operators as nodes, tensors as edges (attribute `tensor`)."""
        import networkx as nx

        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_nodes_from(operator.name for operator in self.operators)
        for tensor, readers in self.consumers.items():
            if (maker := self.producer.get(tensor)) is not None:
                graph.add_edges_from((maker, reader, {"tensor": tensor}) for reader in readers)
        return graph
