"""A PMU's two ports: one read and one write a cycle, in turns where both want the same bank."""

from __future__ import annotations

from collections.abc import Callable

from rdusim.arch.types import Pmu
from rdusim.sim.cycle.network import Edge, Port


class Scratchpad:
    """`conflicts`: cycles in which a read or a write had to wait because the other used its bank."""

    __slots__ = ("conflicts", "now", "read", "reads_first", "write")

    def __init__(self, pmu: Pmu, vector: int, on_ask: Callable[[Scratchpad], None]) -> None:
        self.read = Port(lambda _: on_ask(self), *port_shape(pmu.read_bytes_per_cycle, vector))
        self.write = Port(lambda _: on_ask(self), *port_shape(pmu.write_bytes_per_cycle, vector))
        self.reads_first = True
        self.conflicts = 0

    def serve(self, now: int) -> bool:
        """One read and one write; of two that want the same bank the one that waited last goes, the other waits."""
        read, write = _head(self.read, now), _head(self.write, now)
        if read is not None and write is not None and read.bank() == write.bank() >= 0:
            self.conflicts += 1
            self.reads_first = not self.reads_first
            (self.write if self.reads_first else self.read).serve(now)
        else:
            self.read.serve(now)
            self.write.serve(now)
        return bool(self.read.asking or self.write.asking)


def port_shape(bytes_per_cycle: int, vector: int) -> tuple[int, int]:
    """Flits, and the cycles in which so many pass, of a port that is wider or narrower than a vector."""
    return max(1, bytes_per_cycle // vector), max(1, -(-vector // bytes_per_cycle))


def _head(port: Port, now: int) -> Edge | None:
    return port.asking[0] if port.asking and now >= port.free_at else None
