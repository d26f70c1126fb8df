"""How a node serves a Composition of Experts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from rdusim.units import Bytes, Seconds


class Grouping(StrEnum):
    """PAIRS: as in the paper, each (prompt, expert) pair of a batch alone, one after the other. BATCH: prompts of a
    batch that go to the same expert run as one, residents first. QUEUE: the same over the whole queue, whose experts
    are known because everything is routed as it arrives.
    """

    PAIRS = "pairs"
    BATCH = "batch"
    QUEUE = "queue"


@dataclass(frozen=True, slots=True, kw_only=True)
class CoeSettings:
    """`batch`: requests routed, and at most run, at once. `router`: its shape; None routes in no time.

    `router_tokens`: tokens that the router writes for each prompt; the first comes out of its prefill. `overlap`: the
    next expert is copied while the present one runs, instead of before. `near`: the tier experts run from. `patience`:
    with grouping QUEUE, how long a request waits before it goes ahead of younger ones of resident experts. `warm`:
    the region is filled in the order of the list before time starts, else it is empty. `network`: one way between
    client and node. `kv_per_token`: bytes of keys and values by shape; a shape that is not there takes none.
    """

    batch: int = 1
    grouping: Grouping = Grouping.PAIRS
    overlap: bool = False
    router: str | None = None
    router_tokens: int = 1
    near: str = "hbm"
    patience: Seconds = Seconds(1.0)
    warm: bool = False
    network: Seconds = Seconds(0.0)
    kv_per_token: Mapping[str, Bytes] = field(default_factory=dict)
