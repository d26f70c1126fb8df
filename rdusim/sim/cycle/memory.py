"""What lies behind the AGCUs: the top-level network, the link between dies, and the channels of every tier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Final

from rdusim.arch.types import MemoryTier, Socket
from rdusim.sim.cycle.channel import Access, Channel
from rdusim.sim.cycle.clock import Clock
from rdusim.timing import dram

POSTED: Final = 2  # batches of writes that a channel holds


@dataclass(slots=True, kw_only=True)
class Way:
    """A network as bandwidth and latency: what comes later waits until what came before has passed."""

    bytes_per_cycle: float
    latency: int
    free_at: float = 0.0
    carried: float = 0.0

    def send(self, size: float, now: int) -> int:
        """Cycles until the last of `size` bytes has passed."""
        self.free_at = max(self.free_at, float(now)) + size / self.bytes_per_cycle
        self.carried += size
        return max(0, ceil(self.free_at - now)) + self.latency


class Outside:
    """TLN and die-to-die link of a socket, shared by everything that leaves a mesh."""

    def __init__(self, socket: Socket) -> None:
        self.dies = socket.dies
        self.tln = Way(bytes_per_cycle=socket.tln.bytes_per_cycle * socket.dies, latency=int(socket.tln.hop_cycles))
        hop = int(socket.die_to_die.hop_cycles)
        self.between = [Way(bytes_per_cycle=socket.die_to_die.bytes_per_cycle, latency=hop) for _ in range(2)]

    def send(self, size: float, source_die: int, target_die: int, now: int) -> int:
        """Cycles of `size` bytes from one die to another, or within one."""
        cycles = self.tln.send(size, now)
        if source_die != target_die:
            cycles = max(cycles, self.tln.latency + self.between[int(source_die > target_die)].send(size, now))
        return cycles


class Tier:
    """The channels of a memory. Addresses go round the channels in steps of `stride`, one request of an AGCU.

    The latency of an idle memory is that of its parameter: opening a row and the bursts of a request are parts of it.
    """

    def __init__(self, tier: MemoryTier, socket: Socket, clock: Clock) -> None:
        self.name, self.clock, self.timing = tier.name, clock, tier.timing
        self.stride = max(tier.timing.burst, socket.tile.agcu.request_size)
        bandwidth = tier.bandwidth / tier.channels / socket.clock
        self.channels = [Channel(tier.timing, bandwidth, socket.clock) for _ in range(tier.channels)]
        self.dies = socket.dies
        bursts = -(-socket.tile.agcu.request_size // tier.timing.burst)
        own = dram.to_cycles(tier.timing.row_to_column, socket.clock) + bursts * self.channels[0].same_group
        self.latency = max(0, round(dram.latency(tier, socket.clock) - own))
        self.read_bytes = 0
        self.written_bytes = 0
        self.first: int | None = None
        self.last = 0

    def die_of(self, address: int) -> int:
        return address // self.stride % self.dies

    def ask(self, address: int, size: int, written: bool, done: Callable[[], None]) -> bool:
        """A request that has come to the memory; `done` is called when its data has left it, or been written.

        True where a write is posted: its channel holds it, and whoever sent it need not wait.
        """
        step, within = divmod(address, self.stride)
        turn, number = divmod(step, len(self.channels))
        local = turn * self.stride + within
        bank, row = dram.place(self.timing, local)
        if written:
            self.written_bytes += size
        else:
            self.read_bytes += size
        self.first = self.clock.now if self.first is None else self.first
        access = Access(
            bank=bank,
            row=row,
            bursts=max(1, -(-size // self.timing.burst)),
            written=written,
            arrived=float(self.clock.now),
            done=lambda at: self._passed(at, done),
        )
        channel = self.channels[number]
        channel.add(access)
        return written and channel.waiting[True] <= POSTED * channel.batch

    def _passed(self, at: float, done: Callable[[], None]) -> None:
        self.last = ceil(at)
        self.clock.after(max(1, ceil(at) - self.clock.now), lambda _: done())

    def serve(self, now: int) -> bool:
        """One cycle of all channels. True while requests wait."""
        waiting = False
        for channel in self.channels:
            if not channel.idle:
                channel.serve(now)
                waiting = waiting or not channel.idle
        return waiting
