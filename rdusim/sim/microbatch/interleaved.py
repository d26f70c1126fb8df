"""Interleaved 1F1B: every rank has several chunks of layers, which makes fill and drain that many times shorter.

Narayanan et al. 2021, arXiv 2104.04473, sec. 2.2, with the order of Megatron-LM: ranks take `ranks` micro-batches
through a chunk, then the same ones through their next.
"""

from __future__ import annotations

from collections.abc import Sequence

from rdusim.errors import OptionError, Problem
from rdusim.sim.microbatch.types import Pass, Pipeline, Task


def interleaved(pipeline: Pipeline) -> tuple[tuple[Task, ...], ...]:
    """Raises OptionError unless the ranks divide the micro-batches."""
    if pipeline.micro_batches % pipeline.ranks:
        raise OptionError(
            Problem(
                field="--micro-batches",
                message=f"an interleaved schedule takes {pipeline.ranks} micro-batches at a time, "
                f"and {pipeline.ranks} does not divide {pipeline.micro_batches}",
                hint=f"a multiple of pp={pipeline.ranks}, or --pipeline-schedule 1f1b",
            )
        )
    return tuple(_of(rank, pipeline) for rank in range(pipeline.ranks))


def _of(rank: int, pipeline: Pipeline) -> tuple[Task, ...]:
    ranks, chunks = pipeline.ranks, pipeline.chunks
    places = [
        (number // ranks % chunks, number // (ranks * chunks) * ranks + number % ranks)
        for number in range(pipeline.micro_batches * chunks)
    ]
    forward = [Task(Pass.FORWARD, turn * ranks + rank, batch) for turn, batch in places]
    if not pipeline.backward:
        return tuple(forward)
    backward = [Task(Pass.BACKWARD, (chunks - 1 - turn) * ranks + rank, batch) for turn, batch in places]
    return in_turn(forward, backward, (ranks - 1 - rank) * 2 + (chunks - 1) * ranks)


def in_turn(forward: Sequence[Task], backward: Sequence[Task], ahead: int) -> tuple[Task, ...]:
    """`ahead` forwards, then a forward and a backward in turn, then the backwards that are left."""
    if not backward:
        return tuple(forward)
    ahead = min(ahead, len(forward))
    order = list(forward[:ahead])
    for number, task in enumerate(forward[ahead:]):
        order += [task, backward[number]]
    return (*order, *backward[len(forward) - ahead :])
