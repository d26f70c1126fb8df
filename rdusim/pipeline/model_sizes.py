"""What a model weighs: bytes of its weights, and of keys and values a token."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, cast

from rdusim.dtypes import DType, size_of
from rdusim.graph.load import abilities, load_graph, locate, probe
from rdusim.graph.settings import read_settings
from rdusim.graph.types import OperatorGraph, Phase, Role, RunShape
from rdusim.units import Bytes

_CONTEXTS: Final = (256, 512)  # between which the cache grows by so much a token


def weight_bytes(model: str, dtype: str = "bf16") -> Bytes:
    """Of the whole model, every repeat of a block counted, and what decode never reads; raises GraphError."""
    graph = _graph(model, dtype, _CONTEXTS[0])
    return Bytes(_held(graph, Role.WEIGHT) + graph.unread_parameters * size_of(cast("DType", dtype)))


def kv_bytes_per_token(model: str, dtype: str = "bf16") -> Bytes:
    """Of one sequence over all layers; 0 for a model whose state does not grow."""
    low, high = (_held(_graph(model, dtype, context), Role.KV_CACHE) for context in _CONTEXTS)
    return Bytes(round((high - low) / (_CONTEXTS[1] - _CONTEXTS[0])))


def positions(model: str) -> int | None:
    """Tokens that a sequence may have by its config.json; None if that does not say, or the model is a graph."""
    path, _ = locate(model)
    return None if path.suffix != ".json" else abilities(read_settings(path)).positions


def least_prompt(model: str) -> int:
    """Tokens of its shortest prompt; 0 for a model that reads none, an encoder."""
    path, _ = locate(model)
    able = abilities(read_settings(path)) if path.suffix == ".json" else None
    return 1 if able is None else able.least_prompt if able.decodes else 0


@lru_cache(maxsize=64)
def _graph(model: str, dtype: str, context: int) -> OperatorGraph:
    path, _ = locate(model)
    shape = RunShape(phase=Phase.DECODE, batch=1, query_tokens=1, context_tokens=context, dtype=cast("DType", dtype))
    if path.suffix == ".json" and not abilities(settings := read_settings(path)).decodes:
        shape = probe(settings, shape.dtype)
    return load_graph(model, shape)


def _held(graph: OperatorGraph, role: Role) -> int:
    """Bytes of a role; a tensor of a repeated block is there once for each repeat."""
    total, seen = 0, set[str]()
    for block in graph.blocks:
        for name in block.operators:
            operator = graph.by_name[name]
            for operand in (*operator.inputs, *operator.outputs):
                if operand.tensor not in seen and graph.tensors[operand.tensor].role is role:
                    seen.add(operand.tensor)
                    total += block.repeats * graph.tensors[operand.tensor].bytes
    return total
