"""BERT with its masked language model head: an encoder with the norms behind the sums (modeling_bert.py).

Every token's logits are the result. Padding is masked by an input of the size of the text, as tokenizers make it.
Labels besides those of `encoder`: t type of a token, u position, v vocabulary, w what the head's linear makes of k.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rdusim.graph.build import GraphBuilder, Value
from rdusim.graph.models import encoder, parts
from rdusim.graph.models.encoder import Encoder
from rdusim.graph.settings import Settings
from rdusim.graph.types import OperatorGraph, Role, RunShape

if TYPE_CHECKING:
    from numpy.typing import NDArray

POSITIONS = "embedding.position_ids"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bert:
    encoder: Encoder
    vocabulary: int
    positions: int
    types: int
    tied: bool


def read(settings: Settings) -> Bert:
    """Problems are collected in `settings`, not raised."""
    settings.words("architectures", ("BertForMaskedLM",))
    settings.choice("position_embedding_type", "absolute", ("absolute",))
    return Bert(
        encoder=encoder.read(settings, act="gelu"),
        vocabulary=settings.size("vocab_size"),
        positions=settings.size("max_position_embeddings", 512),
        types=settings.size("type_vocab_size", 2),
        tied=settings.flag("tie_word_embeddings", True),
    )


def positions(settings: Settings) -> int:
    """Tokens that a text may have."""
    return read(settings).positions


def build(settings: Settings, name: str, shape: RunShape) -> OperatorGraph:
    model = read(settings)
    parts.check_positions(settings, model.positions, shape)
    settings.check()
    layers = model.encoder
    sizes = {"t": model.types, "u": model.positions, "v": model.vocabulary, "w": layers.hidden}
    b = GraphBuilder(name, shape, encoder.extents(layers, shape, shape.query_tokens) | sizes)
    tokens, types = (b.input(each, "b s", "int32") for each in ("input_ids", "token_type_ids"))
    shown = b.input("attention_mask", "b c", "bool")
    with b.block("embedding"):
        table = b.weight("word_embeddings.weight", "v k")
        x = _embedded(b, model, table, tokens, types)
        mask = _mask(b, shown)
    x = encoder.layers_with_norms_behind(b, layers, "encoder", x, layers.layers, mask)
    with b.block("head"):
        x = b.linear("transform.dense", x, "k w", "b s w", bias="w")
        x = parts.activation(b, "transform.act", x, layers.act).labelled("b s k")
        x = parts.layer_norm(b, "transform.norm", x, layers.eps)
        inputs = [x, table if model.tied else b.weight("decoder.weight", "v k"), b.weight("decoder.bias", "v")]
        b.op("linear", "decoder", inputs, "b s v", parallel=("v",), role=Role.OUTPUT)
    return b.finish()


def constants(settings: Settings, shape: RunShape) -> dict[str, NDArray[Any]]:
    """Values of the CONSTANT tensors of `build`'s graph."""
    import numpy as np

    return {POSITIONS: np.arange(shape.query_tokens)}


def _embedded(b: GraphBuilder, model: Bert, table: Value, tokens: Value, types: Value) -> Value:
    """The sum of word, type and position, normed."""
    x = parts.embedding(b, "word_embeddings", tokens, table, parallel=("v",))
    of_type = parts.embedding(b, "token_type_embeddings", types, b.weight("token_type_embeddings.weight", "t k"))
    x = b.op("add", "add_types", [x, of_type])
    places = [b.weight("position_embeddings.weight", "u k"), b.constant(POSITIONS, "s", "int32")]
    x = b.op("add", "add_positions", [x, b.op("embedding", "position_embeddings", places, "s k")])
    return parts.layer_norm(b, "norm", x, model.encoder.eps)


def _mask(b: GraphBuilder, shown: Value) -> Value:
    """What is added to scores: 0 where a key is shown, the lowest number where it is padding."""
    kept = b.cast("mask.cast", shown, b.dtype)
    hidden = b.op("sub", "mask.invert", [kept], attributes={"scalar": 1.0, "reverse": True})
    return b.op("mul", "mask.scale", [hidden], attributes={"scalar": parts.HIDDEN})
