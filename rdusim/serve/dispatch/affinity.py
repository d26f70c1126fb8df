"""Every expert has one node, so that it is copied only there: experts are dealt out by how often they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rdusim.serve.dispatch.types import Dispatcher

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rdusim.serve.types import Requests


def _assign(requests: Requests, experts: int, nodes: int) -> NDArray[np.int64]:
    """The most wanted expert first, each to the node with the least tokens so far (longest processing time first)."""
    tokens = np.bincount(requests.expert, weights=requests.prompt_tokens + requests.output_tokens, minlength=experts)
    load = np.zeros(nodes)
    home = np.empty(experts, dtype=np.int64)
    for expert in np.argsort(-tokens, kind="stable"):
        home[expert] = np.argmin(load)
        load[home[expert]] += tokens[expert]
    return home[requests.expert]


DISPATCHER = Dispatcher(assign=_assign)
