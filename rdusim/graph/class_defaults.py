"""What transformers' config classes take for keys that a nested config leaves out (files hold only differences).

A config.json that stands alone must say its sizes: there, a missing key is a mistake.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

CLASS_DEFAULTS: Final[Mapping[str, Mapping[str, object]]] = MappingProxyType(
    {
        # CLIPVisionConfig (configuration_clip.py)
        "clip_vision_model": {
            "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
            "num_channels": 3, "image_size": 224, "patch_size": 32, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5,
        },
        # LlamaConfig (configuration_llama.py)
        "llama": {
            "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
            "num_attention_heads": 32, "hidden_act": "silu", "max_position_embeddings": 2048, "rms_norm_eps": 1e-6,
            "tie_word_embeddings": False, "rope_theta": 10000.0, "attention_bias": False, "mlp_bias": False,
        },
    }
)  # fmt: skip
