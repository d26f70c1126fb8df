"""Llama 1 to 3.x: RMS norm, rotary positions, grouped queries, gated feed-forward (modeling_llama.py)."""

from __future__ import annotations

from collections.abc import Mapping
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
class Llama:
    """Shape and flags. `windowed` of the layers, the last ones, see only `window` keys.

    `fused`: one linear makes queries, keys and values, and one both halves of the feed-forward. `scaled_by`: what
    scores are multiplied with, if they are not divided by the root of a head's size. `cap`: of the scores.
    """

    layers: int
    hidden: int
    heads: int
    groups: int
    head: int
    ffn: int
    vocabulary: int
    eps: float
    theta: float
    scaling: Mapping[str, object]
    act: str
    tied: bool
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    window: int | None = None
    windowed: int = 0
    sparsity: float = 0.0
    qk_norm: bool = False
    sinks: bool = False
    fused: bool = False
    scaled_by: float | None = None
    cap: float | None = None


def read(settings: Settings) -> Llama:
    """The keys that llama, mistral and qwen2 share. Problems are collected in `settings`, not raised."""
    hidden, heads = settings.size("hidden_size"), settings.size("num_attention_heads")
    groups = settings.size("num_key_value_heads", heads)
    settings.divides("num_key_value_heads", groups, "num_attention_heads", heads)
    if settings.optional_size("head_dim") is None:
        settings.divides("num_attention_heads", heads, "hidden_size", hidden)
    head = settings.size("head_dim", max(hidden // heads, 1))
    if head % 2:
        settings.wrong("head_dim", f"{head} is odd: rotary positions turn pairs of elements")
    rope = settings.table("rope_parameters")
    theta = rope.get("rope_theta", settings.number("rope_theta", 10000.0))
    return Llama(
        layers=settings.size("num_hidden_layers"),
        hidden=hidden,
        heads=heads,
        groups=groups,
        head=head,
        ffn=settings.size("intermediate_size"),
        vocabulary=settings.size("vocab_size"),
        eps=settings.number("rms_norm_eps", 1e-6),
        theta=float(theta) if isinstance(theta, int | float) else 10000.0,
        scaling=rope or settings.table("rope_scaling"),
        act=settings.choice("hidden_act", "silu", parts.ACTIVATIONS),
        tied=settings.flag("tie_word_embeddings", False),
        qkv_bias=settings.flag("attention_bias", False),
        output_bias=settings.flag("attention_bias", False),
        mlp_bias=settings.flag("mlp_bias", False),
        sparsity=settings.number("weight_sparsity", 0.0, below=1.0),
    )


def build(settings: Settings, name: str, shape: RunShape) -> OperatorGraph:
    model = read(settings)
    settings.check()
    return assemble(model, name, shape)


def constants(settings: Settings, shape: RunShape) -> dict[str, NDArray[Any]]:
    """Values of the CONSTANT tensors of `build`'s graph."""
    model = read(settings)
    settings.check()
    return values(model, shape)


def assemble(model: Llama, name: str, shape: RunShape) -> OperatorGraph:
    """Embedding, decoder layers (those with a sliding window are a block of their own), head."""
    b = GraphBuilder(name, shape, extents(model, shape, parts.keys_of(shape, None)))
    tokens, positions = b.input("input_ids", "b s", "int32"), b.input("position_ids", "b s", "int32")
    with b.block("embedding"):
        table = b.weight("embed_tokens.weight", "v k")
        x = parts.embedding(b, "embed_tokens", tokens, table, parallel=("v",))
    decoder(b, model, x, positions, table)
    return b.finish()


def decoder(b: GraphBuilder, model: Llama, x: Value, positions: Value, table: Value) -> None:
    """All behind the embeddings, whose `table` the head may share: layers and head."""
    shape, full = b.shape, model.layers - model.windowed
    kinds = [("decoder", full, None), ("decoder_windowed" if full else "decoder", model.windowed, model.window)]
    for block, repeats, window in kinds:
        if repeats:
            keys = parts.keys_of(shape, window)
            b.extents = extents(model, shape, keys)
            with b.block(block, repeats) as carried:
                y = _layer(b, model, x, positions, keys)
                carried[y.tensor] = x.tensor
            x = y
    with b.block("head"):
        x = parts.rms_norm(b, "norm", x, model.eps, model.hidden)
        parts.head(b, x, table if model.tied else None)


def values(model: Llama, shape: RunShape) -> dict[str, NDArray[Any]]:
    from rdusim.graph.models import tables

    found = {"rotary.inv_freq": tables.inverse_frequencies(model.head, model.theta, model.scaling)}
    for window, layers in ((None, model.layers - model.windowed), (model.window, model.windowed)):
        if layers:
            keys = parts.keys_of(shape, window)
            found[mask(keys)] = tables.additive_mask(shape.query_tokens, keys)
    return found


def mask(keys: Keys) -> str:
    """The constant that holds the mask of these keys."""
    return "attention.mask" if keys.window is None else "attention.window_mask"


def extents(model: Llama, shape: RunShape, keys: Keys) -> dict[str, int]:
    """Extents of the labels of `parts`; where linears are fused also t, what a group has of them, and w, the halves."""
    queries = model.heads // model.groups
    labels = parts.extents(
        shape, keys, hidden=model.hidden, groups=model.groups, queries=queries, head=model.head, ffn=model.ffn,
        vocabulary=model.vocabulary,
    )  # fmt: skip
    return labels | ({"t": queries + 2, "w": 2} if model.fused else {})


def _layer(b: GraphBuilder, model: Llama, x: Value, positions: Value, keys: Keys) -> Value:
    normal = parts.rms_norm(b, "input_norm", x, model.eps, model.hidden)
    attended = attention(b, model, normal, positions, keys)
    x = b.op("add", "attention.residual", [x, attended])
    normal = parts.rms_norm(b, "post_attention_norm", x, model.eps, model.hidden)
    return b.op("add", "mlp.residual", [x, mlp(b, model, normal)])


def attention(b: GraphBuilder, model: Llama, x: Value, positions: Value, keys: Keys) -> Value:
    """Grouped-query attention; with norms of query and key heads, or a score that takes a share for nothing (sinks)."""
    sparse, entry = model.sparsity, parts.entry_role(b.shape)
    q, k, v = _fused_projections(b, model, x) if model.fused else _projections(b, model, x)
    if model.qk_norm:
        q = parts.rms_norm(b, "attention.q_norm", q, model.eps, model.head, "d")
        k = parts.rms_norm(b, "attention.k_norm", k, model.eps, model.head, "d")
    q = parts.heads_first(b, "attention.q", q, "b g r s d")
    k = parts.heads_first(b, "attention.k", k, "b g s d")
    v = parts.heads_first(b, "attention.v", v, "b g s d", entry)
    tables = parts.rotary_tables(b, positions, parts.rotary_factor(model.scaling))
    with b.module("attention.rotary"):
        q = parts.rotate(b, "attention.q_rotary", q, tables)
        k = parts.rotate(b, "attention.k_rotary", k, tables, entry)
    k, v = parts.cached(b, "attention.k", k, keys), parts.cached(b, "attention.v", v, keys)
    with b.module("attention.attend"):
        repeats = model.heads // model.groups
        k, v = (
            parts.repeat_kv(b, "attention.k_repeat", k, repeats),
            parts.repeat_kv(b, "attention.v_repeat", v, repeats),
        )
        k = parts.banded(parts.transposed(b, "attention.k_transpose", k), keys)
        scores = b.op("matmul", "attention.scores", [q, k], "b g r s c", attributes=keys.attributes)
        if model.scaled_by is None:
            scores = b.op("div", "attention.scale", [scores], attributes={"scalar": model.head**0.5})
        else:
            scores = b.op("mul", "attention.scale", [scores], attributes={"scalar": model.scaled_by})
        if model.cap is not None:
            scores = parts.softcapped(b, "attention.softcap", scores, model.cap)
        scores = b.op("add", "attention.add_mask", [scores, parts.mask_slice(b, mask(keys), b.dtype)])
        shares = parts.softmax_with_sinks(b, scores) if model.sinks else parts.softmax(b, scores, upcast=True)
        mixed = parts.weighted_values(b, shares, v, keys)
    return b.linear(
        "attention.o_proj", mixed, "g r d k", "b s k", bias="k" if model.output_bias else None, partial=True,
        sparsity=sparse,
    )  # fmt: skip


def _projections(b: GraphBuilder, model: Llama, x: Value) -> tuple[Value, Value, Value]:
    """Queries, keys and values, each by a linear of its own."""
    bias, sparse = model.qkv_bias, model.sparsity
    q = b.linear(
        "attention.q_proj", x, "k g r d", "b s g r d", bias="g r d" if bias else None, parallel=("g", "r"),
        sparsity=sparse,
    )  # fmt: skip
    k, v = (
        b.linear(
            f"attention.{kind}_proj", x, "k g d", "b s g d", bias="g d" if bias else None, parallel=("g",),
            sparsity=sparse,
        )
        for kind in "kv"
    )  # fmt: skip
    return q, k, v


def _fused_projections(b: GraphBuilder, model: Llama, x: Value) -> tuple[Value, Value, Value]:
    """All three by one linear, whose columns lie group by group, so that sockets can share out the groups."""
    queries = model.heads // model.groups
    joint = b.linear(
        "attention.qkv_proj", x, "k g t d", "b s g t d", bias="g t d" if model.qkv_bias else None, parallel=("g",),
        sparsity=model.sparsity,
    )  # fmt: skip
    q = b.op("slice", "attention.q_part", [joint], "b s g r d", attributes={"axis": "t", "start": 0})
    k, v = (
        b.op("slice", f"attention.{kind}_part", [joint], "b s g d", attributes={"axis": "t", "start": queries + at})
        for at, kind in enumerate("kv")
    )
    return q, k, v


def mlp(b: GraphBuilder, model: Llama, x: Value) -> Value:
    """The gated feed-forward."""
    bias, sparse = "f" if model.mlp_bias else None, model.sparsity
    if model.fused:
        both = b.linear("mlp.gate_up_proj", x, "k w f", "b s w f", parallel=("f",), sparsity=sparse)
        gate, up = (
            b.op("slice", f"mlp.{which}", [both], "b s f", attributes={"axis": "w", "start": at})
            for at, which in enumerate(("gate", "up"))
        )
        gate = parts.activation(b, "mlp.act", gate, model.act)
    else:
        gate = b.linear("mlp.gate_proj", x, "k f", "b s f", bias=bias, parallel=("f",), sparsity=sparse)
        gate = parts.activation(b, "mlp.act", gate, model.act)
        up = b.linear("mlp.up_proj", x, "k f", "b s f", bias=bias, parallel=("f",), sparsity=sparse)
    product = b.op("mul", "mlp.mul", [gate, up])
    down_bias = "k" if model.mlp_bias else None
    return b.linear("mlp.down_proj", product, "f k", "b s k", bias=down_bias, partial=True, sparsity=sparse)
