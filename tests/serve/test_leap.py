"""The loop that leaps over runs of equal steps gives what a loop gives that takes every step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdusim.serve.costs import Constant, LeapCosts, ShapeTable, Surface, Table
from rdusim.serve.kv_cache import Admission, KvMemory
from rdusim.serve.line import line_through
from rdusim.serve.options import ServeOptions
from rdusim.serve.serve import serve
from rdusim.serve.types import Expert, Requests
from rdusim.units import Bytes, BytesPerSecond
from tests.serve.step_by_step import Slow

ONE = [Expert(name="one", shape="s", weight_bytes=Bytes(1))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiered(Constant):
    """Constants, with a far tier that is slower."""

    def memory_bandwidth(self, tier: str) -> BytesPerSecond:
        return BytesPerSecond(3.1e4 if tier == "ddr" else 1e6)


LINEAR = Tiered(
    prefill_seconds=0.0113,
    prefill_per_token=0.000271,
    decode_seconds=0.00917,
    decode_per_sequence=0.000331,
    decode_per_context=0.0000173,
    copy=70001.0,
)
BENT = Table(
    shapes={
        "s": ShapeTable(
            prefill=Surface(batches=(1, 4), tokens=(4, 16), values=np.array([[0.011, 0.0173], [0.0211, 0.0519]])),
            decode=Surface(
                batches=(1, 2, 5),
                tokens=(1, 9, 17, 40),
                values=np.sqrt(np.outer([1, 1.7, 2.9], [1.03, 2, 2.2, 7])) / 99,
            ),
            decode_bytes=Surface(batches=(1,), tokens=(1,), values=np.ones((1, 1))),
            inside=0.0,
            beyond=0.0,
            measured=0,
        )
    },
    source=LINEAR,
)


@st.composite
def workloads(draw: st.DrawFn) -> Requests:
    count = draw(st.integers(1, 12))
    column = lambda most: np.array(draw(st.lists(st.integers(1, most), min_size=count, max_size=count)))  # noqa: E731
    waits = np.array(draw(st.lists(st.integers(0, 30), min_size=count, max_size=count)))
    zeros = np.zeros(count, dtype=np.int64)
    arrival = np.cumsum(waits * 0.0212345 + 0.0000123)  # meets no end of a step: a tie would be decided by rounding
    return Requests(arrival=arrival, prompt_tokens=column(30), output_tokens=column(40), expert=zeros, client=zeros)


memories = st.none() | st.builds(
    KvMemory,
    bytes_per_token=st.just(Bytes(10)),
    near=st.integers(100, 1500).map(Bytes),
    far=st.integers(0, 900).map(Bytes),
    block_tokens=st.sampled_from([1, 3, 4, 16]),
    admission=st.sampled_from(Admission),
)


@settings(deadline=None, max_examples=150)
@given(
    requests=workloads(),
    kv=memories,
    costs=st.sampled_from([LINEAR, BENT]),
    scheduler=st.sampled_from(["continuous", "chunked"]),
    batch=st.integers(1, 6),
    decode_first=st.booleans(),
)
def test_leaps_and_single_steps_give_the_same_times(
    requests: Requests, kv: KvMemory | None, costs: LeapCosts, scheduler: str, batch: int, decode_first: bool
) -> None:
    options = ServeOptions(
        scheduler=scheduler, max_batch=batch, decode_first=decode_first, prefill_tokens=40, chunk_tokens=9, kv=kv
    )
    slow = Slow(requests, costs, options)
    expected = slow.run()
    result = serve(requests, ONE, costs, options)
    served = result.served
    assert result.preemptions == slow.preemptions
    np.testing.assert_allclose(served.scheduled, expected["scheduled"], rtol=1e-9)
    np.testing.assert_allclose(served.first_token, expected["first"], rtol=1e-9)
    np.testing.assert_allclose(served.finish, expected["finish"], rtol=1e-9)
    done = np.isfinite(served.finish)
    np.testing.assert_allclose(served.worst_gap[done], np.array(expected["worst"])[done], rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(served.causes[done, 3], np.array(expected["compute"])[done], rtol=1e-8)
    assert list(np.flatnonzero(~done)) == result.rejected.tolist()


@given(
    st.lists(st.floats(0.001, 9), min_size=1, max_size=5),
    st.floats(0, 60),
    st.integers(1, 60),
    st.floats(0.01, 200),
)
def test_a_run_of_steps_is_the_sum_of_its_steps(values: list[float], start: float, steps: int, amount: float) -> None:
    line = line_through([float(10 * place + 1) for place in range(len(values))], values)
    each = [line.at(start + step) for step in range(steps)]
    if min(each) < 0:
        return  # beyond the last knot a falling line is no cost
    assert line.total(start, steps) == pytest.approx(sum(each))
    assert line.most(start, steps) == pytest.approx(max(each))
    reached = line.steps_until(start, amount, steps)
    sums = np.cumsum(each)
    assert sums[reached - 1] >= amount * (1 - 1e-9) or reached == steps
    assert reached == 1 or sums[reached - 2] < amount * (1 + 1e-9)
