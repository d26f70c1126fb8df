"""Cut labels of operators over a group of sockets, and insert the collectives that this owes.

Tensor parallelism starts at operators that name `parallel` labels (heads, ffn, vocabulary), data and sequence
parallelism at the label of the inputs that is cut; all follow tensor axes from there: a cut label that is missing in
the output leaves partial results, which are all-reduced at once; a label that must be whole for an operator is
all-gathered in front of it (Megatron-LM, arXiv 1909.08053, found by propagation).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, gcd, prod

from rdusim.errors import LowerError
from rdusim.graph.ops import SPECS
from rdusim.graph.types import Access, Block, Operand, Operator, OperatorGraph, Role, Scalar, TensorType

MOST_PADDING = 0.01  # of an extent
MEMORY_ROLES = (Role.WEIGHT, Role.CONSTANT, Role.KV_CACHE)  # stored cut; an INPUT is given whole to every socket


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One axis of parallelism: `ways` sockets, neighbours `stride` apart, that cut `label` of the graph's inputs.

    Without a label they cut what the operators offer in `parallel`.
    """

    axis: str
    ways: int
    stride: int = 1
    label: str = ""


def shard(graph: OperatorGraph, ways: int, stride: int = 1) -> OperatorGraph:
    """The part of `graph` that one of `ways` sockets runs under tensor parallelism, collectives included.

    Raises LowerError when `ways` does not divide what has to be cut (heads, ffn width, vocabulary).
    """
    if ways == 1:
        return graph
    if problems := list(_misfits(graph, ways)):
        raise LowerError(*problems[:8], f"choose tp among the divisors that fit, e.g. {_advice(graph, ways)}")
    return _Cut(graph, Group(axis="tp", ways=ways, stride=stride)).run()


def shard_inputs(graph: OperatorGraph, group: Group) -> OperatorGraph:
    """The part of `graph` that a socket runs when the inputs are cut along `group.label`, collectives included.

    Keys and values that a socket's queries need of the others' tokens are gathered before they are copied for each
    query head; so the graph is walked twice, first to find out which. Raises LowerError where it does not divide.
    """
    if group.ways == 1:
        return graph
    extents = {operator.dims[group.label] for operator in graph.operators if group.label in operator.dims}
    short = sorted(extent for extent in extents if extent % group.ways)
    if short or not extents:
        why = f"does not divide {short[0]} of label '{group.label}'" if short else f"finds no label '{group.label}'"
        raise LowerError(f"{group.axis}={group.ways} {why} in {graph.name}")
    trial = _Cut(graph, group)
    found = trial.run()
    return _Cut(graph, group, trial.sources()).run() if trial.met else found


def divisors_that_fit(graph: OperatorGraph, sockets: int) -> Iterator[int]:
    """Ways of tensor parallelism that divide both the sockets and the model, most first."""
    for ways in range(sockets, 0, -1):
        if sockets % ways == 0 and not any(_misfits(graph, ways)):
            yield ways


def _misfits(graph: OperatorGraph, ways: int) -> Iterator[str]:
    if ways > 1 and not any(operator.parallel for operator in graph.operators):
        yield f"tp={ways}: no operator of {graph.name} names a dimension to cut (`parallel` in a YAML graph)"
    for operator in graph.operators:
        if ways > 1 and operator.parallel and not _divides(operator, graph, ways):
            extents = " x ".join(f"{label}={operator.dims[label]}" for label in operator.parallel)
            yield f"{operator.name}: tp={ways} does not divide {extents}"


def _divides(operator: Operator, graph: OperatorGraph, ways: int) -> bool:
    """Whether the labels take all ways; or are cut to single elements that several sockets keep a copy of.

    Copies are right only where another operator cuts the same label and goes on with a further one (key and value
    heads, fewer than sockets, beside the query heads they serve).
    """
    cut = _split(operator.parallel, operator.dims, ways)
    if prod(cut.values()) == ways:
        return True
    single = all(cut[label] == operator.dims[label] for label in operator.parallel)
    return single and any(
        len(other.parallel) > len(operator.parallel) and other.parallel[: len(operator.parallel)] == operator.parallel
        for other in graph.operators
    )


def _split(labels: tuple[str, ...], dims: Mapping[str, int], ways: int) -> dict[str, int]:
    """How many ways each label is cut, most significant first.

    An extent that does not divide is padded where that adds next to nothing (Megatron-LM pads the vocabulary).
    """
    cut: dict[str, int] = {}
    for label in labels:
        padded = -dims[label] % ways / dims[label] < MOST_PADDING
        cut[label] = ways if padded else gcd(dims[label], ways)
        ways //= cut[label]
    return cut


class _Cut:
    """One pass over the graph in order; lives only inside `shard`."""

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
            if label in operand.dims and self.graph.tensors[operand.tensor].role is Role.INPUT
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
            gathered = Access.RESIDENT if self.group.label else Access.STREAMED
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
        if contracted:
            self._reduce(made, spec.contraction or "sum")
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
        if operator.parallel and not self.group.label and all(by == 1 for by in ways.values()):
            ways |= _split(operator.parallel, operator.dims, self.ways)
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

    def _reduce(self, made: list[Operator], how: str) -> None:
        """Add up (or compare) what the last operator has left in parts on the sockets."""
        if how == "argmax":
            made[-1] = self._with_value(made[-1])
        sources = [operand.tensor for operand in made[-1].outputs]
        suffix = self._named("reduced")
        self._collective("all_reduce", sources, [f"{source}.{suffix}" for source in sources], made, how)
        self.renamed |= {source: f"{source}.{suffix}" for source in sources}

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
    ) -> None:
        """Tensors of one shape that travel together: `sources` on every socket become `targets` on all.

        The cache keeps a socket's own entries; other roles pass on to what all sockets then have.
        """
        tensor, cut = self.tensors[sources[0]], self.axes[sources[0]]
        labels = tuple(f"a{axis}" for axis in range(len(tensor.shape)))
        gathered = kind == "all_gather"
        for source, target in zip(sources, targets, strict=True):
            own, other = self.tensors[source].role, Role.ACTIVATION
            if not (gathered and own is Role.KV_CACHE):
                own, other = other, own
            self.tensors[target] = replace(self.tensors[source], role=other)
            self.tensors[source] = replace(self.tensors[source], role=own)
            self.axes[target] = (1,) * len(cut) if gathered else cut
        attributes: dict[str, Scalar] = {"participants": self.ways, "reduction": how}
        if self.group.stride > 1:
            attributes["stride"] = self.group.stride
        if root is not None:
            attributes["root"] = root
        if gathered:
            attributes["gathered"] = tuple(label for label, by in zip(labels, cut, strict=True) if by > 1)
        extents = zip(labels, tensor.shape, cut, strict=True)
        made.append(
            Operator(
                name=f"{targets[0]}_{kind}",
                kind=kind,
                dims={label: extent if gathered else ceil(extent / by) for label, extent, by in extents},
                inputs=tuple(Operand(tensor=source, dims=labels) for source in sources),
                outputs=tuple(Operand(tensor=target, dims=labels) for target in targets),
                attributes=attributes,
            )
        )


def _advice(graph: OperatorGraph, ways: int) -> str:
    return ", ".join(f"tp={fit}" for fit in divisors_that_fit(graph, ways))
