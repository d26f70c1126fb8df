"""The walk over a graph that cuts it over one group of sockets, operator by operator; see `program.shard`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, gcd, prod

from rdusim.errors import LowerError
from rdusim.graph.ops import SPECS
from rdusim.graph.types import Access, Block, Operand, Operator, OperatorGraph, Role, Scalar, TensorType

MOST_PADDING = 0.01  # of an extent
# Stored cut; an INPUT is given whole to every socket.
MEMORY_ROLES = (Role.WEIGHT, Role.CONSTANT, Role.KV_CACHE, Role.OPTIMIZER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One axis of parallelism: `ways` sockets, neighbours `stride` apart, that cut `label` of the graph's inputs.

    Without a label they cut what the operators offer in `parallel`.
    """

    axis: str
    ways: int
    stride: int = 1
    label: str = ""


def split_labels(labels: tuple[str, ...], dims: Mapping[str, int], ways: int) -> dict[str, int]:
    """How many ways each label is cut, most significant first.

    An extent that does not divide is padded where that adds next to nothing (Megatron-LM pads the vocabulary).
    """
    cut: dict[str, int] = {}
    for label in labels:
        padded = -dims[label] % ways / dims[label] < MOST_PADDING
        cut[label] = ways if padded else gcd(dims[label], ways)
        ways //= cut[label]
    return cut


