"""DeepSeek-V3 and R1: latent attention, and after the first layers a mixture with a shared expert (arXiv 2412.19437).

Experts are chosen within the best groups; the shared one sees every token, as a feed-forward beside the mixture. The
multi-token-prediction layers behind the last one are left out: they make drafts, and no part of the next token.
Published weights are fp8 in blocks; here all weights have the dtype of the run.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rdusim.graph.build import GraphBuilder, Value
from rdusim.graph.models import experts, latent, llama, parts
from rdusim.graph.models.layers import Kind, decoder
from rdusim.graph.settings import Settings
from rdusim.graph.types import OperatorGraph, RunShape

if TYPE_CHECKING:
    from numpy.typing import NDArray


def build(settings: Settings, name: str, shape: RunShape) -> OperatorGraph:
    model, mla = _read(settings)
    mixture, shared, kinds = _mixture(settings, shape), settings.whole("n_shared_experts", 0), _kinds(settings, model)
    settings.check()
    keys = parts.keys_of(shape, None)

    def extents(ffn: int) -> dict[str, int]:
        return parts.extents(
            shape, keys, hidden=model.hidden, groups=model.heads, queries=1, head=mla.rope, ffn=ffn,
            vocabulary=model.vocabulary,
        ) | latent.extents(mla) | experts.extents(shape, mixture)  # fmt: skip

    def layer(b: GraphBuilder, kind: Kind, x: Value, positions: Value) -> Value:
        b.extents = extents(shared * mixture.width if kind.mixture and shared else model.ffn)
        normal = parts.rms_norm(b, "input_norm", x, model.eps, model.hidden)
        x = b.op("add", "attention.residual", [x, latent.attention(b, mla, normal, positions, keys)])
        normal = parts.rms_norm(b, "post_attention_norm", x, model.eps, model.hidden)
        if not kind.mixture:
            return b.op("add", "mlp.residual", [x, llama.mlp(b, model, normal)])
        own = llama.mlp(b, model, normal) if shared else None
        routed = experts.feed_forward(b, mixture, normal, experts.group_limited)
        if own is not None:
            routed = b.op("add", "experts.add_shared", [routed, own])
        return b.op("add", "mlp.residual", [x, routed])

    b = GraphBuilder(name, shape, extents(model.ffn))
    decoder(b, kinds, layer, eps=model.eps, hidden=model.hidden, tied=model.tied)
    return b.finish()


def constants(settings: Settings, shape: RunShape) -> dict[str, NDArray[Any]]:
    """Values of the CONSTANT tensors of `build`'s graph."""
    from rdusim.graph.models import tables

    model, mla = _read(settings)
    settings.check()
    return {
        "rotary.inv_freq": tables.inverse_frequencies(mla.rope, model.theta, model.scaling),
        latent.MASK: tables.additive_mask(shape.query_tokens, parts.keys_of(shape, None)),
    }


def _read(settings: Settings) -> tuple[llama.Llama, latent.Latent]:
    model = llama.read(settings)
    return model, latent.read(settings, model.eps)


def _mixture(settings: Settings, shape: RunShape) -> experts.Mixture:
    mixture = experts.read(settings, shape, count="n_routed_experts", width="moe_intermediate_size")
    groups, chosen = settings.size("n_group", 1), settings.size("topk_group", 1)
    settings.choice("scoring_func", "sigmoid", ("sigmoid",))
    settings.choice("topk_method", "noaux_tc", ("noaux_tc",))
    settings.divides("n_group", groups, "n_routed_experts", mixture.count)
    members = mixture.count // groups
    if chosen > groups:
        settings.wrong("topk_group", f"{chosen} of {groups} groups", "at most n_group")
    elif chosen * members < mixture.chosen:
        settings.wrong("topk_group", f"{chosen} groups of {members} experts hold fewer than num_experts_per_tok")
    if groups > 1 and members < 2:
        settings.wrong("n_group", "a group is judged by its two best experts", "at least two experts a group")
    return replace(
        mixture,
        groups=groups,
        groups_chosen=chosen,
        normalised=settings.flag("norm_topk_prob", True),
        scale=settings.number("routed_scaling_factor", 1.0),
    )


def _kinds(settings: Settings, model: llama.Llama) -> list[Kind]:
    dense, every = settings.whole("first_k_dense_replace", 0), settings.size("moe_layer_freq", 1)
    mixtures = [layer >= dense and layer % every == 0 for layer in range(model.layers)]
    return [Kind(name="" if mixture else "dense", mixture=mixture) for mixture in mixtures]
