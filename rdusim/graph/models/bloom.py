"""BLOOM: ALiBi inside baddbmm, fused queries, keys and values, GELU written out in Python (modeling_bloom.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rdusim.graph.build import GraphBuilder, Value
from rdusim.graph.models import parts
from rdusim.graph.models.parts import Keys
from rdusim.graph.settings import Settings
from rdusim.graph.types import OperatorGraph, RunShape

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Bloom:
    layers: int
    hidden: int
    heads: int
    ffn: int
    vocabulary: int
    eps: float
    tied: bool
    residual_from_norm: bool


def read(settings: Settings) -> Bloom:
    hidden, heads = settings.size("hidden_size"), settings.size("num_attention_heads")
    settings.divides("num_attention_heads", heads, "hidden_size", hidden)
    return Bloom(
        layers=settings.size("num_hidden_layers"),
        hidden=hidden,
        heads=heads,
        ffn=settings.size("intermediate_size", 4 * hidden),
        vocabulary=settings.size("vocab_size"),
        eps=settings.number("layer_norm_epsilon", 1e-5),
        tied=settings.flag("tie_word_embeddings", True),
        residual_from_norm=settings.flag("apply_residual_connection_post_layernorm", False),
    )


def build(settings: Settings, name: str, shape: RunShape) -> OperatorGraph:
    model = read(settings)
    settings.check()
    keys = parts.keys_of(shape, None)
    sizes = parts.extents(
        shape, keys, hidden=model.hidden, groups=model.heads, queries=1, head=model.hidden // model.heads,
        ffn=model.ffn, vocabulary=model.vocabulary,
    )  # fmt: skip
    b = GraphBuilder(name, shape, sizes | {"t": 3})
    tokens = b.input("input_ids", "b s", "int32")
    with b.block("embedding"):
        table = b.weight("word_embeddings.weight", "v k")
        x = parts.embedding(b, "word_embeddings", tokens, table, parallel=("v",))
        x = parts.layer_norm(b, "word_embeddings_layernorm", x, model.eps)
    with b.block("decoder", model.layers) as carried:
        y = _layer(b, model, x, keys)
        carried[y.tensor] = x.tensor
    with b.block("head"):
        x = parts.layer_norm(b, "ln_f", y, model.eps)
        parts.head(b, x, table if model.tied else None)
    return b.finish()


def constants(settings: Settings, shape: RunShape) -> dict[str, NDArray[Any]]:
    """Values of the CONSTANT tensors of `build`'s graph."""
    from rdusim.graph.models import tables

    model, keys = read(settings), parts.keys_of(shape, None)
    settings.check()
    seen = tables.visible(shape.query_tokens, keys)
    return {"attention.alibi": tables.alibi(model.heads, keys), "attention.mask": ~seen[:, : keys.band]}


def _layer(b: GraphBuilder, model: Bloom, x: Value, keys: Keys) -> Value:
    normal = parts.layer_norm(b, "input_layernorm", x, model.eps)
    attended = _attention(b, model, normal, keys)
    x = b.op("add", "attention.residual", [normal if model.residual_from_norm else x, attended])
    normal = parts.layer_norm(b, "post_attention_layernorm", x, model.eps)
    y = b.linear("mlp.dense_h_to_4h", normal, "k f", "b s f", bias="f", parallel=("f",))
    y = _gelu(b, "mlp.gelu", y)
    y = b.linear("mlp.dense_4h_to_h", y, "f k", "b s k", bias="k", partial=True)
    return b.op("add", "mlp.residual", [normal if model.residual_from_norm else x, y])


def _attention(b: GraphBuilder, model: Bloom, x: Value, keys: Keys) -> Value:
    fused = b.linear("attention.query_key_value", x, "k g t d", "b s g t d", bias="g t d", parallel=("g",))
    q, k, v = (
        b.op("slice", f"attention.{kind}", [fused], "b s g d", attributes={"axis": "t", "start": index})
        for index, kind in enumerate("qkv")
    )
    q = parts.heads_first(b, "attention.q", q, "b g s d")
    k = parts.heads_first(b, "attention.k", k, "b g s d", parts.entry_role(b.shape))
    v = parts.heads_first(b, "attention.v", v, "b g s d", parts.entry_role(b.shape))
    k, v = parts.cached(b, "attention.k", k, keys), parts.cached(b, "attention.v", v, keys)
    with b.module("attention.attend"):
        alibi = b.constant("attention.alibi", "g c", b.dtype)
        scaled = keys.attributes | {"beta": 1.0, "alpha": (model.hidden // model.heads) ** -0.5}
        scores = b.op("baddbmm", "attention.scores", [alibi, q, k], "b g s c", dtype=b.dtype, attributes=scaled)
        mask = b.constant("attention.mask", "s c", "bool")
        scores = b.op("masked_fill", "attention.masked_fill", [scores, mask], attributes={"scalar": parts.HIDDEN})
        probabilities = parts.softmax(b, scores, upcast=True)
        mixed = b.op("matmul", "attention.mix", [probabilities, v], "b g s d", attributes=keys.attributes)
        mixed = b.op("transpose", "attention.merge_heads", [mixed], "b s g d")
    return b.linear("attention.dense", mixed, "g d k", "b s k", bias="k", partial=True)


def _gelu(b: GraphBuilder, name: str, x: Value) -> Value:
    """x * 0.5 * (1 + tanh(0.79788456 x (1 + 0.044715 x x))), bloom_gelu_forward."""
    with b.module(name):
        half = b.op("mul", f"{name}.half", [x], attributes={"scalar": 0.5})
        outer = b.op("mul", f"{name}.outer", [x], attributes={"scalar": 0.79788456})
        inner = b.op("mul", f"{name}.inner", [x], attributes={"scalar": 0.044715})
        inner = b.op("mul", f"{name}.square", [inner, x])
        inner = b.op("add", f"{name}.inner_one", [inner], attributes={"scalar": 1.0})
        outer = b.op("mul", f"{name}.argument", [outer, inner])
        outer = b.op("tanh", f"{name}.tanh", [outer])
        outer = b.op("add", f"{name}.one", [outer], attributes={"scalar": 1.0})
        return b.op("mul", f"{name}.mul", [half, outer])
