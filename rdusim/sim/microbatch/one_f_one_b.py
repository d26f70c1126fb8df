"""1F1B: after as many forwards as there are ranks behind, one forward and one backward in turn.

PipeDream-Flush (Narayanan et al. 2021, arXiv 2006.09503): the same bubble as GPipe, but a rank holds no more
micro-batches than there are ranks from it to the end.
"""

from __future__ import annotations

from rdusim.sim.microbatch.interleaved import in_turn
from rdusim.sim.microbatch.types import Pass, Pipeline, Task


def one_f_one_b(pipeline: Pipeline) -> tuple[tuple[Task, ...], ...]:
    """For pipelines of one chunk a rank."""
    return tuple(_of(rank, pipeline) for rank in range(pipeline.ranks))


def _of(rank: int, pipeline: Pipeline) -> tuple[Task, ...]:
    forward = [Task(Pass.FORWARD, rank, batch) for batch in range(pipeline.micro_batches)]
    backward = [Task(Pass.BACKWARD, rank, batch) for batch in range(pipeline.micro_batches)]
    return in_turn(forward, backward if pipeline.backward else [], pipeline.ranks - 1 - rank)
