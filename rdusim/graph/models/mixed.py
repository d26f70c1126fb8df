"""Llama's attention with a mixture of experts, or a plain feed-forward, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rdusim.graph.build import GraphBuilder, Value
from rdusim.graph.models import experts, llama, parts
from rdusim.graph.models.experts import Mixture, Network, Router
from rdusim.graph.models.layers import Kind, decoder
from rdusim.graph.types import OperatorGraph, RunShape

if TYPE_CHECKING:
    from numpy.typing import NDArray


def assemble(
    model: llama.Llama, mixture: Mixture, kinds: Sequence[Kind], name: str, shape: RunShape, router: Router,
    network: Network | None = None,
) -> OperatorGraph:  # fmt: skip
    """The graph of a decoder with these layers."""
    b = GraphBuilder(name, shape, _extents(model, mixture, shape, None))

    def layer(b: GraphBuilder, kind: Kind, x: Value, positions: Value) -> Value:
        b.extents = _extents(model, mixture, shape, kind.window)
        normal = parts.rms_norm(b, "input_norm", x, model.eps, model.hidden)
        attended = llama.attention(b, model, normal, positions, parts.keys_of(shape, kind.window))
        x = b.op("add", "attention.residual", [x, attended])
        normal = parts.rms_norm(b, "post_attention_norm", x, model.eps, model.hidden)
        if kind.mixture:
            return b.op("add", "mlp.residual", [x, experts.feed_forward(b, mixture, normal, router, network)])
        return b.op("add", "mlp.residual", [x, llama.mlp(b, model, normal)])

    decoder(b, kinds, layer, eps=model.eps, hidden=model.hidden, tied=model.tied)
    return b.finish()


def values(model: llama.Llama, kinds: Sequence[Kind], shape: RunShape) -> dict[str, NDArray[Any]]:
    """Values of the CONSTANT tensors of the graph."""
    from rdusim.graph.models import tables

    found = {"rotary.inv_freq": tables.inverse_frequencies(model.head, model.theta, model.scaling)}
    for kind in dict.fromkeys(kinds):
        keys = parts.keys_of(shape, kind.window)
        found[llama.mask(keys)] = tables.additive_mask(shape.query_tokens, keys)
    return found


def _extents(model: llama.Llama, mixture: Mixture, shape: RunShape, window: int | None) -> dict[str, int]:
    return llama.extents(model, shape, parts.keys_of(shape, window)) | experts.extents(shape, mixture)
