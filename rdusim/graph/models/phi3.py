"""Phi-3: Llama with fused projections and a sliding window over all layers (modeling_phi3.py)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rdusim.graph.models import llama, mistral
from rdusim.graph.settings import Settings
from rdusim.graph.types import OperatorGraph, RunShape

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read(settings: Settings) -> llama.Llama:
    """Stretched contexts (longrope) choose their frequencies by the length of the prompt: not supported."""
    for name in ("rope_scaling", "rope_parameters"):
        kind = settings.table(name).get("rope_type", settings.table(name).get("type", "default"))
        if kind != "default":
            settings.wrong(name, f"rotary positions of type {kind!r} are not supported here", "a 4k variant")
    if settings.number("partial_rotary_factor", 1.0) != 1.0:
        settings.wrong("partial_rotary_factor", "rotary positions that turn a part of a head are not supported")
    return replace(mistral.read(settings), fused=True)


def build(settings: Settings, name: str, shape: RunShape) -> OperatorGraph:
    model = read(settings)
    settings.check()
    return llama.assemble(model, name, shape)


def constants(settings: Settings, shape: RunShape) -> dict[str, NDArray[Any]]:
    """Values of the CONSTANT tensors of `build`'s graph."""
    model = read(settings)
    settings.check()
    return llama.values(model, shape)
