"""When requests come: one process a file, and the table of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from rdusim.serve.arrivals.clients import Clients
from rdusim.serve.arrivals.closed import Closed
from rdusim.serve.arrivals.deterministic import Deterministic
from rdusim.serve.arrivals.gamma import Gamma
from rdusim.serve.arrivals.poisson import Poisson
from rdusim.serve.arrivals.replay import Replay
from rdusim.serve.arrivals.types import Arrivals

__all__ = ["ARRIVALS", "Arrivals", "Clients", "Closed", "Deterministic", "Gamma", "Poisson", "Replay"]

ARRIVALS: Final[Mapping[str, type[Arrivals]]] = MappingProxyType(
    {
        "poisson": Poisson,
        "gamma": Gamma,
        "deterministic": Deterministic,
        "closed": Closed,
        "clients": Clients,
        "replay": Replay,
    }
)
