"""One runner for all schedules: a rank takes its tasks in order, each as soon as what it needs has come.

A forward task needs the same micro-batch from the chunk before; a backward task its own forward, and the gradient from
the chunk behind. Transfers between chunks run beside the work of both ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from rdusim.sim.microbatch.types import ChunkTimes, Pass, Pipeline, PipelineRun, Task
from rdusim.units import Seconds


def run(pipeline: Pipeline, orders: Sequence[Sequence[Task]], times: ChunkTimes) -> PipelineRun:
    """Times of all tasks. Raises ValueError for orders that wait for each other."""
    ended: dict[Task, float] = {}
    clock, at = [0.0] * pipeline.ranks, [0] * pipeline.ranks
    busy = [0.0] * pipeline.ranks
    last = {(task.kind, task.chunk): task for order in orders for task in order}
    moved = True
    while moved:
        moved = False
        for rank, order in enumerate(orders):
            while at[rank] < len(order):
                task = order[at[rank]]
                ready = _ready(task, ended, pipeline, times)
                if ready is None:
                    break
                taken = times.of(task.kind, task.chunk, last=last[task.kind, task.chunk] == task)
                clock[rank] = ended[task] = max(clock[rank], ready) + taken
                busy[rank] += taken
                at[rank] += 1
                moved = True
    if any(done < len(order) for done, order in zip(at, orders, strict=True)):
        raise ValueError("tasks of a pipeline schedule wait for each other")
    end = pipeline.ranks * pipeline.chunks - 1
    return PipelineRun(
        seconds=Seconds(max(ended.values())),
        first=Seconds(ended[Task(Pass.FORWARD, end, 0)]),
        busy=tuple(busy),
        held=most_held(orders),
    )


def most_held(orders: Sequence[Sequence[Task]]) -> tuple[int, ...]:
    """By rank, the most tasks whose way back is open at the same time: it depends on the order alone."""
    return tuple(
        max(accumulate((1 if task.kind is Pass.FORWARD else -1 for task in order), initial=0)) for order in orders
    )


def _ready(task: Task, ended: dict[Task, float], pipeline: Pipeline, times: ChunkTimes) -> float | None:
    """When everything that a task needs is there; None: not yet known."""
    chunk, batch = task.chunk, task.micro_batch
    needed: list[tuple[Task, float]] = []
    if task.kind is Pass.FORWARD:
        if chunk:
            needed.append((Task(Pass.FORWARD, chunk - 1, batch), times.transfer[chunk - 1]))
    else:
        needed.append((Task(Pass.FORWARD, chunk, batch), 0.0))
        if chunk + 1 < pipeline.ranks * pipeline.chunks:
            needed.append((Task(Pass.BACKWARD, chunk + 1, batch), times.back(chunk)))
    if any(before not in ended for before, _ in needed):
        return None
    return max((ended[before] + way for before, way in needed), default=0.0)
