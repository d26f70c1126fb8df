"""How long prompts and answers are: one source a file, and the table of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from rdusim.serve.lengths.by_client import ByClient
from rdusim.serve.lengths.fixed import Fixed
from rdusim.serve.lengths.lognormal import LogNormal
from rdusim.serve.lengths.recorded import Recorded
from rdusim.serve.lengths.types import Lengths

__all__ = ["LENGTHS", "ByClient", "Fixed", "Lengths", "LogNormal", "Recorded"]

LENGTHS: Final[Mapping[str, type[Lengths]]] = MappingProxyType(
    {"fixed": Fixed, "recorded": Recorded, "lognormal": LogNormal, "by_client": ByClient}
)