class Walk:
    """One pass over the graph in order; one for each group."""

    def __init__(self, graph: OperatorGraph, group: Group, early: frozenset[str] = frozenset()) -> None:
        self.graph = graph
        self.group = group
        self.ways = group.ways
        self.early = early  # tensors that are gathered as soon as they are made
        self.met: set[str] = set()  # operands gathered because another operand's cut goes on
        self.axes: dict[str, tuple[int, ...]] = self._seeds()  # tensor -> ways each axis is cut
        self.tensors: dict[str, TensorType] = dict(graph.tensors)
        self.renamed: dict[str, str] = {}  # tensor -> the gathered or reduced tensor that stands for it now
        self.blocks = {name: block.name for block in graph.blocks for name in block.operators}
        self.made: dict[str, list[Operator]] = {block.name: [] for block in graph.blocks}

    def run(self) -> OperatorGraph:
        for operator in self.graph.operators:
            self._operator(operator, self.made[self.blocks[operator.name]])
        for name, cut in self.axes.items():
            tensor = self.tensors[name]
            shape = tuple(ceil(extent / by) for extent, by in zip(tensor.shape, cut, strict=True))
            self.tensors[name] = replace(tensor, shape=shape)
        blocks = tuple(self._block(block) for block in self.graph.blocks)
        operators = tuple(operator for block in self.graph.blocks for operator in self.made[block.name])
        return replace(self.graph, operators=operators, tensors=self.tensors, blocks=blocks)

    def sources(self) -> frozenset[str]:
        """What the gathered operands are copies of: the cache's entries, or what comes before any layout."""
        found = set()
        for tensor in self.met:
            while self.graph.tensors[tensor].role is Role.ACTIVATION:
                operator = self.graph.by_name[self.graph.producer[tensor]]
                if operator.kind not in ("transpose", "expand"):
                    break
                tensor = operator.inputs[0].tensor
            found.add(tensor)
        return frozenset(found)

    def _seeds(self) -> dict[str, tuple[int, ...]]:
        """Inputs that have the group's label, cut along it."""
        label, ways = self.group.label, self.group.ways
        return {
            operand.tensor: tuple(ways if axis == label else 1 for axis in operand.dims)
            for operator in self.graph.operators
            for operand in operator.inputs
            if label and label in operand.dims and self.graph.tensors[operand.tensor].role is Role.INPUT
        }

    def _block(self, block: Block) -> Block:
        names = tuple(operator.name for operator in self.made[block.name])
        carried = {self.renamed.get(out, out): self.renamed.get(into, into) for out, into in block.carried.items()}
        return replace(block, operators=names, carried=carried)

    def _operator(self, operator: Operator, made: list[Operator]) -> None:
        spec = SPECS[operator.kind]
        inputs = [
            replace(operand, tensor=self.renamed.get(operand.tensor, operand.tensor)) for operand in operator.inputs
        ]
        if self._one_of_many(operator, inputs[0]):
            self._hand_round(operator, inputs[0], made)
            return
        whole = set(spec.whole(operator))
        for at, operand in enumerate(inputs):
            cut = self.axes.get(operand.tensor)
            if cut and any(by > 1 and label in whole for label, by in zip(operand.dims, cut, strict=True)):
                inputs[at] = replace(operand, tensor=self._gather(operand, made))
        ways = self._label_ways(operator, inputs)
        if prod(ways.values()) > self.ways:  # two cuts meet that no socket can hold together
            # Keep the cut that the operator's own weights started, or the one that the inputs started.
            gathered = Access.STREAMED if self.group.axis == "tp" else Access.RESIDENT
            for at, operand in enumerate(inputs):
                if any(by > 1 for by in self.axes.get(operand.tensor, ())) and operand.access is gathered:
                    self.met.add(operator.inputs[at].tensor)
                    inputs[at] = replace(operand, tensor=self._gather(operand, made))
            ways = self._label_ways(operator, inputs)
        for operand in inputs:
            self._store_cut(operand, ways)
        contracted = {label for label, by in ways.items() if by > 1} - {
            label for operand in operator.outputs for label in operand.dims
        }
        dims = {label: ceil(extent / ways.get(label, 1)) for label, extent in operator.dims.items()}
        for operand in operator.outputs:
            self.axes[operand.tensor] = tuple(ways.get(label, 1) for label in operand.dims)
        made.append(replace(operator, dims=dims, inputs=tuple(inputs)))
        for participants, apart in self._members(operator, ways, contracted):
            self._reduce(made, spec.contraction or "sum", participants, apart)
        for operand in operator.outputs:
            if operand.tensor in self.early:
                self.renamed[operand.tensor] = self._gather(operand, made)

    def _one_of_many(self, operator: Operator, operand: Operand) -> bool:
        """Whether a slice takes one element of a cut axis (the last token): one socket has it."""
        cut, axis = self.axes.get(operand.tensor, ()), operator.attributes.get("axis")
        if operator.kind != "slice" or axis not in operand.dims or not cut or cut[operand.dims.index(str(axis))] == 1:
            return False
        new = [label for label in operator.outputs[0].dims if label not in operand.dims]
        return all(operator.dims[label] == 1 for label in new)

    def _hand_round(self, operator: Operator, operand: Operand, made: list[Operator]) -> None:
        """The socket that has the element sends it to the others; what they slice meanwhile is overwritten."""
        axis, (out,) = str(operator.attributes["axis"]), operator.outputs
        part, start = operator.dims[axis] // self.ways, operator.attributes.get("start", 0)
        assert isinstance(start, int)
        cut = dict(zip(operand.dims, self.axes[operand.tensor], strict=True))
        dims = {label: ceil(extent / cut.get(label, 1)) for label, extent in operator.dims.items()}
        own = {**operator.attributes, "start": start % part}
        made.append(replace(operator, dims=dims, inputs=(operand,), attributes=own))
        self.axes[out.tensor] = tuple(1 if label == axis else cut.get(label, 1) for label in out.dims)
        handed = f"{out.tensor}.{self.group.axis}_broadcast"
        self._collective("broadcast", [out.tensor], [handed], made, root=start // part)
        self.renamed[out.tensor] = handed

    def _label_ways(self, operator: Operator, inputs: list[Operand]) -> dict[str, int]:
        ways: dict[str, int] = {}
        for operand in inputs:
            if self.tensors[operand.tensor].role in MEMORY_ROLES and operand.tensor not in self.axes:
                continue
            for label, by in zip(operand.dims, self.axes.get(operand.tensor, (1,) * len(operand.dims)), strict=True):
                ways[label] = max(ways.get(label, 1), by)
        if operator.parallel and self.group.axis == "tp" and all(by == 1 for by in ways.values()):
            ways |= split_labels(operator.parallel, operator.dims, self.ways)
        label = self.group.label
        if operator.kind == "expand" and label in operator.dims and label not in inputs[0].dims:
            ways[label] = self.ways  # copies for all sequences, of which a socket has its own only
        return ways

    def _store_cut(self, operand: Operand, ways: Mapping[str, int]) -> None:
        """A weight or cache seen for the first time is kept cut like the operator that reads it."""
        role = self.tensors[operand.tensor].role
        if role in MEMORY_ROLES and operand.tensor not in self.axes:
            shape = self.tensors[operand.tensor].shape
            fits = tuple(
                ways.get(label, 1) if extent >= ways.get(label, 1) else 1
                for label, extent in zip(operand.dims, shape, strict=True)
            )
            self.axes[operand.tensor] = fits

    def _named(self, what: str) -> str:
        """Groups may gather or reduce the same tensor one after the other."""
        return what if self.group.axis == "tp" else f"{self.group.axis}_{what}"

    def _gather(self, operand: Operand, made: list[Operator]) -> str:
        whole = f"{operand.tensor}.{self._named('gathered')}"
        if whole not in self.tensors:
            self._collective("all_gather", [operand.tensor], [whole], made)
        return whole

    def _members(
        self, operator: Operator, ways: Mapping[str, int], contracted: Collection[str]
    ) -> Iterator[tuple[int, int]]:
        """Sockets that hold parts of one sum, as (participants, distance); several where one follows the other.

        Labels are cut the first one first (`OperatorGraph` after sharding): neighbours differ in the last label, or
        hold copies where not all ways are taken. Only sockets that differ in contracted labels add up.
        """
        order = dict.fromkeys([*operator.outputs[0].dims, *operator.dims])
        apart, members, last = self.ways, 1, 1
        for label in (label for label in order if ways.get(label, 1) > 1):
            apart //= ways[label]
            if label in contracted:
                members, last = members * ways[label], apart
            elif members > 1:
                yield members, last
                members = 1
        if members > 1:
            yield members, last

    def _reduce(self, made: list[Operator], how: str, participants: int, apart: int) -> None:
        """Add up (or compare) what the last operator has left in parts on the sockets."""
        if how == "argmax":
            made[-1] = self._with_value(made[-1])
        sources = [operand.tensor for operand in made[-1].outputs]
        targets = [f"{source}.{self._named('reduced')}" for source in sources]
        after = self._scattered(made[-1], participants)
        kind = "reduce_scatter" if after else "all_reduce"
        self._collective(
            kind, sources, targets, made, how, participants=participants, apart=apart, after=after, module=made[-1].call
        )
        self.renamed |= dict(zip(sources, targets, strict=True))
        self.renamed |= {tensor: self.renamed[now] for tensor, now in self.renamed.items() if now in self.renamed}

    def _scattered(self, operator: Operator, participants: int) -> tuple[int, ...]:
        """How the sum is cut if the operator asks for parts of it (attribute `scatter`); nothing if it does not."""
        (out, *_), label = operator.outputs, operator.attributes.get("scatter")
        if label is None:
            return ()
        if label not in out.dims or operator.dims[str(label)] % participants:
            extents = ", ".join(f"{name}={operator.dims[name]}" for name in out.dims)
            raise LowerError(f"{operator.name}: {participants} sockets cannot scatter along {label} of {extents}")
        return tuple(participants if axis == label else 1 for axis in out.dims)

    def _with_value(self, operator: Operator) -> Operator:
        """An arg-max of a part: indices of different sockets can be compared only by the values they stand for."""
        (index,), (x,) = operator.outputs, operator.inputs
        value = f"{index.tensor}.value"
        self.tensors[value] = replace(
            self.tensors[index.tensor], dtype=self.tensors[x.tensor].dtype, role=Role.ACTIVATION
        )
        self.axes[value] = self.axes[index.tensor]
        return replace(operator, outputs=(index, replace(index, tensor=value)))

    def _collective(
        self,
        kind: str,
        sources: Sequence[str],
        targets: Sequence[str],
        made: list[Operator],
        how: str = "sum",
        root: int | None = None,
        participants: int = 0,
        apart: int = 1,
        after: tuple[int, ...] = (),
        module: str = "",
    ) -> None:
        """Tensors of one shape that travel together: `sources` on every socket become `targets` on all.

        `after`: ways that each axis is cut then, if not as before. `module`: whose result they are a part of. The cache
        keeps a socket's own entries; other roles pass on to what all sockets then have.
        """
        tensor, cut = self.tensors[sources[0]], self.axes[sources[0]]
        labels = tuple(f"a{axis}" for axis in range(len(tensor.shape)))
        gathered = kind == "all_gather"
        after = after or ((1,) * len(cut) if gathered else cut)
        for source, target in zip(sources, targets, strict=True):
            own, other = self.tensors[source].role, Role.ACTIVATION
            if not (gathered and own is Role.KV_CACHE):
                own, other = other, own
            self.tensors[target] = replace(self.tensors[source], role=other)
            self.tensors[source] = replace(self.tensors[source], role=own)
            self.axes[target] = after
        attributes: dict[str, Scalar] = {"participants": participants or self.ways, "reduction": how}
        if self.group.stride * apart > 1:
            attributes["stride"] = self.group.stride * apart
        if root is not None:
            attributes["root"] = root
        changes = list(zip(labels, cut, after, strict=True))
        for name, axes in (
            ("gathered", tuple(label for label, before, now in changes if before > now)),
            ("scattered", tuple(label for label, before, now in changes if before < now)),
        ):
            if axes:
                attributes[name] = axes
        extents = zip(labels, tensor.shape, map(min, cut, after), strict=True)
        made.append(
            Operator(
                name=f"{targets[0]}_{kind}",
                kind=kind,
                dims={label: ceil(extent / by) for label, extent, by in extents},
                inputs=tuple(Operand(tensor=source, dims=labels) for source in sources),
                outputs=tuple(Operand(tensor=target, dims=labels) for target in targets),
                attributes=attributes,
                module=module,
            )
        )
