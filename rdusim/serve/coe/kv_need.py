"""Room for keys and values: the most that a batch of the composition may hold at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rdusim.serve.coe.types import CoeSettings, Grouping
from rdusim.serve.types import Expert, Requests
from rdusim.units import Bytes


def kv_need(requests: Requests, experts: Sequence[Expert], settings: CoeSettings) -> Bytes:
    """Bytes in the nearest tier that serve every batch, however requests meet: the longest of an expert together.

    One sequence runs at a time with PAIRS, up to `batch` of one expert otherwise; a router that writes further tokens
    holds its whole batch, before anything else runs. Each sequence has its prompt and its output.
    """
    alone = settings.grouping is Grouping.PAIRS
    tokens = requests.prompt_tokens + np.maximum(requests.output_tokens, 1)
    order = np.lexsort((-tokens, requests.expert))
    expert, tokens = requests.expert[order], tokens[order]
    first = np.searchsorted(expert, expert)  # where its expert's requests begin, the longest first
    together = np.arange(len(expert)) - first < (1 if alone else settings.batch)
    totals = np.bincount(expert[together], weights=tokens[together], minlength=len(experts))
    bytes_of = np.array([settings.kv_per_token.get(each.shape, 0) for each in experts], dtype=np.float64)
    most = float((totals * bytes_of).max()) if len(experts) else 0.0
    if settings.router is not None and settings.router_tokens > 1:
        read = np.sort(requests.prompt_tokens)[-settings.batch :]
        routed = int((read + settings.router_tokens).sum()) * settings.kv_per_token.get(settings.router, 0)
        most = max(most, float(routed))
    return Bytes(round(most))
