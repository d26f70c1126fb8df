"""GPipe: all micro-batches forward, then all backward (Huang et al. 2019, arXiv 1811.06965)."""

from __future__ import annotations

from rdusim.sim.microbatch.types import Pass, Pipeline, Task


def gpipe(pipeline: Pipeline) -> tuple[tuple[Task, ...], ...]:
    """Every micro-batch's activations are held until its way back: `micro_batches` of them on every rank."""
    return tuple(_of(rank, pipeline) for rank in range(pipeline.ranks))


def _of(rank: int, pipeline: Pipeline) -> tuple[Task, ...]:
    chunks = range(rank, pipeline.ranks * pipeline.chunks, pipeline.ranks)
    batches = range(pipeline.micro_batches)
    forward = tuple(Task(Pass.FORWARD, chunk, batch) for chunk in chunks for batch in batches)
    if not pipeline.backward:
        return forward
    return (*forward, *(Task(Pass.BACKWARD, chunk, batch) for chunk in reversed(chunks) for batch in reversed(batches)))
