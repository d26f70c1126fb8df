"""By a hash of the client, so that all requests of one client meet on one node whatever the others do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rdusim.serve.dispatch.types import Dispatcher

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rdusim.serve.types import Requests

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def _assign(requests: Requests, experts: int, nodes: int) -> NDArray[np.int64]:
    """Of the client; where all requests have the same one, of the request's number."""
    keys = requests.client if np.any(requests.client != requests.client[:1]) else np.arange(len(requests))
    return (_mixed(keys.astype(np.uint64)) % np.uint64(nodes)).astype(np.int64)


def _mixed(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """splitmix64 (Steele, Lea, Flood, OOPSLA 2014): every bit of a key moves every bit of its hash."""
    mixed = (keys + np.uint64(1)) * _GOLDEN
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    return mixed ^ (mixed >> np.uint64(31))


DISPATCHER = Dispatcher(assign=_assign, by_client=True)
