"""A config.json made small: the same family and flags, every size a few units, and what was shared or cut still is.

For checks that execute a model. Which keys are sizes stands in one table; no family is named here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Any

from rdusim.graph.settings import Settings

HEAD = 8  # elements of a head
LAYERS = 2  # of each kind
LEAST_VOCABULARY = 64
EXPERTS = 8
CHOSEN = 2  # of the experts
GROUPS = 2  # of the router
POSITIONS = 64
PATCH = 2  # rows and columns of a patch of an image
PATCHES = 2  # along each side of an image
NESTED = ("text_config", "vision_config")
PADDING = 0.01  # of a vocabulary: below it, sharding pads (program/shard.py:MOST_PADDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """`ways` of tensor parallelism; a window over `tokens` of the model's becomes one over `few` tokens."""

    ways: int
    tokens: int
    few: int


def scaled_down(settings: Settings, scale: Scale) -> dict[str, Any]:
    """The config's values with small sizes: see `Scale`. Keys that are no sizes stay as they are.

    Weights are dense: sparsity changes what a product costs, not what it is. Nested configs are made small likewise,
    and say all their sizes.
    """
    found = _own_sizes(settings, scale)
    for name in NESTED:
        if settings.table(name):
            found[name] = _own_sizes(settings.within(name), scale)
    return found | _seen_layers(settings, found)


