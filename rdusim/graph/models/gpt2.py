"""GPT-2: learned positions, layer norm, fused queries, keys and values, NewGELU (modeling_gpt2.py)."""

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
class Gpt2:
    layers: int
    hidden: int
    heads: int
    ffn: int
    vocabulary: int
    positions: int
    eps: float
    act: str
    tied: bool
    sparsity: float


def read(settings: Settings) -> Gpt2:
    hidden, heads = settings.size("hidden_size"), settings.size("num_attention_heads")
    settings.divides("num_attention_heads", heads, "hidden_size", hidden)
    return Gpt2(
        layers=settings.size("num_hidden_layers"),
        hidden=hidden,
        heads=heads,
        ffn=settings.size("intermediate_size", 4 * hidden),
        vocabulary=settings.size("vocab_size"),
        positions=settings.size("max_position_embeddings", 1024),
        eps=settings.number("layer_norm_epsilon", 1e-5),
        act=settings.choice("hidden_act", "gelu_new", parts.ACTIVATIONS),
        tied=settings.flag("tie_word_embeddings", True),
        sparsity=settings.number("weight_sparsity", 0.0, below=1.0),
    )


def build(settings: Settings, name: str, shape: RunShape) -> OperatorGraph:
    model, keys = read(settings), parts.keys_of(shape, None)
    parts.check_positions(settings, model.positions, shape)
    settings.check()
    sizes = parts.extents(
        shape, keys, hidden=model.hidden, groups=model.heads, queries=1, head=model.hidden // model.heads,
        ffn=model.ffn, vocabulary=model.vocabulary,
    )  # fmt: skip
    b = GraphBuilder(name, shape, sizes | {"t": 3, "u": model.positions})
    tokens, positions = b.input("input_ids", "b s", "int32"), b.input("position_ids", "b s", "int32")
    with b.block("embedding"):
        table = b.weight("wte.weight", "v k")
        x = parts.embedding(b, "wte", tokens, table, parallel=("v",))
        x = b.op("add", "add_positions", [x, parts.embedding(b, "wpe", positions, b.weight("wpe.weight", "u k"))])
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

    return {"attention.bias": tables.visible(shape.query_tokens, parts.keys_of(shape, None))}


def _layer(b: GraphBuilder, model: Gpt2, x: Value, keys: Keys) -> Value:
    attended = _attention(b, model, parts.layer_norm(b, "ln_1", x, model.eps), keys)
    x = b.op("add", "attention.residual", [attended, x])
    y, sparse = parts.layer_norm(b, "ln_2", x, model.eps), model.sparsity
    y = b.linear("mlp.c_fc", y, "k f", "b s f", bias="f", parallel=("f",), sparsity=sparse)
    y = parts.activation(b, "mlp.act", y, model.act)
    y = b.linear("mlp.c_proj", y, "f k", "b s k", bias="k", partial=True, sparsity=sparse)
    return b.op("add", "mlp.residual", [x, y])


def _attention(b: GraphBuilder, model: Gpt2, x: Value, keys: Keys) -> Value:
    sparse = model.sparsity
    fused = b.linear("attention.c_attn", x, "k t g d", "b s t g d", bias="t g d", parallel=("g",), sparsity=sparse)
    q, k, v = (
        b.op("slice", f"attention.{kind}", [fused], "b s g d", attributes={"axis": "t", "start": index})
        for index, kind in enumerate("qkv")
    )
    q = parts.heads_first(b, "attention.q", q, "b g s d")
    k = parts.heads_first(b, "attention.k", k, "b g s d", parts.entry_role(b.shape))
    v = parts.heads_first(b, "attention.v", v, "b g s d", parts.entry_role(b.shape))
    k, v = parts.cached(b, "attention.k", k, keys), parts.cached(b, "attention.v", v, keys)
    with b.module("attention.attend"):
        k = parts.transposed(b, "attention.k_transpose", k)
        scores = b.op("matmul", "attention.scores", [q, k], "b g s c", attributes=keys.attributes)
        scores = b.op("div", "attention.scale", [scores], attributes={"scalar": (model.hidden // model.heads) ** 0.5})
        mask = parts.mask_slice(b, "attention.bias", "bool")
        scores = b.op(
            "where", "attention.where", [mask, scores], "b g s c", dtype=b.dtype, attributes={"scalar": parts.HIDDEN}
        )
        mixed = b.op(
            "matmul",
            "attention.mix",
            [parts.softmax(b, scores, upcast=False), v],
            "b g s d",
            attributes=keys.attributes,
        )
        mixed = b.op("transpose", "attention.merge_heads", [mixed], "b s g d")
    return b.linear("attention.c_proj", mixed, "g d k", "b s k", bias="k", partial=True, sparsity=sparse)
