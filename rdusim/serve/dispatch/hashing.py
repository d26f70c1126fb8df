"""By a hash of the client, so that all requests of one client meet on one node whatever the others do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rdusim.serve.dispatch.types import Dispatcher

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rdusim.serve.types import Requests

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: Fibonacci hashing (Knuth 6.4) spreads numbers in a row


def _assign(requests: Requests, experts: int, nodes: int) -> NDArray[np.int64]:
    """Of the client; where all requests have the same one, of the request's number."""
    keys = requests.client if np.any(requests.client != requests.client[:1]) else np.arange(len(requests))
    mixed = keys.astype(np.uint64) * _GOLDEN
    return ((mixed >> np.uint64(33)) % np.uint64(nodes)).astype(np.int64)


DISPATCHER = Dispatcher(assign=_assign)
