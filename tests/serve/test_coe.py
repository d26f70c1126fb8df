from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdusim.errors import ServeError
from rdusim.serve.coe import CoeSettings, Grouping, serve_coe
from rdusim.serve.coe.run import Progress
from rdusim.serve.costs import Constant
from rdusim.serve.expert_cache import POLICIES
from rdusim.serve.types import Cause, Expert, Requests, ServeResult
from rdusim.units import Bytes, Seconds

# A router or a prefill takes 1 s + 0.01 s a token, a step 0.1 s, a copy 1 s for 10 bytes.
COSTS = Constant(
    prefill_seconds=1.0, prefill_per_token=0.01, decode_seconds=0.1, weight_bytes=20, copy=10.0, memory=1000.0
)


def experts_of(*sizes: int, mutable: int = 0) -> tuple[Expert, ...]:
    return tuple(
        Expert(name=f"e{number}", shape="m", weight_bytes=Bytes(size), mutable_bytes=Bytes(mutable))
        for number, size in enumerate(sizes)
    )


def requests_of(*rows: tuple[float, int, int, int]) -> Requests:
    """Rows of (arrival, prompt, output, expert)."""
    columns = list(zip(*rows, strict=True))
    return Requests(
        arrival=np.array(columns[0], dtype=np.float64),
        prompt_tokens=np.array(columns[1], dtype=np.int64),
        output_tokens=np.array(columns[2], dtype=np.int64),
        expert=np.array(columns[3], dtype=np.int64),
        client=np.zeros(len(rows), dtype=np.int64),
    )


def serve(
    requests: Requests,
    experts: tuple[Expert, ...],
    capacity: int,
    policy: str = "lru",
    costs: Constant = COSTS,
    progress: Progress | None = None,
    nodes: int = 1,
    placement: list[int] | None = None,
    **given: object,
) -> ServeResult:
    return serve_coe(
        requests,
        experts,
        costs,
        capacity=Bytes(capacity),
        policy=POLICIES[policy],
        settings=CoeSettings(**{"router": "r", **given}),  # type: ignore[arg-type]
        progress=progress,
        nodes=nodes,
        placement=None if placement is None else np.array(placement, dtype=np.int64),
    )


def causes(result: ServeResult, request: int) -> dict[Cause, float]:
    return {cause: round(float(result.served.causes[request, cause]), 9) for cause in Cause}


def test_one_request_by_hand() -> None:
    # Route 1 + 0.01 x 100 = 2 s, copy 20 / 10 = 2 s, prefill 2 s, 4 further tokens 0.4 s.
    result = serve(requests_of((3.0, 100, 5, 0)), experts_of(20), 20)
    assert result.served.scheduled[0] == 3.0
    assert result.served.first_token[0] == pytest.approx(9.0)
    assert result.served.finish[0] == pytest.approx(9.4)
    assert result.served.worst_gap[0] == pytest.approx(0.1)
    assert causes(result, 0) == {
        Cause.QUEUE: 0.0,
        Cause.ROUTE: 2.0,
        Cause.SWITCH: 2.0,
        Cause.COMPUTE: 2.4,
        Cause.NETWORK: 0.0,
    }
    assert (result.hits, result.misses) == (0, 1)
    assert result.switches.begin.tolist() == [5.0] and result.switches.end.tolist() == [7.0]
    assert result.busy.tolist() == pytest.approx([6.4])


def test_the_network_delays_both_ways() -> None:
    near, far = (serve(requests_of((3.0, 100, 5, 0)), experts_of(20), 20, network=delay) for delay in (0.0, 0.25))
    assert far.served.finish[0] == pytest.approx(near.served.finish[0] + 0.5)
    assert far.served.scheduled[0] == 3.25
    assert causes(far, 0) == causes(near, 0) | {Cause.NETWORK: 0.5}


def test_a_batch_is_routed_then_copied_then_run_pair_after_pair() -> None:
    # Route 2 prompts of 100: 1 + 0.01 x 200 = 3; copies 2 + 2; the pairs 2.4 each.
    batch = requests_of((0.0, 100, 5, 0), (0.0, 100, 5, 1), (0.0, 100, 5, 0))
    result = serve(batch, experts_of(20, 20), 40, batch=3)
    assert result.served.finish.tolist() == pytest.approx([4 + 4 + 2.4, 4 + 4 + 4.8, 4 + 4 + 7.2])
    assert causes(result, 2) == {
        Cause.QUEUE: 4.8,
        Cause.ROUTE: 4.0,
        Cause.SWITCH: 4.0,
        Cause.COMPUTE: 2.4,
        Cause.NETWORK: 0.0,
    }
    assert (result.hits, result.misses) == (1, 2)


