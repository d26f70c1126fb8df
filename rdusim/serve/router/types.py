"""What a router policy is given, and what it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterParameters:
    """What policies may be told; each uses those that `RouterPolicy.uses` names.

    `exponent`: the k-th expert is chosen in proportion to k ** -exponent; 0 is uniform. `stay`: chance that a request
    goes where its client's last one went. `burst_requests`: mean length of a burst, in requests; `burst_share`: share
    of requests that fall into bursts; `burst_focus`: chance that a request of a burst goes to the burst's expert.
    `client`, `recorded`: columns by request, of whose request it is and of where the trace says that it went.
    """

    exponent: float = 1.0
    stay: float = 0.8
    burst_requests: float = 32.0
    burst_share: float = 0.5
    burst_focus: float = 0.9
    client: Ints | None = None
    recorded: Ints | None = None


# (requests, experts, rng, parameters) -> expert of each request, from 0
Choose: TypeAlias = "Callable[[int, int, np.random.Generator, RouterParameters], Ints]"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterPolicy:
    """`uses`: the numbers of RouterParameters that it reads (columns are given where there are any)."""

    choose: Choose
    uses: tuple[str, ...] = ()
