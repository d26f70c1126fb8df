"""How many experts of a mixture are hit, and by how many tokens each: expected values. docs/model.md, "Experts".

Graphs have static shapes, so a step has places for `active` experts with `slots` tokens each: the numbers that routing
gives on average, or room for every case (`RunShape.full_routing`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp, sqrt
from statistics import NormalDist

from rdusim.graph.types import RunShape

ROUNDING = 1e-9  # of a count: sums of probabilities are not whole to the last bit


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """What the busiest group of experts must have room for: `active` experts of its own, `slots` tokens for each."""

    active: int
    slots: int


def places(shape: RunShape, experts: int, chosen: int) -> Places:
    """Room for a step's tokens, `chosen` of the `experts` for each. The experts are in `shape.expert_groups` groups.

    Experts are dealt to the groups in turn by how popular they are, so the first group has the most to do.
    """
    tokens, groups = shape.batch * shape.query_tokens, shape.expert_groups
    here = max(1, experts // groups)
    if shape.full_routing:
        return Places(active=here, slots=tokens)
    mine = shares(experts, chosen, shape.routing_skew)[::groups]
    hits = [1.0 - (1.0 - share) ** tokens for share in mine]
    most = float(min(here, tokens * chosen))
    active = max(1, round(min(most, _busiest(hits, 1, groups))))
    rows = min(float(tokens * chosen), _busiest(mine, tokens, groups))
    return Places(active=active, slots=max(1, min(tokens, ceil(rows / active - ROUNDING))))


def shares(experts: int, chosen: int, skew: float) -> list[float]:
    """Probability that a token chooses the r-th most popular expert; they add up to `chosen`.

    Popularities follow Zipf's law, p_r ~ r^-skew; a token draws `chosen` different experts, one after the other. Such
    successive sampling takes r with 1 - exp(-z p_r), z so that the sum is right (Rosen, Ann. Math. Statist. 43, 1972);
    exact for skew 0, chosen / experts.
    """
    if chosen >= experts:
        return [1.0] * experts
    popular = [float(rank) ** -skew for rank in range(1, experts + 1)]
    total = sum(popular)
    low, high = 0.0, 1.0

    def taken(time: float) -> float:
        return sum(1.0 - exp(-time * weight / total) for weight in popular)

    while taken(high) < chosen and high < 1e12:
        high *= 2.0
    for _ in range(100):
        middle = (low + high) / 2.0
        low, high = (middle, high) if taken(middle) < chosen else (low, middle)
    return [1.0 - exp(-high * weight / total) for weight in popular]


def _busiest(probabilities: list[float], trials: int, groups: int) -> float:
    """Expected largest of `groups` counts like this one, taken as normal: mean + deviation x the largest of n normals.

    The latter is inverse normal of (n - 0.375) / (n + 0.25) (Blom, Statistical Estimates and Transformed
    Beta-Variables, 1958).
    """
    mean = trials * sum(probabilities)
    if groups == 1:
        return mean
    variance = trials * sum(each * (1.0 - each) for each in probabilities)
    return mean + sqrt(variance) * NormalDist().inv_cdf((groups - 0.375) / (groups + 0.25))
