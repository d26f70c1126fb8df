"""ViT with its classifier: layers over the patches of an image, and a linear on the class token (modeling_vit.py).

A run goes over whole images: its tokens are the patches and the class token. Labels: v class; see `vision`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rdusim.errors import GraphError, Problem
from rdusim.graph.build import GraphBuilder
from rdusim.graph.models import encoder, parts, vision
from rdusim.graph.settings import Settings
from rdusim.graph.types import OperatorGraph, Role, RunShape

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Vit:
    tower: vision.Tower
    classes: int


def read(settings: Settings) -> Vit:
    """Problems are collected in `settings`, not raised."""
    settings.words("architectures", ("ViTForImageClassification",))
    layers = replace(encoder.read(settings, act="gelu"), bias=settings.flag("qkv_bias", True))
    named = len(settings.table("id2label"))
    return Vit(tower=vision.read(settings, layers), classes=named or settings.size("num_labels", 2))


def positions(settings: Settings) -> int:
    """Tokens of an image."""
    return read(settings).tower.tokens


def build(settings: Settings, name: str, shape: RunShape) -> OperatorGraph:
    model = read(settings)
    settings.check()
    tower, layers = model.tower, model.tower.encoder
    if shape.query_tokens != tower.tokens:
        message = f"{name}: an image is {tower.tokens} tokens, not {shape.query_tokens}"
        raise GraphError(Problem(field="query_tokens", message=message, hint=f"{tower.tokens}, or leave it out"))
    b = GraphBuilder(name, shape, vision.extents(tower, shape) | {"v": model.classes})
    pixels = b.input("pixel_values", "b y x", b.dtype)
    with b.block("embedding"):
        x = vision.with_class(b, b.linear("patch_embedding", pixels, "x k", "b y k", bias="k"))
        x = b.op("add", "add_positions", [x, b.weight("position_embeddings", "s k")])
    x = encoder.layers(b, layers, "encoder", x, layers.layers)
    with b.block("head"):
        x = parts.layer_norm(b, "layernorm", x, layers.eps)
        x = b.op("slice", "class_token", [x], "b l k", attributes={"axis": "s", "start": 0})
        inputs = [x, b.weight("classifier.weight", "v k"), b.weight("classifier.bias", "v")]
        b.op("linear", "classifier", inputs, "b l v", parallel=("v",), role=Role.OUTPUT)
    return b.finish()


def constants(settings: Settings, shape: RunShape) -> dict[str, NDArray[Any]]:
    """There are none."""
    return {}
