"""Recorded: each request goes where the trace says that it went."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rdusim.errors import Problem, ServeError
from rdusim.serve.router.types import RouterParameters, RouterPolicy

if TYPE_CHECKING:
    from rdusim.serve.router.types import Ints


def choose(count: int, experts: int, rng: np.random.Generator, parameters: RouterParameters) -> Ints:
    """The column, checked. Raises ServeError if there is none, or if it names experts that do not exist."""
    column = parameters.recorded
    if column is None:
        hint = "add a column 'expert' to the trace, or route by uniform, zipf, markov or bursts"
        raise ServeError(Problem(message="the trace does not say which expert a request went to", hint=hint))
    assert len(column) == count, "the column has a row for each request"
    if len(wrong := np.flatnonzero((column < 0) | (column >= experts))):
        first = int(wrong[0])
        message = f"request {first + 1} of the trace goes to expert {int(column[first])}"
        others = f", and {len(wrong) - 1} more go to experts that do not exist" if len(wrong) > 1 else ""
        hint = f"the scenario has {experts} experts, counted from 0"
        raise ServeError(Problem(message=message + others, field="router.policy", hint=hint))
    return column.astype(np.int64)


POLICY = RouterPolicy(choose=choose)
