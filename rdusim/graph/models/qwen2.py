"""Qwen2 and 2.5: Llama with biases on queries, keys and values; a sliding window on the last layers if switched on.

modeling_qwen2.py: layers from `max_window_layers` on use the window.
"""

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
    windowed = 0
    if window is not None and settings.flag("use_sliding_window", False):
        windowed = max(model.layers - int(settings.number("max_window_layers", 28)), 0)
    return replace(model, qkv_bias=True, output_bias=False, mlp_bias=False, window=window, windowed=windowed)


def build(settings: Settings, name: str, shape: RunShape) -> OperatorGraph:
    model = read(settings)
    settings.check()
    return llama.assemble(model, name, shape)


def constants(settings: Settings, shape: RunShape) -> dict[str, NDArray[Any]]:
    """Values of the CONSTANT tensors of `build`'s graph."""
    model = read(settings)
    settings.check()
    return llama.values(model, shape)
