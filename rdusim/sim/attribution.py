"""Cycles in which operands come, shared between the memories that move them and what moves them later than these could.

Of the time that loads take, a tier has the part that it alone would need: bytes over the rate that their pattern gets.
Only what is beyond that is spent on AGCUs, or on whatever else holds a load below that rate. docs/model.md, "Where the
time goes".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rdusim.sim.causes import AGCU
from rdusim.sim.flow import Flow

Shares = Mapping[str, float]  # cause -> part of the time, in any unit


def moving(flow: Flow) -> Shares:
    """Of the time in which a load or store moves by itself: rate / rate of its tier, the rest its limit's."""
    return _filled({flow.tier: 1.0 / flow.left_rate}, 1.0 / flow.rate, flow.limit)


def serving(loads: Sequence[Flow], times: Sequence[tuple[float, float]], at: int) -> Shares:
    """Of the time until the load `at` has come, of loads that are served in order with these begins and ends.

    Each has moved its bytes in proportion to the time between its begin and its end.
    """
    until, flow = times[at][1], loads[at]
    needed: dict[str, float] = {}
    for load, (begin, end) in zip(loads, times, strict=True):
        if begin < until:
            come = (until - begin) / (end - begin) if end > until else 1.0
            needed[load.tier] = needed.get(load.tier, 0.0) + come * load.stream.bytes / load.left_rate
    return _filled(needed, until, AGCU if flow.limit in needed else flow.limit)


def carrying(tiers: Mapping[str, float], carried: float) -> Shares:
    """Of the time in which AGCUs carry what the tiers would move in these cycles each."""
    return _filled(tiers, carried, AGCU)


def lasting(shares: Shares, cycles: float) -> dict[str, float]:
    """The same in proportion, in these cycles."""
    whole = sum(shares.values())
    return {cause: cycles * part / whole for cause, part in shares.items()} if whole > 0.0 else {}


def _filled(needed: Mapping[str, float], whole: float, rest: str) -> Shares:
    """Tiers work at the same time: the busiest first, others of what is left; then `rest`."""
    shares: dict[str, float] = {}
    left = whole
    for tier in sorted(needed, key=lambda tier: -needed[tier]):
        shares[tier] = min(left, needed[tier])
        left -= shares[tier]
    if left > 1e-9 * whole or not shares:
        shares[rest] = shares.get(rest, 0.0) + left
    return shares
