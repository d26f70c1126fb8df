"""YAML graphs: tensors with shapes, operators as one-line expressions (docs/graph-format.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from math import prod
from pathlib import Path
from typing import get_args

import yaml

from rdusim.dtypes import DType
from rdusim.graph.build import default_access
from rdusim.graph.check import Fault, Step, find_faults, order_faults, suggestion
from rdusim.graph.ops import SPECS
from rdusim.graph.readers.document import Document, Node
from rdusim.graph.readers.expression import Expression, Term, parse
from rdusim.graph.types import (
    Access,
    Block,
    Operand,
    Operator,
    OperatorGraph,
    Phase,
    Role,
    RunShape,
    Scalar,
    TensorType,
)

SCHEMA = "rdusim-graph/1"
DTYPES: tuple[DType, ...] = get_args(DType)
KEYS = ("schema", "name", "description", "dtype", "tensors", "operators", "blocks")
SYMBOLS = ("batch", "query_tokens", "context_tokens")


@dataclass(slots=True, kw_only=True)
class _Draft:
    """What the file says, before shapes are inferred."""

    name: str
    dtype: DType
    tensors: dict[str, TensorType] = field(default_factory=dict)
    results: dict[str, tuple[Role | None, DType | None, tuple[int, ...] | None]] = field(default_factory=dict)
    operators: dict[str, _Line] = field(default_factory=dict)
    symbols: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    node: Node
    expression: Expression
    dims: Mapping[str, int]
    attributes: Mapping[str, Scalar]
    parallel: tuple[str, ...]


def read_yaml(path: Path, shape: RunShape) -> OperatorGraph:
    """The graph of a file. Raises GraphError with every problem of the file, each with line and column."""
    return read_document(Document(path), path.stem, shape)


def read_document(document: Document, name: str, shape: RunShape) -> OperatorGraph:
    """The graph of a document that may be part of a larger one; `name` where it says none."""
    top = document.mapping(document.root, "graph", KEYS)
    schema = document.text(top["schema"], "schema") if "schema" in top else ""
    if schema != SCHEMA:
        hint = f"the first key is 'schema: {SCHEMA}'"
        document.wrong(top.get("schema", document.root), f"{schema!r} is not a schema", field="schema", hint=hint)
        document.check()
    draft = _Draft(
        name=document.text(top["name"], "name") if "name" in top else name,
        dtype=_dtype(document, top.get("dtype"), "dtype") or shape.dtype,
    )
    lines = _read_operators(document, top.get("operators"), draft, shape)
    made = {term.tensor for line in lines.values() for term in line.expression.outputs}
    _read_tensors(document, top.get("tensors"), draft, shape, made)
    if not lines and not document.problems:
        document.wrong(top.get("operators"), f"graph {draft.name!r} is empty: it has no operators", field="operators")
    _report(document, lines, order_faults(_steps(lines), draft.tensors.keys()))
    document.check()
    operators = tuple(_operator(document, name, line, draft) for name, line in lines.items())
    document.check()
    graph = OperatorGraph(
        name=draft.name,
        operators=operators,
        tensors=draft.tensors,
        blocks=_blocks(document, top.get("blocks"), draft, operators),
    )
    _report(document, lines, find_faults(graph))
    _check_batch(document, draft, shape)
    document.check()
    return _sized(graph, draft, shape)


def _steps(lines: Mapping[str, _Line]) -> list[Step]:
    return [
        Step(
            name=name,
            reads=[term.tensor for term in line.expression.inputs],
            writes=[term.tensor for term in line.expression.outputs],
        )
        for name, line in lines.items()
    ]


def _report(document: Document, lines: Mapping[str, _Line], faults: list[Fault]) -> None:
    for fault in faults:
        line = lines.get(fault.operator or "")
        place = f"operators.{fault.operator}" if fault.operator else None
        document.wrong(line.node if line else None, fault.message, field=place, hint=fault.hint)


def _check_batch(document: Document, draft: _Draft, shape: RunShape) -> None:
    if shape.batch > 1 and "batch" not in draft.symbols:
        message = f"the shapes of this graph are fixed: it cannot run at batch {shape.batch}"
        document.wrong(None, message, field="batch", hint="write 'batch' for an axis of its shapes")


def _sized(graph: OperatorGraph, draft: _Draft, shape: RunShape) -> OperatorGraph:
    weights = {
        operand.tensor: block.repeats
        for block in graph.blocks
        for name in block.operators
        for operand in graph.by_name[name].inputs
        if graph.tensors[operand.tensor].role is Role.WEIGHT
    }
    per_sequence = shape.query_tokens if "query_tokens" in draft.symbols and shape.phase is not Phase.DECODE else 1
    return OperatorGraph(
        name=graph.name,
        operators=graph.operators,
        tensors=graph.tensors,
        blocks=graph.blocks,
        parameters=sum(graph.tensors[name].elements * repeats for name, repeats in weights.items()),
        batch=shape.batch,
        tokens=shape.batch * per_sequence,
    )


def _dtype(document: Document, node: Node | None, where: str) -> DType | None:
    if node is None:
        return None
    value = document.word(node, where, DTYPES, "bf16")
    return next(dtype for dtype in DTYPES if dtype == value)


def _extent(document: Document, node: Node, where: str, shape: RunShape, draft: _Draft) -> int:
    """A number, or the name of a quantity of the run."""
    value = node.value if isinstance(node, yaml.ScalarNode) else ""
    if value in SYMBOLS:
        draft.symbols.add(value)
        return int(getattr(shape, value))
    if isinstance(value, str) and value[:1].isalpha():
        document.wrong(node, f"{value!r} is not known", field=where, hint=f"a number or one of {', '.join(SYMBOLS)}")
        return 1
    return document.whole(node, where)


def _read_tensors(document: Document, node: Node | None, draft: _Draft, shape: RunShape, made: set[str]) -> None:
    for name, entry in document.mapping(node, "tensors").items():
        where = f"tensors.{name}"
        keys = document.mapping(entry, where, ("shape", "dtype", "role"))
        sizes = None
        if "shape" in keys:
            axes = document.sequence(keys["shape"], f"{where}.shape")
            sizes = tuple(_extent(document, axis, f"{where}.shape", shape, draft) for axis in axes)
        dtype = _dtype(document, keys.get("dtype"), f"{where}.dtype")
        role = Role(document.word(keys["role"], f"{where}.role", list(Role), Role.INPUT)) if "role" in keys else None
        if name in made:
            if role in (Role.INPUT, Role.WEIGHT, Role.CONSTANT):
                document.wrong(entry, f"has role {role}, but an operator makes it", field=where)
            draft.results[name] = (role, dtype, sizes)
            continue
        if sizes is None:
            document.wrong(entry, "has no shape", field=where, hint="shape: [rows, columns]")
        if role in (Role.OUTPUT, Role.ACTIVATION):
            document.wrong(entry, f"has role {role}, but no operator makes it", field=where)
        draft.tensors[name] = TensorType(shape=sizes or (), dtype=dtype or draft.dtype, role=role or Role.INPUT)


def _read_operators(document: Document, node: Node | None, draft: _Draft, shape: RunShape) -> dict[str, _Line]:
    lines: dict[str, _Line] = {}
    for name, entry in document.mapping(node, "operators").items():
        where = f"operators.{name}"
        keys: dict[str, Node] = {"do": entry}
        if isinstance(entry, yaml.MappingNode):
            keys = document.mapping(entry, where, ("do", "dims", "with", "parallel"))
            if "do" not in keys:
                document.wrong(entry, "has no 'do'", field=where, hint="do: kind tensor[labels] -> result[labels]")
                continue
        try:
            expression = parse(document.text(keys["do"], where))
        except ValueError as error:
            document.wrong(keys["do"], str(error), field=where)
            continue
        if expression.kind not in SPECS:
            hint = suggestion(expression.kind, SPECS) or f"known: {', '.join(SPECS)}"
            document.wrong(keys["do"], f"kind {expression.kind!r} is not known", field=where, hint=hint)
            continue
        dims = {
            label: _extent(document, size, f"{where}.dims.{label}", shape, draft)
            for label, size in document.mapping(keys.get("dims"), f"{where}.dims").items()
        }
        parallel = document.sequence(keys.get("parallel"), f"{where}.parallel")
        lines[name] = _Line(
            node=entry,
            expression=expression,
            dims=dims,
            attributes={
                key: _scalar(document, value, f"{where}.with.{key}")
                for key, value in document.mapping(keys.get("with"), f"{where}.with").items()
            },
            parallel=tuple(document.text(label, f"{where}.parallel") for label in parallel),
        )
    return lines


def _scalar(document: Document, node: Node, where: str) -> Scalar:
    """A number, true or false, or a text."""
    text = document.text(node, where)
    if text in ("true", "false"):
        return text == "true"
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def _operator(document: Document, name: str, line: _Line, draft: _Draft) -> Operator:
    """The operator with its extents; its results become tensors of the draft."""
    expression, where = line.expression, f"operators.{name}"
    dims = dict(line.dims)
    for term in expression.inputs:
        tensor = draft.tensors.get(term.tensor)
        if tensor is None:
            continue  # order_faults has said so
        if len(tensor.shape) != len(term.dims):
            message = f"{term.tensor}[{','.join(term.dims)}] names {len(term.dims)} axes, the tensor has "
            document.wrong(line.node, f"{message}{len(tensor.shape)}: {list(tensor.shape)}", field=where)
        for label, size in zip_longest(term.dims, tensor.shape[: len(term.dims)], fillvalue=1):
            dims.setdefault(str(label), size)
    for term in expression.outputs:
        _result(document, where, line, term, dims, draft)
    attributes = dict(line.attributes)
    if expression.kind == "mean":
        outside = {label for term in expression.outputs for label in term.dims}
        attributes.setdefault("count", prod(size for label, size in dims.items() if label not in outside))
    fixed = (Role.WEIGHT, Role.CONSTANT)
    inputs = [(term.dims, draft.tensors[term.tensor].role in fixed) for term in expression.inputs]
    access = default_access(expression.kind, inputs)
    return Operator(
        name=name,
        kind=expression.kind,
        dims=dims,
        inputs=tuple(
            Operand(tensor=term.tensor, dims=term.dims, access=term.access or how)
            for term, how in zip(expression.inputs, access, strict=True)
        ),
        outputs=tuple(
            Operand(tensor=term.tensor, dims=term.dims, access=term.access or Access.STREAMED)
            for term in expression.outputs
        ),
        attributes=attributes,
        parallel=line.parallel,
    )


def _result(document: Document, where: str, line: _Line, term: Term, dims: Mapping[str, int], draft: _Draft) -> None:
    """Add a tensor that an operator makes: its shape from the labels, its format from the operands."""
    role, dtype, declared = draft.results.get(term.tensor, (None, None, None))
    for label in term.dims:
        if label not in dims:
            hint = f"write dims: {{{label}: ...}} beside do"
            document.wrong(line.node, f"label {label!r} of {term.tensor} has no extent", field=where, hint=hint)
    shape = tuple(dims.get(label, 1) for label in term.dims)
    if declared is not None and declared != shape:
        message = f"shapes do not fit: {term.tensor} is declared {list(declared)}, its labels make {list(shape)}"
        document.wrong(line.node, message, field=where)
    if dtype is None:
        dtype = _inferred_dtype(line, draft)
    draft.tensors[term.tensor] = TensorType(shape=shape, dtype=dtype, role=role or Role.ACTIVATION)


def _inferred_dtype(line: _Line, draft: _Draft) -> DType:
    if line.expression.kind == "argmax":
        return "int32"
    wanted = line.attributes.get("to")
    for dtype in DTYPES:
        if dtype == wanted:
            return dtype
    operands = [draft.tensors[term.tensor].dtype for term in line.expression.inputs]
    return next((dtype for dtype in operands if dtype not in ("bool", "int32")), operands[0])


def _blocks(document: Document, node: Node | None, draft: _Draft, operators: tuple[Operator, ...]) -> tuple[Block, ...]:
    """The blocks of the file; without any, the graph is one block. Results that nobody reads leave the graph."""
    blocks: list[Block] = []
    for name, entry in document.mapping(node, "blocks").items():
        where = f"blocks.{name}"
        keys = document.mapping(entry, where, ("operators", "repeat", "carried"))
        pairs = document.mapping(keys.get("carried"), f"{where}.carried")
        blocks.append(
            Block(
                name=name,
                operators=tuple(document.text(item, where) for item in document.sequence(keys.get("operators"), where)),
                repeats=document.whole(keys["repeat"], f"{where}.repeat") if "repeat" in keys else 1,
                carried={source: document.text(target, f"{where}.carried") for source, target in pairs.items()},
            )
        )
    read = {operand.tensor for operator in operators for operand in operator.inputs}
    for operator in operators:
        for operand in operator.outputs:
            tensor = draft.tensors[operand.tensor]
            if operand.tensor not in read and tensor.role is Role.ACTIVATION:
                draft.tensors[operand.tensor] = TensorType(shape=tensor.shape, dtype=tensor.dtype, role=Role.OUTPUT)
    return tuple(blocks) or (Block(name=draft.name, operators=tuple(operator.name for operator in operators)),)
