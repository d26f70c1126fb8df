"""The fabric of one section at work: everything that can move, one cycle after the other."""

from __future__ import annotations

from collections.abc import Callable

from rdusim.arch.types import Socket
from rdusim.sim.causes import AGCU, FILL, RDN
from rdusim.sim.cycle.agcu import AgcuRun, Transfer
from rdusim.sim.cycle.buffers import Buffer, Operand
from rdusim.sim.cycle.clock import Clock
from rdusim.sim.cycle.compute import Unit
from rdusim.sim.cycle.memory import Outside, Tier
from rdusim.sim.cycle.network import Port
from rdusim.sim.cycle.scratchpad import Scratchpad
from rdusim.sim.cycle.stage import StageRun


class Fabric:
    """Units, ports, AGCUs and memories that have something to do, in the order in which they said so.

    `spent`: cycles by cause. A cycle belongs to the units that are in the middle of a tile: to computing as far as
    they step, and for the others, or where there are none, to what moves meanwhile.
    """

    def __init__(self, socket: Socket) -> None:
        self.clock = Clock()
        self.outside = Outside(socket)
        self.tiers = {tier.name: Tier(tier, socket, self.clock) for tier in socket.memory}
        self.ports: dict[Port | Scratchpad, None] = {}
        self.units: list[Unit] = []
        self.agcus: list[AgcuRun] = []
        self.serving: dict[str, Tier] = {}
        self.stages: dict[str, StageRun] = {}
        self.buffers: dict[str, Buffer | Operand] = {}
        self.transfers: dict[str, Transfer] = {}
        self.links: dict[int, Port] = {}
        self.scratchpads: dict[int, Scratchpad] = {}
        self.spent: dict[str, float] = {}
        self.last = 0  # cycle at which the last result was out
        self.levels: list[tuple[int, str, int]] = []  # when, buffer, tiles in it
        self._open = self._running = 0  # units in the middle of a tile, after and before this cycle's steps
        self._steps: dict[str, int] = {}

    def ask(self, port: Port | Scratchpad) -> None:
        self.ports[port] = None

    def wake_tier(self, tier: Tier) -> None:
        self.serving[tier.name] = tier

    def note(self, _: int) -> None:
        """Something was finished now."""
        self.last = self.clock.now

    def level(self, name: str, tiles: int) -> None:
        self.levels.append((self.clock.now, name, tiles))

    def stepped(self, stage: StageRun, done: int, steps: int) -> None:
        """A unit made step `done` of a tile."""
        self._steps[stage.cause] = self._steps.get(stage.cause, 0) + 1
        self._open += (done == 1) - (done == steps)

    @property
    def finished(self) -> bool:
        return all(stage.finished for stage in self.stages.values()) and not any(
            transfer.left for transfer in self.transfers.values()
        )

    def run(self, on_stuck: Callable[[], Exception]) -> int:
        """Cycles until everything is done. Raises what `on_stuck` makes where nothing can move any more."""
        clock = self.clock
        for stage in self.stages.values():
            stage.wake()
        for agcu in list(self.agcus):
            agcu.active = True
        while True:
            clock.deliver()
            self._cycle(clock.now)
            following = clock.next()
            if self.ports or self.units or self.agcus or self.serving:
                following = clock.now + 1
            if following is None:
                break
            self._spend(following - clock.now)
            clock.now = following
        if not self.finished:
            raise on_stuck()
        return max(self.last, *(round(transfer.end) for transfer in self.transfers.values()), 0)

    def _cycle(self, now: int) -> None:
        ports, self.ports = self.ports, {}
        for port in ports:
            if port.serve(now):
                self.ports[port] = None
        agcus, self.agcus = self.agcus, []
        for agcu in agcus:
            agcu.active = False
            if agcu.serve(now):
                agcu.wake()
        for name, tier in list(self.serving.items()):
            if not tier.serve(now):
                del self.serving[name]
        self._running = self._open
        units, self.units = self.units, []
        for unit in units:
            unit.active = False
            if unit.step(now):
                unit.wake()

    def _spend(self, cycles: int) -> None:
        """Say what the cycles up to the next one with something to do are spent on."""
        stepped = sum(self._steps.values())
        in_work = max(self._open, self._running, stepped)
        left = float(cycles)
        for cause, steps in self._steps.items():
            share = steps / in_work
            self.spent[cause] = self.spent.get(cause, 0.0) + share
            left -= share
        self._steps.clear()
        if left > 0.0:
            cause = self._moving()
            self.spent[cause] = self.spent.get(cause, 0.0) + left

    def _moving(self) -> str:
        for tier in self.tiers.values():
            if any(channel.free_at > self.clock.now for channel in tier.channels):
                return tier.name
        if any(agcu.outstanding >= agcu.most for agcu in self.agcus):
            return AGCU
        return RDN if self.ports else FILL
