"""Layers in which every token sees every other and nothing is cached, as encoders of images and texts have them.

Labels as in `parts`: c are the keys, which are the tokens s themselves; g is a head.
"""

from __future__ import annotations

from dataclasses import dataclass

from rdusim.graph.build import GraphBuilder, Value
from rdusim.graph.models import parts
from rdusim.graph.settings import Settings
from rdusim.graph.types import RunShape


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """Shape and flags. `scaled_queries`: queries are divided by sqrt(head) rather than the scores."""

    layers: int
    hidden: int
    heads: int
    ffn: int
    eps: float
    act: str
    bias: bool = True  # of queries, keys and values
    scaled_queries: bool = False

    @property
    def head(self) -> int:
        return self.hidden // self.heads


def read(settings: Settings, *, act: str, scaled_queries: bool = False) -> Encoder:
    """The keys that encoders share. Problems are collected in `settings`, not raised."""
    hidden, heads = settings.size("hidden_size"), settings.size("num_attention_heads")
    settings.divides("num_attention_heads", heads, "hidden_size", hidden)
    return Encoder(
        layers=settings.size("num_hidden_layers"),
        hidden=hidden,
        heads=heads,
        ffn=settings.size("intermediate_size"),
        eps=settings.number("layer_norm_eps", 1e-5),
        act=settings.choice("hidden_act", act, parts.ACTIVATIONS),
        scaled_queries=scaled_queries,
    )


def extents(encoder: Encoder, shape: RunShape, tokens: int) -> dict[str, int]:
    """Extents of the labels of a layer over so many tokens of each sequence."""
    return {
        "b": shape.batch, "s": tokens, "c": tokens, "k": encoder.hidden, "g": encoder.heads, "d": encoder.head,
        "f": encoder.ffn, "l": 1,
    }  # fmt: skip


def layers(b: GraphBuilder, encoder: Encoder, name: str, x: Value, repeats: int) -> Value:
    """A block of layers with the norms in front of attention and feed-forward."""
    with b.block(name, repeats) as carried:
        y = b.op("add", "attention.residual", [x, attention(b, encoder, _norm(b, encoder, "norm_1", x))])
        y = b.op("add", "mlp.residual", [y, mlp(b, encoder, _norm(b, encoder, "norm_2", y))])
        carried[y.tensor] = x.tensor
    return y


def layers_with_norms_behind(
    b: GraphBuilder, encoder: Encoder, name: str, x: Value, repeats: int, mask: Value
) -> Value:
    """A block of layers with the norms behind the sums, and a mask [b, c] that is added to all scores."""
    with b.block(name, repeats) as carried:
        y = b.op("add", "attention.residual", [attention(b, encoder, x, mask), x])
        y = _norm(b, encoder, "norm_1", y)
        y = _norm(b, encoder, "norm_2", b.op("add", "mlp.residual", [mlp(b, encoder, y), y]))
        carried[y.tensor] = x.tensor
    return y


def attention(b: GraphBuilder, encoder: Encoder, x: Value, mask: Value | None = None) -> Value:
    """Attention of all tokens to all tokens."""
    bias, scale = "g d" if encoder.bias else None, encoder.head**0.5
    q, k, v = (b.linear(f"attention.{kind}_proj", x, "k g d", "b s g d", bias=bias, parallel=("g",)) for kind in "qkv")
    if encoder.scaled_queries:
        q = b.op("mul", "attention.scale", [q], attributes={"scalar": 1.0 / scale})
    q, k, v = (
        parts.heads_first(b, f"attention.{kind}", each, "b g s d") for kind, each in zip("qkv", (q, k, v), strict=True)
    )
    with b.module("attention.attend"):
        k = parts.transposed(b, "attention.k_transpose", k.labelled("b g c d"))
        scores = b.op("matmul", "attention.scores", [q, k], "b g s c")
        if not encoder.scaled_queries:
            scores = b.op("div", "attention.scale", [scores], attributes={"scalar": scale})
        if mask is not None:
            scores = b.op("add", "attention.add_mask", [scores, mask])
        shares = parts.softmax(b, scores, upcast=False)
        mixed = b.op("matmul", "attention.mix", [shares, v.labelled("b g c d")], "b g s d")
        mixed = b.op("transpose", "attention.merge_heads", [mixed], "b s g d")
    return b.linear("attention.out_proj", mixed, "g d k", "b s k", bias="k", partial=True)


def mlp(b: GraphBuilder, encoder: Encoder, x: Value) -> Value:
    """Two linears with an activation between them."""
    y = b.linear("mlp.fc1", x, "k f", "b s f", bias="f", parallel=("f",))
    y = parts.activation(b, "mlp.act", y, encoder.act)
    return b.linear("mlp.fc2", y, "f k", "b s k", bias="k", partial=True)


def _norm(b: GraphBuilder, encoder: Encoder, name: str, x: Value) -> Value:
    return parts.layer_norm(b, name, x, encoder.eps)
