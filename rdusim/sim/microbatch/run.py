"""One runner for all schedules: a rank takes its tasks in order, each as soon as what it needs has come.

A forward task needs the same micro-batch from the chunk before; a backward task its own forward, and the gradient from
the chunk behind. Transfers between chunks run beside the work of both ranks.
"""

from __future__ import annotations

from collections.abc import Sequence

from rdusim.sim.microbatch.types import ChunkTimes, Pass, Pipeline, PipelineRun, Task
from rdusim.units import Seconds


def run(pipeline: Pipeline, orders: Sequence[Sequence[Task]], times: ChunkTimes) -> PipelineRun:
    """Times of all tasks. Raises ValueError for orders that wait for each other."""
    ended: dict[Task, float] = {}
    clock, at = [0.0] * pipeline.ranks, [0] * pipeline.ranks
    busy, open_, held = [0.0] * pipeline.ranks, [0] * pipeline.ranks, [0] * pipeline.ranks
    moved = True
    while moved:
        moved = False
        for rank, order in enumerate(orders):
            while at[rank] < len(order):
                task = order[at[rank]]
                ready = _ready(task, ended, pipeline, times)
                if ready is None:
                    break
                forward = task.kind is Pass.FORWARD
                taken = (times.forward if forward else times.backward)[task.chunk]
                clock[rank] = ended[task] = max(clock[rank], ready) + taken
                busy[rank] += taken
                open_[rank] += 1 if forward else -1
                held[rank] = max(held[rank], open_[rank])
                at[rank] += 1
                moved = True
    if any(done < len(order) for done, order in zip(at, orders, strict=True)):
        raise ValueError("tasks of a pipeline schedule wait for each other")
    last = pipeline.ranks * pipeline.chunks - 1
    return PipelineRun(
        seconds=Seconds(max(ended.values())),
        first=Seconds(ended[Task(Pass.FORWARD, last, 0)]),
        busy=tuple(busy),
        held=tuple(held),
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
            needed.append((Task(Pass.BACKWARD, chunk + 1, batch), times.transfer[chunk]))
    if any(before not in ended for before, _ in needed):
        return None
    return max((ended[before] + way for before, way in needed), default=0.0)
