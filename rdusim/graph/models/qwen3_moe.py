"""Qwen3 with a mixture of experts in every `decoder_sparse_step`-th layer (modeling_qwen3_moe.py)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rdusim.graph.models import experts, llama, mixed, qwen3
from rdusim.graph.models.layers import Kind
from rdusim.graph.settings import Settings
from rdusim.graph.types import OperatorGraph, RunShape

if TYPE_CHECKING:
    from numpy.typing import NDArray


def build(settings: Settings, name: str, shape: RunShape) -> OperatorGraph:
    model = qwen3.read(settings)
    mixture = experts.read(settings, shape, count="num_experts", width="moe_intermediate_size")
    mixture = replace(mixture, normalised=settings.flag("norm_topk_prob", False))
    kinds = _kinds(settings, model)
    settings.check()
    return mixed.assemble(model, mixture, kinds, name, shape, experts.softmax_then_top)


def constants(settings: Settings, shape: RunShape) -> dict[str, NDArray[Any]]:
    """Values of the CONSTANT tensors of `build`'s graph."""
    model = qwen3.read(settings)
    kinds = _kinds(settings, model)
    settings.check()
    return mixed.values(model, kinds, shape)


def _kinds(settings: Settings, model: llama.Llama) -> list[Kind]:
    """Dense are the layers that `mlp_only_layers` names and those between the steps; the last may have a window."""
    step, dense = settings.size("decoder_sparse_step", 1), settings.whole_numbers("mlp_only_layers")
    found = []
    for layer in range(model.layers):
        window = model.window if layer >= model.layers - model.windowed else None
        mixture = layer not in dense and (layer + 1) % step == 0
        words = [word for word, said in (("dense", not mixture), ("windowed", window is not None)) if said]
        found.append(Kind(name="_".join(words), window=window, mixture=mixture))
    return found
