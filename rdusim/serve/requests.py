"""Requests made out of an arrival process and lengths; experts are set by a router policy afterwards."""

from __future__ import annotations

import numpy as np

from rdusim.errors import OptionError, Problem
from rdusim.serve.arrivals import Arrivals
from rdusim.serve.lengths import Lengths
from rdusim.serve.types import Requests


def make_requests(arrivals: Arrivals, lengths: Lengths, count: int, rng: np.random.Generator) -> Requests:
    """`count` requests, all for expert 0. Raises an RdusimError for parameters that make no sense."""
    if count < 1:
        raise OptionError(Problem(message=f"{count} is below 1", field="requests", hint="a whole number from 1 on"))
    arrival, client = arrivals.draw(rng, count)
    prompt, output = lengths.draw(rng, arrival, client)
    return Requests(
        arrival=arrival,
        prompt_tokens=prompt.astype(np.int64),
        output_tokens=output.astype(np.int64),
        expert=np.zeros(count, dtype=np.int64),
        client=client,
    )
