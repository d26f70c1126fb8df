"""Speculative decoding: expected tokens of a round, and a step as the part of a round that one token stands for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdusim.report.speculative import tokens_per_round


@given(acceptance=st.floats(0.0, 1.0), length=st.integers(1, 12))
def test_a_round_makes_between_one_token_and_all(acceptance: float, length: int) -> None:
    assert 1.0 - 1e-12 <= tokens_per_round(acceptance, length) <= length + 1 + 1e-9


@pytest.mark.parametrize("acceptance", [0.0, 0.5, 0.8, 0.999, 1.0])
def test_expected_tokens_are_those_of_independent_throws(acceptance: float) -> None:
    length, rng = 4, np.random.default_rng(0)
    accepted = np.cumprod(rng.random((200_000, length)) < acceptance, axis=1).sum(axis=1)
    assert tokens_per_round(acceptance, length) == pytest.approx(1 + accepted.mean(), rel=5e-3)
