"""Collectives over NVLink: steps of a latency and bytes over one GPU's link into the switch.

docs/model.md, "GPU baselines".
"""

from __future__ import annotations

from rdusim.baselines.gpu.kernels import Exchange
from rdusim.baselines.gpu.types import NvLink
from rdusim.units import Seconds


def exchange_seconds(exchange: Exchange, link: NvLink) -> Seconds:
    """The faster of the ring and of one round in which everybody sends to everybody through the switch.

    A link carries the same bytes either way in an all-gather or a broadcast, so one round wins; in an all-reduce one
    round carries n / 2 times the ring's bytes and saves 2 (n - 1) - 1 latencies.
    """
    n, rate = exchange.participants, link.streaming * link.bandwidth
    if n == 1:
        return Seconds(0.0)
    steps, sent, at_once = _WAYS[exchange.kind](n)
    ring = steps * link.latency + sent * exchange.size / rate
    return Seconds(min(ring, link.latency + at_once * exchange.size / rate))


def _all_reduce(n: int) -> tuple[int, float, float]:
    return 2 * (n - 1), 2 * (n - 1) / n, n - 1.0


def _passed_round(n: int) -> tuple[int, float, float]:
    return n - 1, (n - 1) / n, (n - 1) / n


def _broadcast(n: int) -> tuple[int, float, float]:
    return n - 1, 1.0, n - 1.0


# Kind -> steps of the ring, and bytes over a link as shares of the whole result: by the ring, in one round.
_WAYS = {
    "all_reduce": _all_reduce,
    "all_gather": _passed_round,
    "reduce_scatter": _passed_round,
    "all_to_all": _passed_round,
    "broadcast": _broadcast,
}
