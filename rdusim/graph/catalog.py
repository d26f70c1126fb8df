"""What models there are: a row each for the list, and one model in some detail."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from rdusim.dtypes import size_of
from rdusim.graph.load import family_of, load_graph, locate, probe, shipped_file, unsupported
from rdusim.graph.models import FAMILIES
from rdusim.graph.ops import macs
from rdusim.graph.settings import read_settings
from rdusim.graph.types import OperatorGraph, Phase, Role, RunShape
from rdusim.shipped import names
from rdusim.units import Bytes

# Of a graph that has shapes of its own, and may have axes that the run sizes.
FORWARD = RunShape(phase=Phase.DECODE, batch=1, query_tokens=1, context_tokens=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """A shipped model in the list. `problem` says why it is not supported; then parameters are unknown."""

    name: str
    family: str
    layers: int | None
    parameters: int | None
    problem: str | None = None

    @property
    def supported(self) -> bool:
        return self.problem is None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSummary:
    """One model: its size, and the operators of a block in decode (an encoder, a YAML graph: in its one run)."""

    name: str
    family: str
    file: Path
    layers: int
    parameters: int
    active_parameters: int  # that one token meets: of a mixture of experts fewer
    weight_bytes: Bytes
    kv_bytes_per_token: Bytes
    blocks: tuple[tuple[str, int, int], ...]  # name, operators, repeats
    kinds: tuple[tuple[str, int], ...]  # of the repeated blocks, else of all: kind, operators
    macs_per_token: int


def list_models() -> tuple[ModelRow, ...]:
    """Every shipped model, by name."""
    return tuple(_row(name) for name in names("graphs"))


def describe(path_or_name: str | Path) -> ModelSummary:
    """A model's size, at one decode token if it has these. Raises GraphError when it cannot be read or is unknown."""
    path, name = locate(path_or_name)
    config = path.suffix == ".json"
    shape = probe(read_settings(path)) if config else FORWARD
    graph = load_graph(path_or_name, shape)
    unread = graph.unread_parameters * size_of(shape.dtype)
    repeated = [block for block in graph.blocks if block.repeats > 1] or list(graph.blocks)
    kinds = Counter(graph.by_name[operator].kind for block in repeated for operator in block.operators)
    return ModelSummary(
        name=name,
        family=read_settings(path).model_type if config else "yaml",
        file=path,
        layers=read_settings(path).language().size("num_hidden_layers") if config else _layers(graph),
        parameters=graph.parameters,
        active_parameters=graph.active_parameters or graph.parameters,
        weight_bytes=Bytes(_bytes_of(graph, Role.WEIGHT, produced=False) + unread),
        kv_bytes_per_token=_bytes_of(graph, Role.KV_CACHE, produced=True),
        blocks=tuple((block.name, len(block.operators), block.repeats) for block in graph.blocks),
        kinds=tuple(kinds.most_common()),
        macs_per_token=sum(
            block.repeats * sum(macs(graph.by_name[operator]) for operator in block.operators) for block in graph.blocks
        )
        // shape.query_tokens,
    )


def _row(name: str) -> ModelRow:
    path = shipped_file(name)
    if path.suffix != ".json":
        graph = load_graph(name, FORWARD)
        return ModelRow(name=name, family="yaml", layers=_layers(graph), parameters=graph.parameters)
    settings = read_settings(path)
    if settings.model_type not in FAMILIES:
        layers = settings.language().optional_size("num_hidden_layers")
        row = ModelRow(name=name, family=settings.model_type, layers=layers, parameters=None)
        return replace(row, problem=unsupported(settings))
    graph = family_of(settings).build(settings, name, probe(settings))
    layers = settings.language().size("num_hidden_layers")
    return ModelRow(name=name, family=settings.model_type, layers=layers, parameters=graph.parameters)


def _layers(graph: OperatorGraph) -> int:
    """Repeats of the blocks that repeat; a graph without is one layer."""
    return sum(block.repeats for block in graph.blocks if block.repeats > 1) or 1


def _bytes_of(graph: OperatorGraph, role: Role, *, produced: bool) -> Bytes:
    """Bytes of all repeats of the tensors of a role; a tensor that several blocks share counts once."""
    total, seen = 0, set[str]()
    for block in graph.blocks:
        for name in block.operators:
            operator = graph.by_name[name]
            for operand in operator.outputs if produced else operator.inputs:
                tensor = graph.tensors[operand.tensor]
                if tensor.role is role and operand.tensor not in seen:
                    seen.add(operand.tensor)
                    total += block.repeats * tensor.bytes
    return Bytes(total)
