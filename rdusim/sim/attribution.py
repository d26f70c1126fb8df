"""Cycles in which operands come, shared between what moves them: memory tiers and AGCUs.

Of the time that loads take, the resource that alone would need most of it has that part; the next has no more than is
left. docs/model.md, "Where the time goes".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rdusim.sim.causes import AGCU
from rdusim.sim.flow import Flow

Shares = Mapping[str, float]  # cause -> part of the time, in any unit

ROUNDING: Final = 1e-9  # of a time: less of it is no time, but what sums of floats leave over


def serving(loads: Sequence[Flow], times: Sequence[tuple[float, float]], at: int) -> Shares:
    """Of the time until the load `at` has come, of loads that are served in order with these begins and ends.

    A tier needs bytes over the rate that their pattern gets, the AGCUs what the busiest of them needs. What is beyond
    is spent on what limits this load, or, where that is its tier, on the order in which AGCUs serve.
    """
    until = times[at][1]
    needed: dict[str, float] = {}
    doors: dict[int, float] = {}
    for load, (begin, end) in zip(loads, times, strict=True):
        if begin >= until:
            continue
        come = (until - begin) / (end - begin) if end > until else 1.0
        needed[load.tier] = needed.get(load.tier, 0.0) + come * load.stream.bytes / load.left_rate
        for switch, size in load.doors.items():
            doors[switch] = doors.get(switch, 0.0) + come * size / load.door_rate
    limit = loads[at].limit
    rest = AGCU if limit in needed else limit
    return _filled({**needed, AGCU: max(doors.values(), default=0.0)}, until, rest)


def lasting(shares: Shares, cycles: float) -> dict[str, float]:
    """The same in proportion, in these cycles."""
    whole = sum(shares.values())
    return {cause: cycles * part / whole for cause, part in shares.items()} if whole > 0.0 else {}


def _filled(needed: Mapping[str, float], whole: float, rest: str) -> Shares:
    """Resources work at the same time: the one that needs most first, others of what is left; then `rest`.

    The one that fills the time is often the one that the time was computed from: what its own need then leaves is the
    rounding of these sums, and no other's time.
    """
    shares: dict[str, float] = {}
    left = whole
    for cause in sorted(needed, key=lambda cause: -needed[cause]):
        if shares and left <= ROUNDING * whole:
            return shares
        shares[cause] = min(left, needed[cause])
        left -= shares[cause]
    if left > ROUNDING * whole or not shares:
        shares[rest] = shares.get(rest, 0.0) + left
    return shares
