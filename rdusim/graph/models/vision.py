"""A tower of layers over the patches of an image (ViT, arXiv 2010.11929; CLIP's, modeling_clip.py).

The convolution whose stride is its window is a matrix product over patches: the image comes patch by patch. Labels: y
patch, x value of a patch (channel, row, column); behind them those of `encoder`, with s the patches and the class
token in front.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rdusim.graph.build import GraphBuilder, Value
from rdusim.graph.models import encoder, parts
from rdusim.graph.models.encoder import Encoder
from rdusim.graph.settings import Settings
from rdusim.graph.types import RunShape

if TYPE_CHECKING:
    from numpy.typing import NDArray

POSITIONS = "vision.position_ids"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tower:
    """`patches` of an image, of `values` numbers each; the class token comes in front of them."""

    encoder: Encoder
    patches: int
    values: int

    @property
    def tokens(self) -> int:
        return self.patches + 1


def read(settings: Settings, layers: Encoder) -> Tower:
    """The keys that towers share. Problems are collected in `settings`, not raised."""
    image, patch = settings.size("image_size"), settings.size("patch_size")
    settings.divides("patch_size", patch, "image_size", image)
    patches = max(1, image // patch) ** 2
    return Tower(encoder=layers, patches=patches, values=settings.size("num_channels", 3) * patch * patch)


def read_clip(settings: Settings) -> Tower:
    """A CLIPVisionConfig. Problems are collected in `settings`, not raised."""
    settings.choice("model_type", "clip_vision_model", ("clip_vision_model",))
    return read(settings, encoder.read(settings, act="quick_gelu", scaled_queries=True))


def clip(b: GraphBuilder, tower: Tower, layers: int) -> Value:
    """What the first `layers` of CLIP's tower make of an image, [b, s, k]."""
    b.extents = extents(tower, b.shape)
    pixels = b.input("pixel_values", "b y x", b.dtype)
    with b.block("vision_embedding"):
        patches = b.linear("patch_embedding", pixels, "x k", "b y k")
        x = parts.layer_norm(b, "pre_layernorm", with_places(b, with_class(b, patches)), tower.encoder.eps)
    return encoder.layers(b, tower.encoder, "vision", x, layers)


def with_class(b: GraphBuilder, patches: Value) -> Value:
    """The class token in front of the patches."""
    first = b.op("expand", "class_expand", [b.weight("class_embedding", "k")], "b l k")
    return b.op("cat", "class_cat", [first, patches], "b s k", attributes={"concat": "s"})


def with_places(b: GraphBuilder, x: Value) -> Value:
    """The learned position of each token added; looked up, as CLIP does."""
    places = b.constant(POSITIONS, "s", "int32")
    places = b.op("embedding", "position_embedding", [b.weight("position_embedding.weight", "u k"), places], "s k")
    return b.op("add", "add_positions", [x, places])


def without_class(b: GraphBuilder, x: Value) -> Value:
    """The patches' part of the result."""
    return b.op("slice", "drop_class", [x], "b y k", attributes={"axis": "s", "start": 1})


def extents(tower: Tower, shape: RunShape) -> dict[str, int]:
    """Extents of the labels above."""
    places = {"y": tower.patches, "x": tower.values, "u": tower.tokens}
    return encoder.extents(tower.encoder, shape, tower.tokens) | places


def values(tower: Tower) -> dict[str, NDArray[Any]]:
    """Values of the constants."""
    import numpy as np

    return {POSITIONS: np.arange(tower.tokens)}


def norm_parameters(tower: Tower) -> int:
    """Of the norm behind the last layer: it makes the pooled result, which a model that takes patches never reads."""
    return 2 * tower.encoder.hidden
