"""Flits on their way: buffers with credits, links and ports that serve one net after the other.

A flit is one vector. The flits of a net are alike and stay in order, so counts stand for them. Every net has an input
buffer of its own at every hop (a virtual channel), as static flows are configured: nets share links, not buffers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from rdusim.sim.cycle.clock import Clock


class Node:
    """Where flits of one net wait: in a unit that made them, at a switch, or in front of a unit that takes them.

    A flit leaves (`freed`) once every branch has copied it, or once the unit has taken it; then its credit returns.
    """

    __slots__ = ("arrived", "branches", "freed", "notify", "upstream")

    def __init__(self) -> None:
        self.arrived = 0
        self.freed = 0
        self.branches: list[Edge] = []
        self.upstream: Edge | None = None
        self.notify: Callable[[], None] | None = None  # of arrivals where a unit takes them, else of departures

    def add(self, flits: int = 1) -> None:
        """Flits arrive."""
        self.arrived += flits
        for edge in self.branches:
            edge.poke()
        if not self.branches and self.notify is not None:
            self.notify()

    def take_until(self, count: int) -> None:
        """The unit behind has used the first `count` flits."""
        if count > self.freed:
            flits, self.freed = count - self.freed, count
            if self.upstream is not None:
                self.upstream.give_back(flits)

    def copied(self) -> None:
        """A branch has sent a flit on: the slowest branch says what is free."""
        branches = self.branches
        sent = branches[0].sent if len(branches) == 1 else min(edge.sent for edge in branches)
        if sent > self.freed:
            self.take_until(sent)
            if self.notify is not None:
                self.notify()


class Edge:
    """One net's way over one link or port. `window` flits may be between its two ends or wait at its head."""

    __slots__ = ("acked", "banks", "clock", "delay", "head", "port", "queued", "sent", "tail", "window")

    def __init__(self, clock: Clock, tail: Node, head: Node, port: Port, delay: int, window: int) -> None:
        self.clock, self.tail, self.head, self.port = clock, tail, head, port
        self.delay, self.window = delay, window
        self.sent = 0
        self.acked = 0  # credits that came back
        self.queued = False
        self.banks: list[int] = []  # bank of every flit of a buffer, in turn; empty: never in anyone's way
        tail.branches.append(self)
        head.upstream = self

    def ready(self) -> bool:
        return self.tail.arrived > self.sent and self.sent - self.acked < self.window

    def poke(self) -> None:
        """Ask the port for a turn, if there is a flit and a credit."""
        if not self.queued and self.tail.arrived > self.sent and self.sent - self.acked < self.window:
            self.queued = True
            self.port.ask(self)

    def move(self) -> None:
        """One flit goes."""
        self.sent += 1
        self.clock.moved += 1
        self.clock.after(self.delay, self.head.add)
        self.tail.copied()

    def give_back(self, flits: int) -> None:
        """Credits travel back as long as flits travel forth."""
        self.clock.after(self.delay, self._credit, flits)

    def _credit(self, flits: int) -> None:
        self.acked += flits
        self.poke()

    def bank(self) -> int:
        """Bank that the next flit touches, -1 where that is nobody's business."""
        return self.banks[self.sent % len(self.banks)] if self.banks else -1


class Port:
    """A link or a unit's port: `width` flits every `period` cycles, one of each net, round robin."""

    __slots__ = ("asking", "carried", "free_at", "on_ask", "period", "width")

    def __init__(self, on_ask: Callable[[Port], None], width: int = 1, period: int = 1) -> None:
        self.width, self.period = width, period
        self.asking: deque[Edge] = deque()
        self.free_at = 0
        self.carried = 0
        self.on_ask = on_ask  # the fabric keeps a list of ports that have something to do

    def ask(self, edge: Edge) -> None:
        self.asking.append(edge)
        self.on_ask(self)

    def serve(self, now: int) -> bool:
        """This cycle's flits; True while some wait."""
        asking = self.asking
        if now >= self.free_at:
            for _ in range(min(self.width, len(asking))):
                self.send(asking.popleft())
            self.free_at = now + self.period
        return bool(asking)

    def send(self, edge: Edge) -> None:
        edge.queued = False
        self.carried += 1
        edge.move()
        edge.poke()