def test_experts_that_do_not_fit_together_are_copied_when_the_first_are_done() -> None:
    batch = requests_of((0.0, 100, 1, 0), (0.0, 100, 1, 1), (0.0, 100, 1, 0))
    result = serve(batch, experts_of(20, 20), 20, batch=3)
    # Route 4, then copy 2 + run 2, three times.
    assert result.served.finish.tolist() == pytest.approx([8.0, 12.0, 16.0])
    assert result.switches.evicted.tolist() == [-1, 0, 1]


def test_a_group_runs_as_one_batch_and_ends_with_each_requests_own_answer() -> None:
    batch = requests_of((0.0, 100, 5, 0), (0.0, 50, 3, 0))
    result = serve(batch, experts_of(20), 20, batch=2, grouping=Grouping.BATCH)
    # Route and prefill: 1 + 0.01 x 2 x 100 = 3 each; copy 2.
    assert result.served.first_token.tolist() == pytest.approx([8.0, 8.0])
    assert result.served.finish.tolist() == pytest.approx([8.4, 8.2])
    assert (result.hits, result.misses) == (0, 1)


def test_residents_go_first_within_a_batch() -> None:
    rows = requests_of((0.0, 100, 1, 1), (10.0, 100, 1, 0), (10.0, 100, 1, 1))
    result = serve(rows, experts_of(20, 20), 40, batch=2, grouping=Grouping.BATCH, router=None)
    assert result.served.finish[2] < result.served.finish[1]


def test_a_copy_hides_behind_the_run_before_it() -> None:
    batch = requests_of((0.0, 100, 5, 0), (0.0, 100, 5, 1))
    apart = serve(batch, experts_of(20, 20), 40, batch=2)
    beside = serve(batch, experts_of(20, 20), 40, batch=2, overlap=True)
    # 2.4 s of running hide the second copy, which takes 2 s; memory has room for both.
    assert apart.served.finish[1] - beside.served.finish[1] == pytest.approx(2.0)
    assert beside.served.finish[0] == pytest.approx(3 + 2 + 2.4)
    assert beside.switches.begin[1] == pytest.approx(5.0) and beside.switches.end[1] == pytest.approx(7.0)
    tight = serve(batch, experts_of(20, 20), 20, batch=2, overlap=True)
    assert tight.served.finish[1] == pytest.approx(apart.served.finish[1])


def test_a_copy_that_competes_for_memory_slows_the_run_and_counts_as_switching() -> None:
    costs = Constant(prefill_seconds=4.0, weight_bytes=40, copy=10.0, memory=15.0)
    batch = requests_of((0.0, 1, 1, 0), (0.0, 1, 1, 1))
    result = serve(batch, experts_of(20, 20), 40, batch=2, overlap=True, router=None, costs=costs)
    # The run wants 10 B/s, the copy 10 B/s, of 15: both go at three quarters; the copy of 2 s takes 2.67 s, the run is
    # 0.67 s late.
    assert result.served.finish[0] == pytest.approx(2 + 4 + 2 / 3)
    assert causes(result, 0)[Cause.SWITCH] == pytest.approx(2 + 2 / 3)
    assert causes(result, 0)[Cause.COMPUTE] == pytest.approx(4.0)


def test_mutable_bytes_of_the_evicted_are_copied_back_first() -> None:
    rows = requests_of((0.0, 1, 1, 0), (50.0, 1, 1, 1))
    result = serve(rows, experts_of(20, 20, mutable=10), 20)
    assert result.switches.copied_back.tolist() == [0.0, 10.0]
    assert (result.switches.end - result.switches.begin).tolist() == pytest.approx([2.0, 3.0])


def test_a_large_expert_that_puts_out_two_has_a_row_for_each() -> None:
    rows = requests_of((0.0, 1, 1, 0), (20.0, 1, 1, 1), (40.0, 1, 1, 2))
    switches = serve(rows, experts_of(10, 10, 20), 20).switches
    assert switches.expert.tolist() == [0, 1, 2, -1]
    assert switches.evicted.tolist() == [-1, -1, 0, 1]


def test_the_queue_is_grouped_by_expert_and_patience_bounds_the_wait() -> None:
    rows = requests_of(*((0.01 * number, 100, 1, number % 2) for number in range(12)))
    queue = {"grouping": Grouping.QUEUE, "batch": 4, "router": None}
    calm = serve(rows, experts_of(20, 20), 20, patience=Seconds(1e9), **queue)
    assert (calm.misses, calm.hits) == (2, 3)  # groups of 1, 4 and 1 of expert 0, then 4 and 2 of expert 1
    hasty = serve(rows, experts_of(20, 20), 20, patience=Seconds(0.0), **queue)
    assert hasty.misses > calm.misses
    assert hasty.served.finish[1] < calm.served.finish[1]


