"""Families of Hugging Face models by `model_type`. A new family: a file beside these and a line in the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol

from rdusim.graph.models import (
    bert,
    bloom,
    deepseek_v3,
    falcon,
    gemma2,
    gpt2,
    gpt_oss,
    llama,
    llava,
    mistral,
    mixtral,
    phi3,
    qwen2,
    qwen3,
    qwen3_moe,
    vit,
)
from rdusim.graph.settings import Settings
from rdusim.graph.types import OperatorGraph, RunShape

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Family(Protocol):
    """What a family's module offers: the graph of a config, and the values of its constants."""

    def build(self, settings: Settings, name: str, shape: RunShape) -> OperatorGraph: ...

    def constants(self, settings: Settings, shape: RunShape) -> dict[str, NDArray[Any]]: ...


FAMILIES: Final[Mapping[str, Family]] = MappingProxyType(
    {
        "bert": bert,
        "bloom": bloom,
        "deepseek_v3": deepseek_v3,
        "falcon": falcon,
        "gemma2": gemma2,
        "gpt2": gpt2,
        "gpt_oss": gpt_oss,
        "llama": llama,
        "llava": llava,
        "mistral": mistral,
        "mixtral": mixtral,
        "phi3": phi3,
        "qwen2": qwen2,
        "qwen3": qwen3,
        "qwen3_moe": qwen3_moe,
        "vit": vit,
    }
)

# Encoders: families that see all tokens of a run at once and have no decode step; and how many tokens that are at most.
ENCODERS: Final[Mapping[str, Callable[[Settings], int]]] = MappingProxyType(
    {"bert": bert.positions, "vit": vit.positions}
)
# Families whose prompts are not of any length, and how many tokens they are at least.
PROMPTS: Final[Mapping[str, Callable[[Settings], int]]] = MappingProxyType({"llava": llava.least_prompt})
