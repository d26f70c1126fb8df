"""Collective algorithms, by what they do and then by how: (participants, size, topology) -> TransferPlan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rdusim.net.collectives import direct, halving_doubling, ring
from rdusim.net.types import Algorithm

ALGORITHMS: Final[Mapping[str, Mapping[str, Algorithm]]] = {
    "all_reduce": {
        "direct": direct.all_reduce,
        "ring": ring.all_reduce,
        "halving_doubling": halving_doubling.all_reduce,
    },
    "all_gather": {
        "direct": direct.all_gather,
        "ring": ring.all_gather,
    },
    "reduce_scatter": {
        "direct": direct.reduce_scatter,
        "ring": ring.reduce_scatter,
    },
}
