"""PCUs at work: a chain of SIMD pipelines, or a systolic array, step by step.

A step is a cycle in which a unit takes in vectors. What it makes comes out `fill` cycles after the step: vector by
vector from the last pass of a SIMD chain, block by block from an array, whose second set of accumulators lets the next
block begin meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rdusim.sim.cycle.buffers import Operand, begun
from rdusim.sim.cycle.network import Node
from rdusim.sim.trace import Reason

if TYPE_CHECKING:
    from rdusim.sim.cycle.stage import StageRun

Wait = tuple[Reason, str]


@dataclass(slots=True, kw_only=True)
class Intake:
    """Flits of one net in front of a unit: `tile_flits` for each of `tiles`, brought `by` the mesh or a PMU."""

    node: Node
    by: str
    tile_flits: int
    tiles: int
    operand: Operand | None = None
    base: int = 0
    fresh: int = 0

    def open(self, firing: int, firings: int) -> None:
        """Tiles that this firing is the first to touch pass by while it works."""
        before = begun(firing - 1, self.tiles, firings)
        self.base = before * self.tile_flits
        self.fresh = (begun(firing, self.tiles, firings) - before) * self.tile_flits

    @property
    def late(self) -> Wait:
        """Why flits are not there: they have not come from memory yet, or wait for a turn on their way."""
        if self.operand is not None and not self.operand.complete:
            return Reason.INPUT, self.operand.name
        return Reason.BANDWIDTH, self.by

    def needed(self, steps: int, of: int) -> int:
        """Flits without which step number `steps` of the first `of` cannot be made."""
        return self.base + (self.fresh if steps >= of else -(-self.fresh * steps // of))


@dataclass(slots=True, kw_only=True)
class Outlet:
    """Flits that a unit makes for one PMU: `tile_flits` for each of `tiles`. `room`: made, and not yet sent off."""

    node: Node
    flow: str
    tile_flits: int
    tiles: int
    room: int
    made: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """Steps of a firing; of them `taking` take vectors in (first pass), `giving` give out (last pass), by `block`."""

    steps: int
    taking: int
    giving: int
    block: int
    fill: int

    def given(self, done: int) -> tuple[int, int]:
        """Share of a firing's results that is out after `done` steps, as a fraction."""
        if done >= self.steps:
            return 1, 1
        late = max(0, done - (self.steps - self.giving))
        return late // self.block * self.block, self.giving


class Unit:
    """One chain of PCUs, one array, or a collective: `stage` says when a firing may start."""

    def __init__(self, stage: StageRun, rhythm: Rhythm) -> None:
        self.stage, self.rhythm = stage, rhythm
        self.intakes: list[Intake] = []
        self.outlets: list[Outlet] = []
        self.firing = 0
        self.done = 0  # steps of this firing
        self.since = 0  # cycle from which it has been waiting
        self.wait: Wait | None = None
        self.active = False

    def wake(self) -> None:
        if not self.active and self.firing < self.stage.firings:
            self.active = True
            self.stage.fabric.units.append(self)

    def step(self, now: int) -> bool:
        """One cycle. True if there may be something to do in the next one."""
        if (wait := self._hindrance()) is not None:
            if self.wait is None:
                self.since = now
            elif self.wait != wait:
                self._note(now)
            self.wait = wait
            return False
        if self.wait is not None:
            self._note(now)
            self.wait = None
        if self.done == 0:
            self.stage.starts(self.firing, now)
        self._work()
        if self.done == self.rhythm.steps:
            self.done = 0
            self.firing += 1
            self.stage.ends(self.firing - 1, now + 1)
        return self.firing < self.stage.firings

    def _note(self, now: int) -> None:
        assert self.wait is not None
        self.stage.waited(self.wait, now - self.since)
        self.since = now

    def _hindrance(self) -> Wait | None:
        rhythm, after = self.rhythm, self.done + 1
        if self.done == 0:
            if (wait := self.stage.hindrance(self.firing)) is not None:
                return wait
            for intake in self.intakes:
                intake.open(self.firing, self.stage.firings)
        if self.done < rhythm.taking:
            lacking = [intake for intake in self.intakes if intake.node.arrived < intake.needed(after, rhythm.taking)]
            for intake in lacking:
                intake.node.take_until(intake.node.arrived)  # a step of several vectors takes them as they come
            if lacking:
                return lacking[0].late
        for outlet in self.outlets:
            if self._due(outlet, after) - outlet.node.freed > outlet.room:
                return Reason.BANDWIDTH, outlet.flow
        return None

    def _due(self, outlet: Outlet, done: int) -> int:
        """Flits made once `done` steps of this firing are."""
        part, of = self.rhythm.given(done)
        return outlet.tile_flits * outlet.tiles * (self.firing * of + part) // (self.stage.firings * of)

    def _work(self) -> None:
        rhythm, fabric = self.rhythm, self.stage.fabric
        self.done += 1
        fabric.stepped(self.stage, self.done, rhythm.steps)
        if self.done <= rhythm.taking:
            for intake in self.intakes:
                intake.node.take_until(intake.needed(self.done, rhythm.taking))
        for outlet in self.outlets:
            if (due := self._due(outlet, self.done)) > outlet.made:
                fabric.clock.after(rhythm.fill + 1, outlet.node.add, due - outlet.made)
                outlet.made = due
