"""What the groups of a pipeline do with the micro-batches of a batch, and what that takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from rdusim.units import Seconds


class Pass(StrEnum):
    FORWARD = "forward"
    BACKWARD = "backward"


@dataclass(frozen=True, slots=True)
class Task:
    """One micro-batch through one chunk of layers, in one direction. Chunk c is on rank c modulo the ranks."""

    kind: Pass
    chunk: int
    micro_batch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """`ranks` groups of sockets, each with `chunks` chunks of layers. `backward`: each task has a way back."""

    ranks: int
    chunks: int
    micro_batches: int
    backward: bool


# Tasks of every rank, in the order in which it takes them.
Schedule: TypeAlias = Callable[[Pipeline], tuple[tuple[Task, ...], ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkTimes:
    """Seconds of one micro-batch, by chunk; `transfer[c]` from chunk c to c + 1, and back (or `transfer_back[c]`).

    `last_forward`, `last_backward`: of the last task of a chunk in its rank's order, where that one takes longer.
    """

    forward: Sequence[float]
    backward: Sequence[float]
    transfer: Sequence[float]
    transfer_back: Sequence[float] | None = None
    last_forward: Sequence[float] | None = None
    last_backward: Sequence[float] | None = None

    def of(self, kind: Pass, chunk: int, *, last: bool) -> float:
        """Seconds of a task."""
        usual, final = (
            (self.forward, self.last_forward) if kind is Pass.FORWARD else (self.backward, self.last_backward)
        )
        return (final if last and final is not None else usual)[chunk]

    def back(self, chunk: int) -> float:
        """Seconds of the way from the chunk behind `chunk` to it."""
        return (self.transfer if self.transfer_back is None else self.transfer_back)[chunk]


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineRun:
    """`busy` and `held` by rank: seconds of work, and the most micro-batches (times chunks) whose way back is open.

    `first`: when the first micro-batch has left the last chunk (forward).
    """

    seconds: Seconds
    first: Seconds
    busy: tuple[float, ...]
    held: tuple[int, ...]

    @property
    def bubble(self) -> float:
        """Share of the time in which a rank waits, mean over ranks."""
        return 1.0 - sum(self.busy) / (len(self.busy) * self.seconds) if self.seconds else 0.0
