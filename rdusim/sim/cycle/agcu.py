"""AGCUs: requests to memory, a limited number outstanding, and the vectors of which they consist.

One AGCU serves the shares (nets) of many loads and stores: each cycle it sends one request, for the part that is needed
first (mapping.needs).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from rdusim.arch.types import Agcu
from rdusim.mapping.needs import Need
from rdusim.sim.causes import AGCU
from rdusim.sim.cycle.buffers import Operand
from rdusim.sim.cycle.compute import Wait
from rdusim.sim.cycle.memory import Tier
from rdusim.sim.cycle.network import Node
from rdusim.sim.trace import Reason

if TYPE_CHECKING:
    from rdusim.sim.cycle.fabric import Fabric

SCRAMBLE: Final = 2_654_435_761  # Knuth's multiplier: rows that are gathered lie anywhere


class Transfer:
    """A load or store as a whole: when its first request went out and when its last byte had come."""

    def __init__(self, name: str, stage: str, tier: Tier, written: bool) -> None:
        self.name, self.stage, self.tier, self.written = name, stage, tier, written
        self.left = 0  # bytes still to move, all shares
        self.start = -1.0
        self.end = 0.0
        self.stalls: dict[Wait, float] = {}
        self.shares = 0

    def waited(self, wait: Wait, cycles: int) -> None:
        """One share waited; a load or store waits as long as its shares do on average."""
        self.stalls[wait] = self.stalls.get(wait, 0.0) + cycles / self.shares

    def moved(self, size: int, now: int) -> None:
        self.left -= size
        self.end = float(now)


class Share:
    """One net's part of a load or store at one AGCU: `size` bytes of each of `tiles`.

    A tile lies in a row in memory, `pitch` bytes after the one before; `address` is that of the share in the first one.

    A load puts vectors into `node`, in order; a store takes them from there. `request`: bytes asked for at once.
    """

    def __init__(
        self,
        transfer: Transfer,
        node: Node,
        size: int,
        flits: int,
        tiles: int,
        address: int,
        pitch: int,
        request: int,
        vector: int,
        operand: Operand | None,
        need: Need,
    ) -> None:
        self.need = need
        self.transfer, self.node, self.operand = transfer, node, operand
        self.size, self.flits, self.tiles, self.address, self.pitch = size, flits, tiles, address, pitch
        self.request, self.vector = request, vector
        self.asked = 0
        self.wait: Wait | None = None
        self.since = 0
        self.came: dict[int, int] = {}  # replies by first byte: handed on in order
        self.there = 0
        self.scattered: tuple[int, int, int] | None = None  # of a gather: first address, bytes of a row, rows
        self.held: deque[int] = deque()  # flits after which a request's data has left the AGCU

    def ready(self, now: int) -> bool:
        """Whether a request may go out: there is space in front of the stage, or there is data to be stored."""
        if self.asked >= self.size * self.tiles:
            return False
        if self.operand is not None:
            if self.asked < self.operand.limit() * self.size:
                return True
            self.waits((Reason.CREDIT, self.transfer.name), now)
            return False
        if self._bytes(self.node.arrived) >= self.asked + self._length():
            return True
        self.waits((Reason.INPUT, self.transfer.stage), now)
        return False

    def waits(self, wait: Wait, now: int) -> None:
        if self.wait is None:
            self.wait, self.since = wait, now

    def where(self, first: int) -> int:
        """Address of a byte of this share."""
        tile, within = divmod(first, self.size)
        address = self.address + tile * self.pitch + within
        if self.scattered is None:
            return address
        offset, row, rows = self.scattered
        return offset + address // row * SCRAMBLE % rows * row

    def next(self, now: int) -> tuple[int, int]:
        """First byte and length of the next request."""
        if self.wait is not None:
            self.transfer.waited(self.wait, now - self.since)
            self.wait = None
        first, length = self.asked, self._length()
        self.asked += length
        if self.operand is None:
            self.node.take_until(self._flits(self.asked))
        return first, length

    def reply(self, first: int, length: int) -> None:
        """Data of a load: handed on once all before it has come."""
        self.came[first] = length
        while (more := self.came.pop(self.there, 0)) > 0:
            self.there += more
            self.held.append(self._flits(self.there))
        if (flits := self._flits(self.there) - self.node.arrived) > 0:
            self.node.add(flits)

    def gone(self) -> int:
        """Requests whose data has left the AGCU since it was asked last."""
        count = 0
        while self.held and self.node.freed >= self.held[0]:
            self.held.popleft()
            count += 1
        return count

    def _length(self) -> int:
        return min(self.request, self.size - self.asked % self.size)

    def _flits(self, size: int) -> int:
        tile, rest = divmod(size, self.size)
        return tile * self.flits + rest // self.vector

    def _bytes(self, flits: int) -> int:
        tile, rest = divmod(flits, self.flits)
        return tile * self.size + min(self.size, rest * self.vector)


class AgcuRun:
    """One AGCU at work."""

    def __init__(self, agcu: Agcu, die: int, fabric: Fabric) -> None:
        self.most, self.die, self.fabric = agcu.outstanding_requests, die, fabric
        self.outstanding = 0
        self.shares: list[Share] = []
        self.active = False

    def add(self, share: Share) -> None:
        share.transfer.shares += 1
        self.shares.append(share)

    def wake(self) -> None:
        if not self.active:
            self.active = True
            self.fabric.agcus.append(self)

    def serve(self, now: int) -> bool:
        """One request, if there is one to send. True if there may be more in the next cycle."""
        share = self._next(now)
        if share is None:
            return False
        if self.outstanding >= self.most:
            share.waits((Reason.BANDWIDTH, AGCU), now)
            return False
        self.outstanding += 1
        transfer, (first, length) = share.transfer, share.next(now)
        if transfer.start < 0:
            transfer.start = float(now)
        address = share.where(first)
        if transfer.written:
            self._store(share, address, length)
        else:
            self._load(share, address, first, length)
        return True

    def _next(self, now: int) -> Share | None:
        ready = [share for share in self.shares if share.ready(now)]
        return min(ready, key=lambda share: share.need.of(share.asked // share.size), default=None)

    def _load(self, share: Share, address: int, first: int, length: int) -> None:
        clock, outside, tier = self.fabric.clock, self.fabric.outside, share.transfer.tier
        die = tier.die_of(address)

        def arrived(_: int) -> None:
            share.transfer.moved(length, clock.now)
            share.reply(first, length)
            self.release(share)

        def left() -> None:
            clock.after(outside.send(length, die, self.die, clock.now), arrived)

        def at_memory(_: int) -> None:
            tier.ask(address, length, False, left)
            self.fabric.wake_tier(tier)

        clock.after(outside.tln.latency + tier.latency, at_memory)

    def _store(self, share: Share, address: int, length: int) -> None:
        clock, outside, tier = self.fabric.clock, self.fabric.outside, share.transfer.tier
        posted = False

        def written() -> None:
            share.transfer.moved(length, clock.now)
            if not posted:
                self.done()

        def at_memory(_: int) -> None:
            nonlocal posted
            posted = tier.ask(address, length, True, written)
            self.fabric.wake_tier(tier)
            if posted:
                self.done()

        way = outside.send(length, self.die, tier.die_of(address), clock.now)
        clock.after(way + tier.latency, at_memory)

    def release(self, share: Share) -> None:
        """Requests whose data went on into the mesh make room for others."""
        if count := share.gone():
            self.outstanding -= count
            self.wake()

    def done(self) -> None:
        self.outstanding -= 1
        self.wake()
