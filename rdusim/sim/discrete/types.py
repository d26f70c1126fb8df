"""What the numbers of a section's actor net stand for."""

from __future__ import annotations

from dataclasses import dataclass, field

from rdusim.kernel.actors import ActorNet
from rdusim.program.types import MemoryStream
from rdusim.sim.alone import StageTime
from rdusim.sim.trace import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """What waiting for a channel means to the one that waits: a reason, what it is for, and whose fault in a path."""

    reason: Reason
    on: str
    cause: str  # of the channel's delay


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """The part of a load or store that one AGCU carries: `chunks` a tile, each `chunk` bytes.

    `tail`: cycles from the end of a chunk to the arrival of its last byte.
    """

    stream: MemoryStream
    tier: str
    written: bool
    actor: int
    chunks: int
    chunk: float
    tail: float


@dataclass(slots=True, kw_only=True)
class SectionNet:
    """The net of `repeats` executions in a row, and what its numbers stand for."""

    net: ActorNet = field(default_factory=ActorNet)
    fires: dict[str, int] = field(default_factory=dict)  # stage -> actor
    dones: dict[str, int] = field(default_factory=dict)
    reads: dict[str, int] = field(default_factory=dict)  # stage -> actor at whose end its tile is not needed any more
    moves: list[Move] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)  # by channel
    causes: list[str] = field(default_factory=list)  # by actor: what its service is
    tails: dict[int, float] = field(default_factory=dict)  # actor -> cycles from its last end to the end of the section
    resource_causes: list[str] = field(default_factory=list)  # by shared resource
    times: dict[str, StageTime] = field(default_factory=dict)
