"""Mistral: Llama with a sliding window over all layers (modeling_mistral.py)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rdusim.graph.models import llama
from rdusim.graph.settings import Settings
from rdusim.graph.types import OperatorGraph, RunShape

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read(settings: Settings) -> llama.Llama:
    model = llama.read(settings)
    window = settings.optional_size("sliding_window")
    return replace(
        model, qkv_bias=False, output_bias=False, mlp_bias=False, window=window, windowed=model.layers if window else 0
    )


def build(settings: Settings, name: str, shape: RunShape) -> OperatorGraph:
    model = read(settings)
    settings.check()
    return llama.assemble(model, name, shape)


def constants(settings: Settings, shape: RunShape) -> dict[str, NDArray[Any]]:
    """Values of the CONSTANT tensors of `build`'s graph."""
    model = read(settings)
    settings.check()
    return llama.values(model, shape)
