"""Mixtral: Mistral with a mixture of experts in every layer (modeling_mixtral.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rdusim.graph.models import experts, llama, mistral, mixed
from rdusim.graph.models.layers import Kind
from rdusim.graph.settings import Settings
from rdusim.graph.types import OperatorGraph, RunShape

if TYPE_CHECKING:
    from numpy.typing import NDArray


def build(settings: Settings, name: str, shape: RunShape) -> OperatorGraph:
    model, mixture = (
        mistral.read(settings),
        experts.read(settings, shape, count="num_local_experts", width="intermediate_size"),
    )
    settings.check()
    return mixed.assemble(model, mixture, _kinds(model), name, shape, experts.top_then_softmax)


def constants(settings: Settings, shape: RunShape) -> dict[str, NDArray[Any]]:
    """Values of the CONSTANT tensors of `build`'s graph."""
    model = mistral.read(settings)
    settings.check()
    return mixed.values(model, _kinds(model), shape)


def _kinds(model: llama.Llama) -> list[Kind]:
    return [Kind(window=model.window, mixture=True)] * model.layers
