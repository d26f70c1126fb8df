"""Gemma 2: norms on both sides, soft caps on scores and logits, a window in every other layer (modeling_gemma2.py)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rdusim.graph.build import GraphBuilder, Value
from rdusim.graph.models import llama, mixed, parts
from rdusim.graph.models.layers import Kind, blocks, sliding_or_full
from rdusim.graph.settings import Settings
from rdusim.graph.types import OperatorGraph, RunShape

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Gemma2:
    """`cap`: of the logits."""

    decoder: llama.Llama
    kinds: tuple[Kind, ...]
    cap: float | None


def read(settings: Settings) -> Gemma2:
    """Problems are collected in `settings`, not raised."""
    model = replace(
        llama.read(settings),
        act=settings.choice("hidden_activation", "gelu_pytorch_tanh", parts.ACTIVATIONS),
        tied=settings.flag("tie_word_embeddings", True),
        scaled_by=max(settings.number("query_pre_attn_scalar", 256.0), 1.0) ** -0.5,
        cap=_cap(settings, "attn_logit_softcapping", 50.0),
    )
    kinds = sliding_or_full(settings, model.layers, settings.size("sliding_window", 4096))
    return Gemma2(decoder=model, kinds=tuple(kinds), cap=_cap(settings, "final_logit_softcapping", 30.0))


def build(settings: Settings, name: str, shape: RunShape) -> OperatorGraph:
    gemma = read(settings)
    settings.check()
    model = gemma.decoder
    b = GraphBuilder(name, shape, llama.extents(model, shape, parts.keys_of(shape, None)))

    def layer(b: GraphBuilder, kind: Kind, x: Value, positions: Value) -> Value:
        keys = parts.keys_of(shape, kind.window)
        b.extents = llama.extents(model, shape, keys)
        attended = llama.attention(b, model, _norm(b, model, "input_norm", x), positions, keys)
        x = b.op("add", "attention.residual", [x, _norm(b, model, "post_attention_norm", attended)])
        made = llama.mlp(b, model, _norm(b, model, "pre_feedforward_norm", x))
        return b.op("add", "mlp.residual", [x, _norm(b, model, "post_feedforward_norm", made)])

    tokens, positions = b.input("input_ids", "b s", "int32"), b.input("position_ids", "b s", "int32")
    with b.block("embedding"):
        table = b.weight("embed_tokens.weight", "v k")
        x = parts.embedding(b, "embed_tokens", tokens, table, parallel=("v",))
        x = b.op("mul", "normalizer", [x], attributes={"scalar": model.hidden**0.5})
    x = blocks(b, gemma.kinds, layer, x, positions)
    with b.block("head"):
        parts.head(b, _norm(b, model, "norm", x), table if model.tied else None, gemma.cap)
    return b.finish()


def constants(settings: Settings, shape: RunShape) -> dict[str, NDArray[Any]]:
    """Values of the CONSTANT tensors of `build`'s graph."""
    gemma = read(settings)
    settings.check()
    return mixed.values(gemma.decoder, gemma.kinds, shape)


def _norm(b: GraphBuilder, model: llama.Llama, name: str, x: Value) -> Value:
    return parts.rms_norm(b, name, x, model.eps, model.hidden, around_one=True)


def _cap(settings: Settings, name: str, default: float) -> float | None:
    """null: none."""
    if settings.values.get(name, default) is None:
        return None
    cap = settings.number(name, default)
    if cap == 0.0:
        settings.wrong(name, "0 leaves nothing", "a number above 0, or null for no cap")
    return cap or default
