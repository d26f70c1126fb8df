"""Falcon: shared keys (multi-query, grouped), attention beside the feed-forward, rotary or ALiBi (modeling_falcon.py).

transformers caches keys after copying them for every query head; here the cache holds one copy per group, as every
serving system does, and the copies are made behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rdusim.graph.build import GraphBuilder, Value
from rdusim.graph.models import parts
from rdusim.graph.models.parts import Keys
from rdusim.graph.settings import Settings
from rdusim.graph.types import OperatorGraph, Role, RunShape

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Falcon:
    """`norms`: layer norms before attention and feed-forward: 2 in the new architecture, where each has its own."""

    layers: int
    hidden: int
    heads: int
    groups: int
    ffn: int
    vocabulary: int
    eps: float
    theta: float
    act: str
    tied: bool
    bias: bool
    alibi: bool
    parallel: bool
    norms: int

    @property
    def head(self) -> int:
        return self.hidden // self.heads


def read(settings: Settings) -> Falcon:
    hidden, heads = settings.size("hidden_size"), settings.size("num_attention_heads")
    settings.divides("num_attention_heads", heads, "hidden_size", hidden)
    new = settings.flag("new_decoder_architecture", False)
    groups = heads
    if new:
        groups = settings.size("num_key_value_heads", heads)
        settings.divides("num_key_value_heads", groups, "num_attention_heads", heads)
    elif settings.flag("multi_query", True):
        groups = 1
    alibi = settings.flag("alibi", False)
    if not alibi and (hidden // heads) % 2:
        settings.wrong("hidden_size", f"heads of {hidden // heads} elements: rotary positions turn pairs of elements")
    rope = settings.table("rope_parameters")
    theta = rope.get("rope_theta", settings.number("rope_theta", 10000.0))
    return Falcon(
        layers=settings.size("num_hidden_layers"),
        hidden=hidden,
        heads=heads,
        groups=groups,
        ffn=settings.size("intermediate_size", 4 * hidden),
        vocabulary=settings.size("vocab_size"),
        eps=settings.number("layer_norm_epsilon", 1e-5),
        theta=float(theta) if isinstance(theta, int | float) else 10000.0,
        act=settings.choice("hidden_act", "gelu", parts.ACTIVATIONS),
        tied=settings.flag("tie_word_embeddings", True),
        bias=settings.flag("bias", False),
        alibi=alibi,
        parallel=new or settings.flag("parallel_attn", True),
        norms=settings.size("num_ln_in_parallel_attn", 2) if new else 1,
    )


def build(settings: Settings, name: str, shape: RunShape) -> OperatorGraph:
    model, keys = read(settings), parts.keys_of(shape, None)
    settings.check()
    sizes = parts.extents(
        shape, keys, hidden=model.hidden, groups=model.groups, queries=model.heads // model.groups, head=model.head,
        ffn=model.ffn, vocabulary=model.vocabulary,
    )  # fmt: skip
    b = GraphBuilder(name, shape, sizes | {"t": model.heads // model.groups + 2})
    tokens = b.input("input_ids", "b s", "int32")
    positions = None if model.alibi else b.input("position_ids", "b s", "int32")
    with b.block("embedding"):
        table = b.weight("word_embeddings.weight", "v k")
        x = parts.embedding(b, "word_embeddings", tokens, table, parallel=("v",))
    with b.block("decoder", model.layers) as carried:
        y = _layer(b, model, x, positions, keys)
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
    found = {"attention.mask": tables.additive_mask(shape.query_tokens, keys)}
    if model.alibi:
        slopes = tables.alibi(model.heads, keys)
        found["attention.alibi"] = slopes.reshape(model.groups, model.heads // model.groups, keys.total)
    else:
        found["rotary.inv_freq"] = tables.inverse_frequencies(model.head, model.theta, {})
    return found


def _layer(b: GraphBuilder, model: Falcon, x: Value, positions: Value | None, keys: Keys) -> Value:
    if model.norms == 2:
        normal, beside = parts.layer_norm(b, "ln_attn", x, model.eps), parts.layer_norm(b, "ln_mlp", x, model.eps)
    else:
        normal = beside = parts.layer_norm(b, "input_layernorm", x, model.eps)
    attended = _attention(b, model, normal, positions, keys)
    if model.parallel:
        y = b.op("add", "add_attention", [_mlp(b, model, beside), attended])
    else:
        x = b.op("add", "attention.residual", [x, attended])
        y = _mlp(b, model, parts.layer_norm(b, "post_attention_layernorm", x, model.eps))
    return b.op("add", "residual", [x, y])


def _attention(b: GraphBuilder, model: Falcon, x: Value, positions: Value | None, keys: Keys) -> Value:
    repeats, entry = model.heads // model.groups, parts.entry_role(b.shape)
    fused = b.linear(
        "attention.query_key_value", x, "k g t d", "b s g t d", bias="g t d" if model.bias else None, parallel=("g",)
    )
    q = b.op("slice", "attention.q", [fused], "b s g r d", attributes={"axis": "t", "start": 0})
    k, v = (
        b.op("slice", f"attention.{kind}", [fused], "b s g d", attributes={"axis": "t", "start": repeats + index})
        for index, kind in enumerate("kv")
    )
    q = parts.heads_first(b, "attention.q", q, "b g r s d")
    k = parts.heads_first(b, "attention.k", k, "b g s d", entry if model.alibi else Role.ACTIVATION)
    v = parts.heads_first(b, "attention.v", v, "b g s d", entry)
    if positions is not None:
        tables = parts.rotary_tables(b, positions)
        with b.module("attention.rotary"):
            q = parts.rotate(b, "attention.q_rotary", q, tables)
            k = parts.rotate(b, "attention.k_rotary", k, tables, entry)
    k, v = parts.cached(b, "attention.k", k, keys), parts.cached(b, "attention.v", v, keys)
    with b.module("attention.attend"):
        k, v = (
            parts.repeat_kv(b, "attention.k_repeat", k, repeats),
            parts.repeat_kv(b, "attention.v_repeat", v, repeats),
        )
        k = parts.transposed(b, "attention.k_transpose", k)
        scores = b.op("matmul", "attention.scores", [q, k], "b g r s c", attributes=keys.attributes)
        scores = _scaled(b, model, scores)
        mask = b.constant("attention.mask", "s m", b.dtype)
        mask = b.op("slice", "attention.mask_slice", [mask], "s c", attributes={"axis": "m", "start": 0})
        scores = b.op("add", "attention.add_mask", [scores, mask])
        mixed = parts.weighted_values(b, parts.softmax(b, scores, upcast=False), v, keys)
    return b.linear("attention.dense", mixed, "g r d k", "b s k", bias="k" if model.bias else None, partial=True)


def _scaled(b: GraphBuilder, model: Falcon, scores: Value) -> Value:
    """Divided by sqrt(head); ALiBi is added before."""
    if model.alibi:
        scores = b.op("add", "attention.add_alibi", [scores, b.constant("attention.alibi", "g r c", b.dtype)])
        return b.op("mul", "attention.scale", [scores], attributes={"scalar": model.head**-0.5})
    return b.op("div", "attention.scale", [scores], attributes={"scalar": model.head**0.5})


def _mlp(b: GraphBuilder, model: Falcon, x: Value) -> Value:
    y = b.linear("mlp.dense_h_to_4h", x, "k f", "b s f", bias="f" if model.bias else None, parallel=("f",))
    y = parts.activation(b, "mlp.act", y, model.act)
    return b.linear("mlp.dense_4h_to_h", y, "f k", "b s k", bias="k" if model.bias else None, partial=True)
