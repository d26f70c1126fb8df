from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rdusim.serve.router
from rdusim.errors import ServeError
from rdusim.serve.router import POLICIES, RouterParameters


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_every_policy_file_is_in_the_table() -> None:
    files = {path.stem for path in Path(rdusim.serve.router.__file__).parent.glob("*.py")} - {"__init__", "types"}
    assert files == set(POLICIES)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(sorted(set(POLICIES) - {"recorded"})),
    count=st.integers(0, 300),
    experts=st.integers(1, 40),
    seed=st.integers(0, 99),
)
def test_choices_are_experts_and_the_seed_decides_them(name: str, count: int, experts: int, seed: int) -> None:
    parameters = RouterParameters(client=rng(seed).integers(5, size=count))
    first, second = (POLICIES[name].choose(count, experts, rng(seed), parameters) for _ in range(2))
    assert first.dtype == np.int64 and len(first) == count
    assert ((first >= 0) & (first < experts)).all()
    assert (first == second).all()


@pytest.mark.parametrize("exponent", [0.0, 0.7, 1.3])
def test_zipf_shares_fall_with_the_rank(exponent: float) -> None:
    counts = np.bincount(POLICIES["zipf"].choose(200_000, 10, rng(), RouterParameters(exponent=exponent)))
    expected = np.arange(1, 11.0) ** -exponent
    np.testing.assert_allclose(counts / 200_000, expected / expected.sum(), atol=0.004)


def test_markov_clients_stay_and_popularity_is_that_of_zipf() -> None:
    client = rng(1).integers(500, size=200_000)
    parameters = RouterParameters(stay=0.8, exponent=1.0, client=client)
    chosen = POLICIES["markov"].choose(200_000, 10, rng(), parameters)
    order = np.argsort(client, kind="stable")
    same = (client[order][1:] == client[order][:-1]) & (chosen[order][1:] == chosen[order][:-1])
    within = (client[order][1:] == client[order][:-1]).sum()
    shares = np.arange(1, 11.0) ** -1.0
    shares /= shares.sum()
    assert same.sum() / within == pytest.approx(0.8 + 0.2 * (shares**2).sum(), abs=0.005)
    np.testing.assert_allclose(np.bincount(chosen) / 200_000, shares, atol=0.01)


def test_markov_that_never_leaves_gives_each_client_one_expert() -> None:
    client = np.array([3, 1, 3, 2, 1, 3])
    chosen = POLICIES["markov"].choose(6, 1000, rng(), RouterParameters(stay=1.0, client=client))
    assert {len(set(chosen[client == one])) for one in (1, 2, 3)} == {1}
    assert len(set(chosen)) == 3


def test_bursts_take_their_share_and_correlate_neighbours() -> None:
    parameters = RouterParameters(exponent=0.0, burst_requests=20.0, burst_share=0.4, burst_focus=1.0)
    chosen = POLICIES["bursts"].choose(200_000, 1000, rng(), parameters)
    # Two neighbours agree if both lie in one burst (19 of 20 followers of a burst's request), else hardly ever.
    assert np.mean(chosen[1:] == chosen[:-1]) == pytest.approx(0.4 * 19 / 20, abs=0.02)
    none = POLICIES["bursts"].choose(1000, 50, rng(), RouterParameters(burst_share=0.0))
    assert (none == POLICIES["zipf"].choose(1000, 50, rng(), RouterParameters())).all()


def test_round_robin_takes_turns() -> None:
    assert POLICIES["round_robin"].choose(5, 3, rng(), RouterParameters()).tolist() == [0, 1, 2, 0, 1]


def test_recorded_refuses_experts_that_do_not_exist_and_a_trace_without_experts() -> None:
    with pytest.raises(ServeError, match=r"request 2 of the trace goes to expert 7, and 1 more .*3 experts"):
        POLICIES["recorded"].choose(3, 3, rng(), RouterParameters(recorded=np.array([0, 7, -1])))
    with pytest.raises(ServeError, match="add a column 'expert'"):
        POLICIES["recorded"].choose(3, 3, rng(), RouterParameters())
