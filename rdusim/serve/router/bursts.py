"""Correlated bursts: now and then everybody asks the same expert, whoever they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rdusim.serve.router import zipf
from rdusim.serve.router.types import RouterParameters, RouterPolicy

if TYPE_CHECKING:
    from rdusim.serve.router.types import Ints


def choose(count: int, experts: int, rng: np.random.Generator, parameters: RouterParameters) -> Ints:
    """Calm and bursts take turns, of geometric lengths in requests; `burst_share` of the requests fall into bursts.

    A burst has one expert, drawn as `zipf` does; its requests go there with chance `burst_focus`, all others as in
    `zipf`.
    """
    chosen = zipf.choose(count, experts, rng, parameters)
    if count == 0 or parameters.burst_share <= 0.0:
        return chosen
    hot, inside = _bursts(count, experts, rng, parameters)
    follows = inside & (rng.random(count) < parameters.burst_focus)
    return np.where(follows, hot, chosen)


def _bursts(
    count: int, experts: int, rng: np.random.Generator, parameters: RouterParameters
) -> tuple[Ints, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """By request: the expert of its period, and whether that period is a burst."""
    burst = max(parameters.burst_requests, 1.0)
    share = min(parameters.burst_share, 1.0)
    calm = burst * (1.0 - share) / share
    pairs = int(np.ceil(1.5 * count / (burst + calm))) + 8
    periods = np.zeros(0, dtype=np.int64)
    while periods.sum() < count:
        lengths = np.zeros((pairs, 2), dtype=np.int64)  # of the calm, then of the burst after it; calm may be missing
        lengths[:, 0] = rng.geometric(1.0 / (1.0 + calm), size=pairs) - 1
        lengths[:, 1] = rng.geometric(1.0 / burst, size=pairs)
        periods = np.concatenate([periods, lengths.ravel()])
    bursting = np.arange(len(periods)) % 2 == 1
    hot = zipf.choose(len(periods), experts, rng, parameters)
    which = np.repeat(np.arange(len(periods)), periods)[:count]
    return hot[which], bursting[which]


POLICY = RouterPolicy(choose=choose, uses=("exponent", "burst_requests", "burst_share", "burst_focus"))
