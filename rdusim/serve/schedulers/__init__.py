"""What a node does next: one scheduler a file, and the table of them. A turn gives the time of the next turn."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from rdusim.serve.node import Turn
from rdusim.serve.schedulers import chunked, continuous, static

SCHEDULERS: Final[Mapping[str, Turn]] = MappingProxyType(
    {"static": static.turn, "continuous": continuous.turn, "chunked": chunked.turn}
)
