"""Qwen3: Llama with norms of query and key heads (modeling_qwen3.py); a sliding window on the last layers if asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rdusim.graph.models import llama, qwen2
from rdusim.graph.settings import Settings
from rdusim.graph.types import OperatorGraph, RunShape

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read(settings: Settings) -> llama.Llama:
    biased = settings.flag("attention_bias", False)
    return replace(qwen2.read(settings), qkv_bias=biased, output_bias=biased, qk_norm=True)


def build(settings: Settings, name: str, shape: RunShape) -> OperatorGraph:
    model = read(settings)
    settings.check()
    return llama.assemble(model, name, shape)


def constants(settings: Settings, shape: RunShape) -> dict[str, NDArray[Any]]:
    """Values of the CONSTANT tensors of `build`'s graph."""
    model = read(settings)
    settings.check()
    return llama.values(model, shape)
