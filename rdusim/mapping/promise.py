"""What a layout promises: cycles of one execution, by the resources that depend on where stages lie.

A section is no quicker than it claims, than its fullest link, its busiest AGCU, the TLN and the link between dies; nor
than the arrival of each operand that is loaded once, each AGCU serving its own in the order of their use, and of what
its stage and those behind it then still do with one tile. So stages that lie on all tiles alike, and reach all AGCUs,
can be worth ways that are longer. docs/model.md, "Placement".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rdusim.arch.types import Arch
from rdusim.kernel.serve import serve
from rdusim.mapping.claim import rate_of, stage_cycles, tier_of
from rdusim.mapping.demand import Demand
from rdusim.mapping.mesh import Ints, Mesh
from rdusim.mapping.needs import stages_before
from rdusim.mapping.route import Routing, outside
from rdusim.mapping.types import Allocation
from rdusim.program.types import Section
from rdusim.timing import agcu, dram, tln
from rdusim.units import Cycles


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Promise:
    """A section and its machine; called with the routing of a layout. `capacity`: bytes of a link in `claimed`."""

    section: Section
    allocations: Mapping[str, Allocation]
    arch: Arch
    mesh: Mesh
    claimed: float
    capacity: float

    def __call__(self, routing: Routing) -> float:
        """Cycles of one execution."""
        socket, times = self.arch.socket, routing.times
        across = outside(routing.nets, self.section, self.mesh) * times[:, None]
        return max(
            self.claimed * max(1.0, routing.link_load / self.capacity),
            float(tln.tln_cycles(float(across[:, 0].sum()), socket.tln, socket.dies)),
            float(tln.die_to_die_cycles(float(across[:, 1].sum()), socket.die_to_die)),
            *self._memory(routing),
        )

    def _memory(self, routing: Routing) -> tuple[float, float]:
        """Cycles of the busiest AGCU, and until what depends on the last operand is done."""
        nets, section, socket = routing.nets, self.section, self.arch.socket
        ports = memory_ports(nets)
        streams = (*section.loads, *section.stores)
        first = len(section.streams)
        rates = {
            number: agcu.rate(self._latency(number - first), stream.contiguous, socket.tile.agcu)
            for number, stream in enumerate(streams, start=first)
        }
        busy: dict[int, float] = {}
        orders: dict[int, dict[int, float]] = {}
        at = np.flatnonzero(ports >= 0)
        sizes = (nets.bytes * routing.times[nets.flow])[at].tolist()
        for port, flow, size in zip(ports[at].tolist(), nets.flow[at].tolist(), sizes, strict=True):
            busy[port] = busy.get(port, 0.0) + size / rates[flow]
            if flow - first < len(section.loads) and streams[flow - first].tiles == 1:
                parts = orders.setdefault(port, {})
                parts[flow] = parts.get(flow, 0.0) + size
        wants = {flow: (rate, 1.0 / self._tier_rate(flow - first)) for flow, rate in rates.items()}
        after = {first + number: [first + other for other in others] for number, others in self._waits().items()}
        served = {port: sorted(parts.items()) for port, parts in orders.items()}
        times = serve(served, lambda _, flow: wants[flow], after=after)
        rest = self._rest()
        ends = (
            self._latency(flow - first) + end + rest[streams[flow - first].stage] for flow, (_, end) in times.items()
        )
        return max(busy.values(), default=0.0), max(ends, default=0.0)

    def _waits(self) -> dict[int, list[int]]:
        """Loads, by number, that are gathered by what a stage makes: those whose operands that stage needs."""
        loads = self.section.loads
        if not any(load.after for load in loads):
            return {}
        before = stages_before(self.section)
        return {
            number: [other for other, each in enumerate(loads) if each.stage in before[load.after] | {load.after}]
            for number, load in enumerate(loads)
            if load.after
        }

    def _rest(self) -> dict[str, float]:
        """Cycles of one tile from each stage's work on, along the longest way to an end of the section."""
        rest: dict[str, float] = {}
        for stage in reversed(self.section.stages):
            # A stream that goes backwards is a mistake that `check` will name: it counts for nothing here.
            behind = (rest.get(stream.target, 0.0) for stream in self.section.streams if stream.source == stage.name)
            rest[stage.name] = stage_cycles(stage, self.arch) + max(behind, default=0.0)
        return rest

    def _latency(self, number: int) -> Cycles:
        """Of the memory of a load or store, counted through both."""
        stream = (*self.section.loads, *self.section.stores)[number]
        first = dram.latency(tier_of(stream, self.allocations, self.arch), self.arch.socket.clock)
        return Cycles(first + tln.latency(self.arch.socket, crosses=self.arch.socket.dies > 1))

    def _tier_rate(self, number: int) -> float:
        stream = (*self.section.loads, *self.section.stores)[number]
        return rate_of(stream, tier_of(stream, self.allocations, self.arch), self.arch)


def memory_ports(nets: Demand) -> Ints:
    """By net, the switch of the AGCU that carries it; -1 for what stays on a tile or goes to another one."""
    port = np.where(nets.enters & (nets.feeder < 0), nets.source, nets.door)
    fed = np.zeros(nets.flow.size + 1, dtype=np.bool_)
    fed[nets.feeder] = True
    found: Ints = np.where((port >= 0) & ~fed[:-1] & (nets.feeder < 0), port, -1)
    return found
