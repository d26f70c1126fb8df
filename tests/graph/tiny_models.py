"""Configs of two small layers for every family and flag, and random weights for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rdusim.graph.evaluate import evaluate, input_shapes
from rdusim.graph.load import load_constants, load_graph
from rdusim.graph.types import OperatorGraph, Phase, Role, RunShape

Array = NDArray[Any]

LLAMA: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 29, "rms_norm_eps": 1e-5,
}  # fmt: skip
FALCON: dict[str, Any] = {
    "model_type": "falcon", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 29,
}  # fmt: skip
MIXTRAL = LLAMA | {"model_type": "mixtral", "num_local_experts": 5, "num_experts_per_tok": 2}
QWEN3_MOE = LLAMA | {
    "model_type": "qwen3_moe", "head_dim": 8, "num_hidden_layers": 4, "num_experts": 6, "num_experts_per_tok": 3,
    "moe_intermediate_size": 20, "norm_topk_prob": True, "mlp_only_layers": [0],
}  # fmt: skip
YARN = {
    "rope_type": "yarn", "factor": 4.0, "beta_fast": 4.0, "beta_slow": 1.0, "original_max_position_embeddings": 16,
}  # fmt: skip
GPT_OSS = LLAMA | {
    "model_type": "gpt_oss", "head_dim": 8, "num_hidden_layers": 4, "num_local_experts": 4, "num_experts_per_tok": 2,
    "intermediate_size": 20, "attention_bias": True, "sliding_window": 3, "swiglu_limit": 0.8, "rope_theta": 500.0,
    "layer_types": ["sliding_attention", "full_attention"] * 2, "rope_scaling": YARN | {"truncate": False},
}  # fmt: skip
GEMMA2 = LLAMA | {
    "model_type": "gemma2", "head_dim": 8, "num_hidden_layers": 4, "sliding_window": 3, "query_pre_attn_scalar": 12,
    "attn_logit_softcapping": 2.0, "final_logit_softcapping": 1.5,
}  # fmt: skip
DEEPSEEK = LLAMA | {
    "model_type": "deepseek_v3", "num_key_value_heads": 4, "num_hidden_layers": 3, "first_k_dense_replace": 1,
    "q_lora_rank": 12, "kv_lora_rank": 10, "qk_nope_head_dim": 6, "qk_rope_head_dim": 8, "v_head_dim": 5,
    "n_routed_experts": 8, "n_shared_experts": 2, "num_experts_per_tok": 3, "moe_intermediate_size": 16, "n_group": 4,
    "topk_group": 2, "routed_scaling_factor": 2.5, "norm_topk_prob": True,
    "rope_scaling": YARN | {"mscale": 0.7, "mscale_all_dim": 1.0, "beta_fast": 8.0},
}  # fmt: skip
LLAVA: dict[str, Any] = {
    "model_type": "llava", "text_config": LLAMA, "vision_feature_layer": -2,
    "vision_config": {
        "model_type": "clip_vision_model", "hidden_size": 24, "intermediate_size": 20, "num_hidden_layers": 3,
        "num_attention_heads": 4, "image_size": 4, "patch_size": 2,
    },
}  # fmt: skip

TINY: dict[str, dict[str, Any]] = {
    "llama": LLAMA,
    "llama-mha-tied-biased": LLAMA
    | {"num_key_value_heads": 4, "tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True},
    "llama3-rope": LLAMA
    | {
        "head_dim": 16,
        "rope_parameters": {
            "rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 8,
        },
    },
    "mistral": LLAMA | {"model_type": "mistral", "sliding_window": 3},
    "mistral-window-1": LLAMA | {"model_type": "mistral", "sliding_window": 1},
    "phi3": LLAMA | {"model_type": "phi3"},
    "phi3-windowed": LLAMA | {"model_type": "phi3", "sliding_window": 3, "num_key_value_heads": 4},
    "qwen2": LLAMA | {"model_type": "qwen2", "hidden_act": "silu"},
    "qwen2-windowed": LLAMA
    | {
        "model_type": "qwen2", "use_sliding_window": True, "sliding_window": 3, "max_window_layers": 2,
        "num_hidden_layers": 4,
    },
    "qwen3": LLAMA | {"model_type": "qwen3", "head_dim": 16},
    "mixtral": MIXTRAL,
    "qwen3-moe": QWEN3_MOE,
    "qwen3-moe-every-other": QWEN3_MOE | {"decoder_sparse_step": 2, "mlp_only_layers": [], "norm_topk_prob": False},
    "gpt-oss": GPT_OSS,
    "gemma2": GEMMA2,
    "gemma2-uncapped": GEMMA2 | {"attn_logit_softcapping": None, "final_logit_softcapping": None},
    "deepseek-v3": DEEPSEEK,
    "deepseek-v3-plain-queries": DEEPSEEK | {"q_lora_rank": None, "n_group": 1, "topk_group": 1, "rope_scaling": None},
    "bloom": {"model_type": "bloom", "n_embed": 36, "n_layer": 2, "n_head": 6, "vocab_size": 29},
    "falcon-new": FALCON | {"new_decoder_architecture": True, "num_kv_heads": 2},
    "falcon-multi-query": FALCON | {"multi_query": True},
    "falcon-alibi": FALCON | {"alibi": True, "multi_query": False, "parallel_attn": False, "bias": True},
    "gpt2": {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 16, "vocab_size": 29},
}  # fmt: skip
# A prompt is at least an image and a token, 5 tokens; 6 where the class token is kept.
WITH_IMAGES: dict[str, dict[str, Any]] = {
    "llava": LLAVA,
    "llava-last-layer-with-class": LLAVA | {
        "vision_feature_layer": -1, "vision_feature_select_strategy": "full", "multimodal_projector_bias": False,
        "projector_hidden_act": "relu",
    },
}  # fmt: skip

ENCODERS: dict[str, dict[str, Any]] = {
    "bert": {
        "model_type": "bert", "hidden_size": 24, "intermediate_size": 20, "num_hidden_layers": 2,
        "num_attention_heads": 4, "vocab_size": 32, "max_position_embeddings": 16,
    },
    "vit": {
        "model_type": "vit", "hidden_size": 24, "intermediate_size": 20, "num_hidden_layers": 2,
        "num_attention_heads": 4, "image_size": 4, "patch_size": 2, "num_labels": 12,
    },
}  # fmt: skip


def write(folder: Path, config: Mapping[str, Any]) -> Path:
    """The config as a file."""
    path = folder / "config.json"
    path.write_text(json.dumps(config, indent=2))
    return path


def prefill(tokens: int, batch: int = 2) -> RunShape:
    return RunShape(
        phase=Phase.PREFILL, batch=batch, query_tokens=tokens, context_tokens=tokens, dtype="fp32", full_routing=True
    )


def decode(context: int, batch: int = 2, queries: int = 1) -> RunShape:
    return RunShape(
        phase=Phase.DECODE, batch=batch, query_tokens=queries, context_tokens=context, dtype="fp32", full_routing=True
    )


def weights(graph: OperatorGraph, rng: np.random.Generator) -> dict[str, Array]:
    """Random weights, large enough that every part of a layer changes the logits."""
    shapes = input_shapes(graph)
    return {
        name: rng.normal(size=shapes[name]) * 0.3
        for name, tensor in graph.tensors.items()
        if tensor.role is Role.WEIGHT
    }


def run(
    path: Path, shape: RunShape, values: Mapping[str, Array], tokens: Array, past: Mapping[str, Array] | None = None
) -> tuple[OperatorGraph, dict[str, Array]]:
    """Evaluates the model on the last `query_tokens` of `tokens`; the cache is clipped to what the graph takes.

    Tokens that stand for an image are not looked at: its `pixel_values` are among the values.
    """
    graph = load_graph(path, shape)
    first = shape.context_tokens - shape.query_tokens
    positions = np.broadcast_to(np.arange(first, shape.context_tokens), (shape.batch, shape.query_tokens))
    text = graph.tensors["input_ids"].shape[1]
    inputs = {"input_ids": tokens[:, shape.context_tokens - text : shape.context_tokens], "position_ids": positions}
    cache = {}
    for operator in graph.operators:
        if operator.kind == "kv_append":
            old, new = operator.inputs
            entries = (past or {})[new.tensor]
            room = graph.tensors[old.tensor].shape[-2]
            cache[old.tensor] = entries[..., entries.shape[-2] - room :, :]
    every = {**load_constants(path, shape), **values, **inputs, **cache}
    return graph, evaluate(graph, every, keep=("head/lm_head", "head/softcap.mul"))
