"""Which node serves a request: one dispatcher a file, and the table of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from rdusim.serve.dispatch import affinity, hashing, least_loaded
from rdusim.serve.dispatch.types import Dispatcher

__all__ = ["DISPATCHERS", "Dispatcher"]

DISPATCHERS: Final[Mapping[str, Dispatcher]] = MappingProxyType(
    {"affinity": affinity.DISPATCHER, "least_loaded": least_loaded.DISPATCHER, "hash": hashing.DISPATCHER}
)
