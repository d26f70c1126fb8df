"""Collective algorithms, by what they do and then by how: (participants, topology) -> TransferPlan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rdusim.net.collectives import bruck, direct, halving_doubling, hierarchical, ring, scatter_gather, tree
from rdusim.net.types import Algorithm

# Of equals the first is taken.
ALGORITHMS: Final[Mapping[str, Mapping[str, Algorithm]]] = {
    "all_reduce": {
        "direct": direct.all_reduce,
        "ring": ring.all_reduce,
        "halving_doubling": halving_doubling.all_reduce,
        "hierarchical": hierarchical.all_reduce,
    },
    "all_gather": {
        "direct": direct.all_gather,
        "ring": ring.all_gather,
        "halving_doubling": halving_doubling.all_gather,
        "hierarchical": hierarchical.all_gather,
    },
    "reduce_scatter": {
        "direct": direct.reduce_scatter,
        "ring": ring.reduce_scatter,
        "halving_doubling": halving_doubling.reduce_scatter,
        "hierarchical": hierarchical.reduce_scatter,
    },
    "all_to_all": {
        "direct": direct.all_to_all,
        "bruck": bruck.all_to_all,
        "hierarchical": hierarchical.all_to_all,
    },
    "broadcast": {
        "direct": direct.broadcast,
        "tree": tree.broadcast,
        "scatter_gather": scatter_gather.broadcast,
    },
    "send_receive": {
        "direct": direct.send_receive,
    },
}
# Those that take n (n - 1) messages or more.
ALL_PAIRS: Final[Mapping[str, tuple[str, ...]]] = {
    "all_reduce": ("direct", "ring"),
    "all_gather": ("direct", "ring"),
    "reduce_scatter": ("direct", "ring"),
    "all_to_all": ("direct",),
    "broadcast": ("scatter_gather",),
    "send_receive": (),
}
