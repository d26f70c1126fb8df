"""Does a graph, and the shape it is asked to run at, make sense? Every fault is found in one go."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import inf

from rdusim.errors import GraphError, Problem
from rdusim.graph.ops import SPECS, spec_of
from rdusim.graph.types import Compute, Operand, Operator, OperatorGraph, Phase, RunShape

LABELS = ("axis", "concat")  # attributes that name a dimension


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something wrong with one operator; whoever knows the file adds the line."""

    operator: str | None
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An operator as far as order is concerned."""

    name: str
    reads: Sequence[str]
    writes: Sequence[str]


def check_shape(shape: RunShape) -> None:
    """Raises GraphError when nothing would run, or queries would have no place in their context."""
    problems = [
        Problem(message=f"{value} is not a size", field=field, hint="a whole number of at least 1")
        for field, value in (
            ("batch", shape.batch),
            ("query_tokens", shape.query_tokens),
            ("context_tokens", shape.context_tokens),
        )
        if value < 1
    ]
    if not problems and shape.query_tokens > shape.context_tokens:
        problems.append(
            Problem(
                message=f"{shape.query_tokens} query tokens do not fit in a context of {shape.context_tokens}",
                field="context_tokens",
                hint="the context includes the query tokens",
            )
        )
    if not problems and shape.phase is Phase.TRAIN and shape.query_tokens < shape.context_tokens:
        message = "training has no cached context"
        problems.append(Problem(message=message, field="context_tokens", hint="make it query_tokens"))
    problems.extend(_routing_problems(shape))
    if problems:
        raise GraphError(*problems)


def check_experts(graph: OperatorGraph, shape: RunShape) -> None:
    """Raises GraphError when a shape says how tokens choose among experts, and the graph has none."""
    if any(operator.kind == "route" for operator in graph.operators):
        return
    problems = []
    if shape.routing_skew != 0.0:
        message = f"{graph.name} has no experts to choose among"
        problems.append(Problem(message=message, field="routing_skew", hint="leave it out"))
    if shape.expert_groups != 1:
        message = f"ep={shape.expert_groups} shares out experts, and {graph.name} has none"
        problems.append(Problem(message=message, field="expert_groups", hint="leave it out"))
    if problems:
        raise GraphError(*problems)


def check_graph(graph: OperatorGraph) -> None:
    """Raises GraphError with every fault of a graph that did not come from a file."""
    if faults := find_faults(graph):
        raise GraphError(*(Problem(message=fault.message, field=fault.operator, hint=fault.hint) for fault in faults))


def _routing_problems(shape: RunShape) -> Iterator[Problem]:
    if not 0.0 <= shape.routing_skew < inf:
        hint = "0 (all experts alike) or more, such as 0.8"
        yield Problem(message=f"{shape.routing_skew:g} is no exponent of a skew", field="routing_skew", hint=hint)
    if shape.expert_groups < 1:
        message = f"{shape.expert_groups} is not a number of groups"
        yield Problem(message=message, field="expert_groups", hint="a whole number of at least 1")


def find_faults(graph: OperatorGraph) -> list[Fault]:
    """What is wrong with a graph: names, order, kinds, shapes, blocks."""
    if not graph.operators:
        return [Fault(operator=None, message=f"graph {graph.name!r} is empty: it has no operators")]
    made = {operand.tensor for operator in graph.operators for operand in operator.outputs}
    steps = [
        Step(
            name=operator.name,
            reads=[operand.tensor for operand in operator.inputs],
            writes=[operand.tensor for operand in operator.outputs],
        )
        for operator in graph.operators
    ]
    faults = order_faults(steps, graph.tensors.keys() - made)
    for operator in graph.operators:
        faults.extend(_operator_faults(operator, graph))
    faults.extend(_block_faults(graph))
    return faults


def order_faults(steps: Sequence[Step], given: Collection[str]) -> list[Fault]:
    """Duplicate names, tensors that nobody makes, cycles, and use before a tensor is made."""
    faults: list[Fault] = []
    makers: dict[str, str] = {}
    seen: set[str] = set()
    for step in steps:
        if step.name in seen:
            faults.append(Fault(operator=step.name, message="two operators have this name"))
        seen.add(step.name)
        for tensor in step.writes:
            if tensor in makers or tensor in given:
                faults.append(Fault(operator=step.name, message=f"tensor {tensor!r} is made twice"))
            makers.setdefault(tensor, step.name)
    known = set(given)
    late: list[Fault] = []
    for step in steps:
        for tensor in dict.fromkeys(step.reads):
            if tensor in makers and tensor not in known:
                message = f"tensor {tensor!r} is used before operator {makers[tensor]!r} makes it"
                late.append(Fault(operator=step.name, message=message, hint=f"move it behind {makers[tensor]!r}"))
            elif tensor not in known:
                near = suggestion(tensor, [*given, *makers])
                faults.append(Fault(operator=step.name, message=f"tensor {tensor!r} does not exist", hint=near))
        known.update(step.writes)
    if late and (circle := _cycle(steps, makers)):
        message = f"operators wait for each other in a cycle: {' -> '.join(circle)}"
        return [*faults, Fault(operator=circle[0], message=message)]
    return [*faults, *late]


def suggestion(wrong: str, known: Iterable[str]) -> str | None:
    """The nearest known word, as a hint."""
    near = get_close_matches(wrong, [str(word) for word in known], n=1)
    return f"did you mean {near[0]!r}?" if near else None


def _cycle(steps: Sequence[Step], makers: Mapping[str, str]) -> list[str]:
    """Operators of one cycle, the first one again at the end; empty when there is none."""
    feeds = {step.name: [makers[tensor] for tensor in step.reads if tensor in makers] for step in steps}
    done: set[str] = set()
    for start in feeds:
        path: list[str] = []
        on_path: set[str] = set()
        stack: list[tuple[str, Iterator[str]]] = []
        following: str | None = start if start not in done else None
        while following is not None or stack:
            if following is not None:
                if following in on_path:
                    return [*path[path.index(following) :], following][::-1]
                path.append(following)
                on_path.add(following)
                stack.append((following, iter(feeds[following])))
            name, rest = stack[-1]
            following = next((feeder for feeder in rest if feeder not in done), None)
            if following is None:
                stack.pop()
                path.pop()
                on_path.discard(name)
                done.add(name)
    return []


def _operator_faults(operator: Operator, graph: OperatorGraph) -> Iterator[Fault]:
    if operator.kind not in SPECS:
        near = suggestion(operator.kind, SPECS)
        yield Fault(operator=operator.name, message=f"kind {operator.kind!r} is not known", hint=near)
        return
    spec, count = spec_of(operator), len(operator.inputs)
    fewest, most = spec.operands
    if not fewest <= count <= most:
        wanted = str(fewest) if fewest == most else f"{fewest} to {most}"
        yield Fault(operator=operator.name, message=f"{operator.kind} takes {wanted} inputs, not {count}")
    elif most == 2 and fewest == 1 and count == 1 and "scalar" not in operator.attributes:
        yield Fault(operator=operator.name, message=f"{operator.kind} of one input needs the attribute 'scalar'")
    for key in spec.attributes:
        if key not in operator.attributes:
            yield Fault(operator=operator.name, message=f"{operator.kind} needs the attribute {key!r}")
        elif key in LABELS and operator.attributes[key] not in operator.dims:
            wanted = f"one of {', '.join(operator.dims)}"
            message = f"{key} {operator.attributes[key]!r} is no dimension of this {operator.kind}"
            yield Fault(operator=operator.name, message=message, hint=wanted)
    for label, extent in operator.dims.items():
        if extent < 1:
            yield Fault(operator=operator.name, message=f"label {label!r} has extent {extent}", hint="at least 1")
    banded = operator.attributes.get("banded", ())
    assert isinstance(banded, tuple)
    for operand in (*operator.inputs, *operator.outputs):
        yield from _operand_faults(operator, operand, graph, banded)
    inside = {label for operand in operator.inputs for label in operand.dims}
    for label in operator.parallel:
        if label not in operator.dims:
            yield Fault(operator=operator.name, message=f"parallel label {label!r} is no dimension of this operator")
    if spec.compute in (Compute.SIMD, Compute.SYSTOLIC):
        for label in operator.outputs[0].dims:
            if label not in inside and label not in spec.whole(operator):
                yield Fault(operator=operator.name, message=f"no input of {operator.kind} has output label {label!r}")


def _operand_faults(
    operator: Operator, operand: Operand, graph: OperatorGraph, banded: tuple[object, ...]
) -> Iterator[Fault]:
    tensor = graph.tensors.get(operand.tensor)
    if tensor is None:
        return  # order_faults has said so
    if len(operand.dims) != len(tensor.shape):
        message = f"{operand.tensor}[{','.join(operand.dims)}] names {len(operand.dims)} axes, the tensor has "
        yield Fault(operator=operator.name, message=f"{message}{len(tensor.shape)}: {list(tensor.shape)}")
        return
    for label, size in zip(operand.dims, tensor.shape, strict=True):
        extent = operator.dims.get(label)
        if extent is None:
            yield Fault(operator=operator.name, message=f"label {label!r} of {operand.tensor} has no extent")
        elif extent != size and not (label in banded and extent < size):
            message = f"shapes do not fit: label {label!r} is {extent}, but {size} in {operand.tensor}"
            yield Fault(operator=operator.name, message=message)


def _block_faults(graph: OperatorGraph) -> Iterator[Fault]:
    inside = [name for block in graph.blocks for name in block.operators]
    if inside != [operator.name for operator in graph.operators]:
        yield Fault(operator=None, message="the blocks do not hold every operator once and in order")
    for block in graph.blocks:
        if block.repeats < 1:
            yield Fault(operator=None, message=f"block {block.name!r} repeats {block.repeats} times", hint="at least 1")
        for source, target in (*block.carried.items(), *block.updated.items()):
            if source not in graph.tensors or target not in graph.tensors:
                yield Fault(operator=None, message=f"block {block.name!r} carries {source} to {target}: no such tensor")
            elif graph.tensors[source].shape != graph.tensors[target].shape:
                shapes = f"{list(graph.tensors[source].shape)} to {list(graph.tensors[target].shape)}"
                yield Fault(operator=None, message=f"block {block.name!r} carries {source} to {target}: {shapes}")
