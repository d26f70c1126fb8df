"""A stage: when its units may start on a tile, and what it gives back when they are done with one."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from rdusim.sim.cycle.buffers import Buffer, Operand, begun, finished
from rdusim.sim.cycle.compute import Unit, Wait
from rdusim.sim.trace import Reason

if TYPE_CHECKING:
    from rdusim.sim.cycle.fabric import Fabric


class StageRun:
    """`sources`: buffers it reads, with the cycles that a credit takes back to their writers."""

    def __init__(self, name: str, firings: int, cause: str, fill: int, fabric: Fabric) -> None:
        self.name, self.firings, self.cause, self.fill, self.fabric = name, firings, cause, fill, fabric
        self.units: list[Unit] = []
        self.sources: list[tuple[Buffer, int]] = []
        self.operands: list[Operand] = []
        self.sinks: list[Buffer] = []
        self.spans: list[list[float]] = []  # start and end of every firing
        self.stalls: dict[Wait, float] = defaultdict(float)
        self._left: list[int] = [0] * firings  # units that are not yet done with a firing

    @property
    def finished(self) -> bool:
        return len(self.spans) == self.firings and not self._left[-1]

    def hindrance(self, firing: int) -> Wait | None:
        """What a firing lacks: a whole tile of every stream, parts of loads, places for its results."""
        for buffer, _ in self.sources:
            if begun(firing, buffer.tiles, self.firings) > buffer.full:
                return Reason.INPUT, buffer.name
        for operand in self.operands:
            if operand.lacks(firing):
                return Reason.INPUT, operand.name
        for buffer in self.sinks:
            if not buffer.has_place(firing):
                return Reason.CREDIT, buffer.name
        return None

    def starts(self, firing: int, now: int) -> None:
        if firing == len(self.spans):
            self.spans.append([float(now), float(now)])
            self._left[firing] = len(self.units)

    def ends(self, firing: int, now: int) -> None:
        """A unit is done with a firing; with the last one credits go back to where its tiles came from."""
        self._left[firing] -= 1
        if self._left[firing]:
            return
        clock = self.fabric.clock
        self.spans[firing][1] = float(now + self.fill)
        clock.after(self.fill + 1, self.fabric.note)
        for buffer in self.sinks:
            if not buffer.writers:  # a flow without bytes: its tiles are there when the work is done
                made = finished(firing + 1, buffer.tiles, self.firings) - buffer.full
                clock.after(self.fill + 1, buffer.wrote, made)
        for buffer, way in self.sources:
            freed = finished(firing + 1, buffer.tiles, self.firings) - finished(firing, buffer.tiles, self.firings)
            if freed:
                clock.after(way, buffer.free, freed)
        for operand in self.operands:
            freed = finished(firing + 1, operand.tiles, self.firings) - finished(firing, operand.tiles, self.firings)
            if freed:
                operand.free(freed)

    def waited(self, wait: Wait, cycles: int) -> None:
        """A unit waited; a stage waits as long as its units do on average."""
        self.stalls[wait] += cycles / len(self.units)

    def wake(self) -> None:
        for unit in self.units:
            unit.wake()
