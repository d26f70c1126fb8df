"""Pipeline schedules: every task once, no deadlock, the bubbles and the memory that their papers state."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdusim.errors import OptionError
from rdusim.sim.microbatch import SCHEDULES
from rdusim.sim.microbatch.run import run
from rdusim.sim.microbatch.types import ChunkTimes, Pass, Pipeline, PipelineRun, Task


def even(pipeline: Pipeline, forward: float = 1.0, backward: float = 2.0, transfer: float = 0.0) -> ChunkTimes:
    count = pipeline.ranks * pipeline.chunks
    return ChunkTimes(forward=(forward,) * count, backward=(backward,) * count, transfer=(transfer,) * (count - 1))


def done(name: str, ranks: int, batches: int, chunks: int = 1, *, backward: bool = True) -> PipelineRun:
    pipeline = Pipeline(ranks=ranks, chunks=chunks, micro_batches=batches, backward=backward)
    return run(pipeline, SCHEDULES[name](pipeline), even(pipeline))


@given(
    name=st.sampled_from(sorted(SCHEDULES)),
    ranks=st.integers(1, 6),
    rounds=st.integers(1, 4),
    chunks=st.integers(1, 3),
    backward=st.booleans(),
    times=st.lists(st.floats(0.1, 3.0), min_size=18, max_size=18),
    transfer=st.floats(0.0, 2.0),
)
def test_every_task_is_done_once_by_its_rank_and_no_order_deadlocks(
    name: str, ranks: int, rounds: int, chunks: int, backward: bool, times: list[float], transfer: float
) -> None:
    chunks = chunks if name == "interleaved" else 1
    pipeline = Pipeline(ranks=ranks, chunks=chunks, micro_batches=ranks * rounds, backward=backward)
    orders = SCHEDULES[name](pipeline)
    kinds = (Pass.FORWARD, Pass.BACKWARD) if backward else (Pass.FORWARD,)
    wanted = {Task(kind, c, b) for kind in kinds for c in range(ranks * chunks) for b in range(ranks * rounds)}
    assert Counter(task for order in orders for task in order) == Counter(wanted)
    assert all(task.chunk % ranks == rank for rank, order in enumerate(orders) for task in order)
    count = ranks * chunks
    chosen = ChunkTimes(forward=times[:count], backward=times[:count], transfer=(transfer,) * (count - 1))
    found = run(pipeline, orders, chosen)
    assert found.seconds >= max(found.busy) * (1 - 1e-12)
    assert found.seconds >= (sum(times[:count]) + transfer * (count - 1)) * len(kinds) * (1 - 1e-12)
    assert 0.0 <= found.bubble < 1.0


@pytest.mark.parametrize("name", ["gpipe", "1f1b"])
@pytest.mark.parametrize(("ranks", "batches"), [(4, 4), (4, 16), (8, 8), (3, 7)])
def test_the_bubble_is_that_of_the_paper(name: str, ranks: int, batches: int) -> None:
    """(p - 1) / m of the work, Narayanan et al. 2021, sec. 2.2.1."""
    found = done(name, ranks, batches)
    assert found.seconds == pytest.approx(3.0 * batches * (1 + (ranks - 1) / batches))


@pytest.mark.parametrize("chunks", [2, 4])
def test_interleaving_divides_the_bubble_by_the_chunks(chunks: int) -> None:
    """(p - 1) / (m v), Narayanan et al. 2021, sec. 2.2.2; a chunk has 1 / v of the layers."""
    ranks, batches = 4, 8
    pipeline = Pipeline(ranks=ranks, chunks=chunks, micro_batches=batches, backward=True)
    times = even(pipeline, forward=1.0 / chunks, backward=2.0 / chunks)
    found = run(pipeline, SCHEDULES["interleaved"](pipeline), times)
    assert found.seconds == pytest.approx(3.0 * batches * (1 + (ranks - 1) / (batches * chunks)))


def test_1f1b_holds_no_more_micro_batches_than_ranks_behind_and_gpipe_all() -> None:
    assert done("1f1b", 4, 16).held == (4, 3, 2, 1)
    assert done("gpipe", 4, 16).held == (16, 16, 16, 16)


def test_a_forward_pass_takes_all_stages_once_and_the_slowest_for_the_rest() -> None:
    pipeline = Pipeline(ranks=3, chunks=1, micro_batches=5, backward=False)
    times = ChunkTimes(forward=(1.0, 4.0, 2.0), backward=(0.0,) * 3, transfer=(0.5, 0.25))
    found = run(pipeline, SCHEDULES["1f1b"](pipeline), times)
    assert found.first == 7.75
    assert found.seconds == 7.75 + 4 * 4.0


def test_an_interleaved_schedule_wants_whole_rounds() -> None:
    with pytest.raises(OptionError, match="4 does not divide 6"):
        done("interleaved", 4, 6, chunks=2)


def test_orders_that_wait_for_each_other_are_an_error() -> None:
    pipeline = Pipeline(ranks=1, chunks=1, micro_batches=1, backward=True)
    tasks = ((Task(Pass.BACKWARD, 0, 0), Task(Pass.FORWARD, 0, 0)),)
    with pytest.raises(ValueError, match="wait for each other"):
        run(pipeline, tasks, even(pipeline))
