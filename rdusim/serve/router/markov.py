"""Markov: a client stays with its topic for a while; when it leaves, the next topic is drawn by popularity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rdusim.serve.router import zipf
from rdusim.serve.router.types import RouterParameters, RouterPolicy

if TYPE_CHECKING:
    from rdusim.serve.router.types import Ints


def choose(count: int, experts: int, rng: np.random.Generator, parameters: RouterParameters) -> Ints:
    """Requests of a client form a chain that keeps its expert with chance `stay` and else draws as `zipf` does.

    So the expert stays for 1 / (1 - stay) requests on average (a draw may return to the same one), and popularity over
    all requests is that of zipf. Without a column of clients all requests are one client's.
    """
    drawn = zipf.choose(count, experts, rng, parameters)
    moves = rng.random(count) >= parameters.stay
    client = np.zeros(count, dtype=np.int64) if parameters.client is None else parameters.client
    order = np.argsort(client, kind="stable")  # each client's requests side by side, in order of arrival
    sorted_client = client[order]
    starts = np.ones(count, dtype=bool)
    starts[1:] = sorted_client[1:] != sorted_client[:-1]
    fresh = starts | moves[order]
    since = np.maximum.accumulate(np.where(fresh, np.arange(count), 0))  # the last draw before, for each request
    chosen = np.empty(count, dtype=np.int64)
    chosen[order] = drawn[order][since]
    return chosen


POLICY = RouterPolicy(choose=choose, uses=("exponent", "stay"))
