"""The model, machine-independent. Its verbs are imported when first used (and `evaluate.evaluate`, from its module)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rdusim.graph.catalog import describe, list_models
    from rdusim.graph.load import load_graph

__all__ = ["describe", "list_models", "load_graph"]

_HOME = {
    "describe": "rdusim.graph.catalog",
    "list_models": "rdusim.graph.catalog",
    "load_graph": "rdusim.graph.load",
}


def __getattr__(name: str) -> object:
    """Import an exported name from its home when it is first asked for (PEP 562)."""
    if (home := _HOME.get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(home), name)
    return value
