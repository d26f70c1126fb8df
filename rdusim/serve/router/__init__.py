"""Which expert each request goes to: one policy a file, and the table of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from rdusim.serve.router import bursts, markov, recorded, round_robin, uniform, zipf
from rdusim.serve.router.types import RouterParameters, RouterPolicy

__all__ = ["POLICIES", "RouterParameters", "RouterPolicy"]

POLICIES: Final[Mapping[str, RouterPolicy]] = MappingProxyType(
    {
        "recorded": recorded.POLICY,
        "zipf": zipf.POLICY,
        "uniform": uniform.POLICY,
        "round_robin": round_robin.POLICY,
        "markov": markov.POLICY,
        "bursts": bursts.POLICY,
    }
)