def sizes(values: Mapping[str, Any], before: Settings) -> dict[str, Any]:
    """Values that differ from those of a config, those of nested ones under `config.key`."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and key in NESTED:
            found |= {f"{key}.{name}": each for name, each in sizes(value, before.within(key)).items()}
        elif value != before.values[key]:
            found[key] = value
    return found


def _own_sizes(settings: Settings, scale: Scale) -> dict[str, Any]:
    small = _Small(settings, scale)
    found = {name: value for name, value in settings.values.items() if name != "weight_sparsity"}
    for name, value in small.sizes().items():
        key = settings.key(name)
        if isinstance(found.get(key), int) and not isinstance(found[key], bool):
            found[key] = value
    return found | small.lists()


def write_config(values: Mapping[str, Any], folder: Path) -> Path:
    """The config as a file that `load_graph` reads."""
    path = folder / "config.json"
    path.write_text(json.dumps(values, indent=2), encoding="utf-8")
    return path


class _Small:
    def __init__(self, settings: Settings, scale: Scale) -> None:
        self.settings, self.scale = settings, scale
        self.heads = self._size("num_attention_heads", 1)
        self.groups = self._size("num_key_value_heads", self.heads)

    def sizes(self) -> dict[str, int]:
        """Small values of all keys that are sizes, present or not."""
        ways = self.scale.ways
        over_groups = gcd(self.groups, ways)
        groups = _few(self.groups, over_groups)
        queries = max(1, self.heads // self.groups)
        heads = groups * _few(queries, gcd(queries, ways // over_groups))
        hidden = self._hidden(heads)
        vocabulary = self._size("vocab_size", LEAST_VOCABULARY)
        layers, windowed_from = self._layers()
        window = self._size("sliding_window", self.scale.tokens)
        return (
            self._mixture(hidden)
            | self._latent()
            | {
                "num_attention_heads": heads,
                "num_key_value_heads": groups,
                "head_dim": HEAD,
                "hidden_size": hidden,
                "intermediate_size": self._ffn(hidden),
                "vocab_size": _vocabulary(vocabulary, ways),
                "num_labels": _vocabulary(self._size("num_labels", LEAST_VOCABULARY), ways),
                "num_hidden_layers": layers,
                "max_window_layers": windowed_from,
                "max_position_embeddings": POSITIONS,
                "patch_size": PATCH,
                "image_size": PATCH * PATCHES,
                "sliding_window": max(1, window * self.scale.few // max(1, self.scale.tokens)),
            }
        )

    def _mixture(self, hidden: int) -> dict[str, int]:
        """A few experts, of which two are chosen, out of half of the groups where there are any."""
        chosen, groups = min(self._size("num_experts_per_tok", 1), CHOSEN), self._size("n_group", 1)
        return {
            **dict.fromkeys(("num_local_experts", "num_experts", "n_routed_experts"), EXPERTS),
            "num_experts_per_tok": chosen,
            "n_group": min(groups, GROUPS),
            "topk_group": min(groups, GROUPS) // 2 or 1,
            "moe_intermediate_size": self._ffn(hidden, "moe_intermediate_size"),
            "first_k_dense_replace": min(1, self._size("first_k_dense_replace", 0)),
        }

    def _latent(self) -> dict[str, int]:
        """Ranks between the sizes of a head: all different, so that none can stand for another."""
        return {
            "q_lora_rank": 3 * HEAD // 2,
            "kv_lora_rank": 5 * HEAD // 4,
            "qk_nope_head_dim": HEAD,
            "qk_rope_head_dim": HEAD // 2,
            "v_head_dim": 3 * HEAD // 4,
        }

    def lists(self) -> dict[str, list[Any]]:
        """Lists with an entry for each layer, as long as there are layers."""
        full, (layers, _) = self._size("num_hidden_layers", 1), self._layers()
        values = self.settings.values.items()
        return {key: value[:layers] for key, value in values if isinstance(value, list) and len(value) == full}

    def _size(self, name: str, default: int) -> int:
        value = self.settings.values.get(self.settings.key(name))
        return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else default

    def _hidden(self, heads: int) -> int:
        """As wide, in heads, as the model is; whole heads of it, as some families cut it."""
        hidden = self._size("hidden_size", 1)
        head = self._size("head_dim", hidden // self.heads)
        wide = max(1, round(heads * hidden / max(1, self.heads * head)))
        return wide * HEAD

    def _ffn(self, hidden: int, name: str = "intermediate_size") -> int:
        """In proportion to the hidden size, and cut over the sockets as the model's is."""
        ffn, full = self._size(name, 4 * hidden), self._size("hidden_size", hidden)
        step = gcd(ffn, self.scale.ways)
        return step * max(1, round(ffn / full * hidden / step))

    def _layers(self) -> tuple[int, int]:
        """Layers, and the first one with a sliding window: some of both kinds where the model has both."""
        layers = self._size("num_hidden_layers", 1)
        first = self._size("max_window_layers", layers)
        kinds = self.settings.values.get("layer_types")
        if self._size("first_k_dense_replace", 0):
            return (min(layers, 1 + LAYERS),) * 2
        if isinstance(kinds, list) and len(set(kinds)) > 1:
            return (min(layers, 2 * LAYERS),) * 2
        return (min(layers, LAYERS),) * 2 if first >= layers else (2 * LAYERS, LAYERS)


def _seen_layers(settings: Settings, small: Mapping[str, Any]) -> dict[str, Any]:
    """A tower whose result is that of an inner layer still has one layer behind it that nothing reads."""
    tower, index = small.get("vision_config"), settings.signed("vision_feature_layer", -1)
    if tower is None or index == -1:
        return {}
    tower = {**tower, "num_hidden_layers": LAYERS + 1}
    return {"vision_config": tower, "vision_feature_layer": LAYERS if index >= 0 else -2}


def _few(count: int, cut: int) -> int:
    """One, two or (where it has an odd factor) three times the ways in which a count is cut."""
    rest = count // cut
    return cut * (1 if rest == 1 else 2 if rest & (rest - 1) == 0 else 3)


def _vocabulary(size: int, ways: int) -> int:
    """The least that leaves the same rest over the sockets: a vocabulary that is padded still is."""
    missing = -size % ways
    least = LEAST_VOCABULARY if missing == 0 else max(LEAST_VOCABULARY, int(missing / PADDING) + ways)
    return -(-least // ways) * ways - missing