def test_nodes_serve_for_themselves() -> None:
    rows = requests_of(*((float(number), 10, 2, number % 3) for number in range(12)))
    both = serve(rows, experts_of(5, 5, 5), 10, nodes=2, placement=[number % 2 for number in range(12)])
    half = requests_of(*((float(number), 10, 2, number % 3) for number in range(0, 12, 2)))
    alone = serve(half, experts_of(5, 5, 5), 10)
    assert both.served.finish[::2].tolist() == alone.served.finish.tolist()
    assert both.served.node.tolist() == [0, 1] * 6


row = st.tuples(st.floats(0, 50), st.integers(1, 60), st.integers(1, 9), st.integers(0, 4))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(row, min_size=1, max_size=30),
    policy=st.sampled_from(sorted(POLICIES)),
    grouping=st.sampled_from(list(Grouping)),
    overlap=st.booleans(),
    batch=st.integers(1, 5),
    warm=st.booleans(),
    capacity=st.integers(13, 60),
    memory=st.sampled_from([12.0, 1000.0]),
)
def test_every_request_is_served_once_and_its_seconds_have_causes(
    rows: list[tuple[float, int, int, int]],
    policy: str,
    grouping: Grouping,
    overlap: bool,
    batch: int,
    warm: bool,
    capacity: int,
    memory: float,
) -> None:
    requests = requests_of(*sorted(rows))
    experts = experts_of(13, 7, 11, 5, 10, mutable=2)
    costs = Constant(
        prefill_seconds=0.5, decode_seconds=0.1, decode_per_context=1e-3, weight_bytes=3, copy=10.0, memory=memory
    )
    given = {"grouping": grouping, "overlap": overlap, "batch": batch, "warm": warm, "router_tokens": 3}
    result = serve(requests, experts, capacity, policy, costs, **given)  # type: ignore[arg-type]
    served = result.served
    assert not np.isnan(served.finish).any()
    assert (served.requests.arrival <= served.scheduled).all()
    assert (served.scheduled <= served.first_token).all() and (served.first_token <= served.finish).all()
    np.testing.assert_allclose(served.causes.sum(axis=1), served.finish - requests.arrival, atol=1e-9)
    assert (served.causes >= -1e-9).all()
    # Runs follow each other: no policy, order or overlap makes a node do two things at once.
    assert result.seconds >= 0.5 * (len(rows) / batch) - 1e-9
    misses = result.switches.expert >= 0
    assert misses.sum() == result.misses
    begin, end = result.switches.begin[misses], result.switches.end[misses]
    assert (begin[1:] >= end[:-1] - 1e-9).all(), "one copy at a time"
    again = serve(requests, experts, capacity, policy, costs, **given)  # type: ignore[arg-type]
    for field in fields(result.served):
        if field.name != "requests":
            np.testing.assert_array_equal(getattr(served, field.name), getattr(again.served, field.name))


@settings(max_examples=30, deadline=None)
@given(experts=st.lists(st.integers(0, 5), min_size=1, max_size=60), slots=st.integers(1, 6))
def test_belady_bounds_a_run_in_the_order_of_arrival(experts: list[int], slots: int) -> None:
    requests = requests_of(*((0.1 * number, 10, 1, expert) for number, expert in enumerate(experts)))
    best = serve(requests, experts_of(*[10] * 6), 10 * slots, "belady")
    for policy in set(POLICIES) - {"belady"}:
        other = serve(requests, experts_of(*[10] * 6), 10 * slots, policy)
        assert best.misses <= other.misses
        assert best.seconds <= other.seconds + 1e-9


def test_an_interrupt_leaves_what_was_served() -> None:
    rows = requests_of(*((0.0, 1, 1, 0) for _ in range(9000)))

    def stop(done: int, total: int) -> None:
        assert total == 9000
        raise KeyboardInterrupt

    result = serve(rows, experts_of(20), 20, progress=stop)
    assert result.partial
    assert (~np.isnan(result.served.finish)).sum() == 4096


def test_columns_that_cannot_be_served_are_refused_with_every_reason() -> None:
    rows = requests_of((5.0, 1, 1, 9), (1.0, 1, 1, -1))
    with pytest.raises(ServeError) as caught:
        serve(rows, experts_of(20), 20)
    assert [problem.message for problem in caught.value.problems] == [
        "request 1 wants expert 9, there are 1, counted from 0",
        "request 2 arrives before the one before it",
    ]
