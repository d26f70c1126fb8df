"""What one section may use of a socket, and the rates that an estimate needs, in cycles of the socket."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

from rdusim.arch.types import Arch
from rdusim.timing import agcu, dram, rdn, tln
from rdusim.units import Bytes, Cycles


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Units a compiler can fill, contexts of the AGCUs, and the nearest memory's rate and latency."""

    arch: Arch
    pcus: int
    pmus: int
    sram: int
    contexts: int
    memory_rate: float  # bytes per cycle, sustained
    memory_latency: Cycles
    hop_latency: Cycles  # a typical way between neighbouring stages
    room: int  # bytes of the nearest memory that weights, constants and caches leave for what passes between sections
    spill_rate: float  # bytes per cycle of the memory where what exceeds the room goes

    def agcus_for(self, size: int, contiguous: int) -> int:
        """AGCUs for a transfer of `size` bytes.

        Enough for the memory's full rate, no more than its requests can use.
        """
        door = self.arch.socket.tile.agcu
        full = agcu.count(self.memory_rate, self.memory_latency, Bytes(contiguous), door)
        useful = ceil(size / (door.request_size * max(1, door.outstanding_requests // 8)))
        return max(1, min(full, useful, self.arch.socket.agcus))


def budget_of(arch: Arch, resident: int) -> Budget:
    """Read the budget off a machine whose memory holds `resident` bytes all along."""
    socket, nearest, farthest = arch.socket, arch.socket.memory[0], arch.socket.memory[-1]
    latency = dram.latency(nearest, socket.clock) + tln.latency(socket, crosses=socket.dies > 1)
    hops = (socket.tile.rows + socket.tile.cols) // 4
    pmus = floor(socket.pmus * socket.placeable)
    return Budget(
        arch=arch,
        pcus=floor(socket.pcus * socket.placeable),
        pmus=pmus,
        sram=pmus * socket.tile.pmu.capacity,
        contexts=socket.agcus * socket.tile.agcu.streams,
        memory_rate=dram.bytes_per_cycle(nearest, socket.clock, nearest.timing.row, 0.0),
        memory_latency=Cycles(latency),
        hop_latency=rdn.latency(hops, socket.tile.rdn),
        room=max(0, nearest.capacity - resident),
        spill_rate=dram.bytes_per_cycle(farthest, socket.clock, farthest.timing.row, 0.0),
    )
