"""A node that serves one request at a time is a queue that theory knows."""

from __future__ import annotations

import numpy as np
import pytest

from rdusim.serve.arrivals import Poisson
from rdusim.serve.costs import Constant
from rdusim.serve.options import ServeOptions
from rdusim.serve.serve import serve
from rdusim.serve.types import Expert, Requests
from rdusim.units import Bytes

COUNT = 150_000
UTILISATION = 0.5
TICK = 1e-6  # service times are prompts of so many tokens, a microsecond each, 1 s on average


def waiting(service: np.ndarray, arrival: np.ndarray) -> np.ndarray:
    """Time in the queue as the simulator has it: prompts of `service` ticks, answers of one token, no batches."""
    zeros = np.zeros(len(service), dtype=np.int64)
    requests = Requests(
        arrival=arrival, prompt_tokens=service, output_tokens=np.ones_like(zeros), expert=zeros, client=zeros
    )
    expert = Expert(name="one", shape="s", weight_bytes=Bytes(1))
    result = serve(requests, [expert], Constant(prefill_per_token=TICK), ServeOptions(max_batch=1))
    return np.asarray(result.served.scheduled - arrival)


def lindley(service: np.ndarray, arrival: np.ndarray) -> np.ndarray:
    """W(n + 1) = max(W(n) + S(n) - A(n), 0), as a running minimum."""
    sums = np.concatenate(([0.0], np.cumsum(service[:-1] - np.diff(arrival))))
    return np.asarray(sums - np.minimum.accumulate(sums))


@pytest.mark.parametrize(
    ("name", "theory"),
    [
        ("M/D/1", UTILISATION / (2 * (1 - UTILISATION))),  # Pollaczek-Khinchine, of the mean service time
        ("M/M/1", UTILISATION / (1 - UTILISATION)),
    ],
)
def test_mean_waiting_is_that_of_theory(name: str, theory: float) -> None:
    rng = np.random.default_rng(31)
    arrival, _ = Poisson(rate=UTILISATION).draw(rng, COUNT)
    times = np.ones(COUNT) if name == "M/D/1" else rng.exponential(1.0, COUNT)
    service = np.maximum(np.rint(times / TICK), 1).astype(np.int64)
    waited = waiting(service, arrival)
    np.testing.assert_allclose(waited, lindley(service * TICK, arrival), atol=1e-5)
    assert waited.mean() == pytest.approx(theory, rel=0.02)
