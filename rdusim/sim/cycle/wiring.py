"""Nets as nodes and edges: links of the mesh, ports of units, the doors to the top-level network."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rdusim.arch.types import Arch
from rdusim.mapping.mesh import Mesh
from rdusim.mapping.types import Net
from rdusim.sim.cycle.buffers import UNLIMITED
from rdusim.sim.cycle.fabric import Fabric
from rdusim.sim.cycle.network import Edge, Node, Port
from rdusim.sim.cycle.scratchpad import Scratchpad, port_shape


class Wiring:
    """Ports by what they belong to. A hop is a switch: each takes `hop_cycles`, the last one in front of the unit."""

    def __init__(self, arch: Arch, mesh: Mesh, fabric: Fabric) -> None:
        self.arch, self.mesh, self.fabric, self.clock = arch, mesh, fabric, fabric.clock
        tile = arch.socket.tile
        self.rdn, self.pmu, self.agcu = tile.rdn, tile.pmu, tile.agcu
        self.vector = int(tile.rdn.vector_bytes_per_cycle)
        self.hop, self.credits = max(1, int(tile.rdn.hop_cycles)), tile.rdn.credits
        self.links: dict[int, Port] = {}
        self.scratchpads: dict[int, Scratchpad] = {}
        self.inputs: dict[tuple[int, int], Port] = {}

    def flits(self, size: float) -> int:
        """Vectors of so many bytes; what is left of a vector takes a whole one."""
        return max(1, -int(-(size - 1e-6) // self.vector))

    def scratchpad(self, switch: int) -> Scratchpad:
        if switch not in self.scratchpads:
            self.scratchpads[switch] = Scratchpad(self.pmu, self.vector, self.fabric.ask)
        return self.scratchpads[switch]

    def read(self, switch: int, banks: list[int]) -> tuple[Node, Node]:
        """What waits in a PMU, and where it stands once it has been read."""
        waiting, out = Node(), Node()
        edge = Edge(
            self.clock,
            waiting,
            out,
            self.scratchpad(switch).read,
            int(self.pmu.latency),
            max(self.credits, 2 * int(self.pmu.latency) + 2),
        )
        edge.banks = banks
        return waiting, out

    def write(self, switch: int, tail: Node, banks: list[int], delay: int, on_flit: Callable[[Node], None]) -> Node:
        """Into a PMU, where space is reserved."""
        sink = Node()
        sink.notify = lambda: on_flit(sink)
        edge = Edge(self.clock, tail, sink, self.scratchpad(switch).write, delay, UNLIMITED)
        edge.banks = banks
        return sink

    def into(self, switch: int, port: int, tail: Node, wake: Callable[[], None], delay: int) -> Node:
        """To a PCU, by one of its vector ports."""
        key = (switch, port % max(1, self.arch.socket.tile.pcu.vector_ports))
        if key not in self.inputs:
            self.inputs[key] = Port(self.fabric.ask)
        return self.wire(tail, self.inputs[key], delay, wake)

    def wire(self, tail: Node, port: Port, delay: int, wake: Callable[[], None]) -> Node:
        """A way with as many places as it needs never to wait for its own credits."""
        head = Node()
        head.notify = wake
        Edge(self.clock, tail, head, port, delay, max(self.credits, 2 * delay + 2))
        return head

    def own_way(self, one: int, other: int) -> int:
        """Cycles between a PCU and a PMU of one stage: these do not contend for links."""
        rows = abs(one // self.mesh.cols % self.mesh.rows - other // self.mesh.cols % self.mesh.rows)
        links = rows + abs(one % self.mesh.cols - other % self.mesh.cols)
        away = one // self.mesh.tile_switches != other // self.mesh.tile_switches
        return (links + 1) * self.hop + (2 * int(self.arch.socket.tln.hop_cycles) if away else 0)

    def net(self, net: Net, root: Node) -> tuple[dict[int, Node], Node | None]:
        """A tree. `root`: in front of its first switch, or of the port by which it comes in.

        Gives the node at each switch, and what has left by a port, if anything does.
        """
        nodes: dict[int, Node] = {}
        left = None
        tails, heads = ([], []) if not net.links else self._ends(net.links)
        if not tails or tails[0] != self.mesh.switches:
            nodes[net.source] = root
        for link, tail, head in zip(net.links, tails, heads, strict=True):
            node = Node()
            before = root if tail == self.mesh.switches else nodes[tail]
            # An AGCU coalesces: while one request goes out, the vectors of the next one gather.
            room = 2 * self.flits(self.agcu.request_size) if head == self.mesh.switches else 0
            Edge(self.clock, before, node, self._link(link), self.hop, max(self.credits, room))
            if head == self.mesh.switches:
                left = node
            else:
                nodes[head] = node
        return nodes, left

    def _ends(self, links: tuple[int, ...]) -> tuple[list[int], list[int]]:
        tails, heads = self.mesh.ends(np.array(links, dtype=np.int64))
        return tails.tolist(), heads.tolist()

    def _link(self, link: int) -> Port:
        if link not in self.links:
            port = link - self.mesh.mesh_links
            if port >= 0 and port // 2 in self.mesh.agcus:
                self.links[link] = Port(self.fabric.ask, *port_shape(self.agcu.bytes_per_cycle, self.vector))
            else:
                self.links[link] = Port(self.fabric.ask, self.rdn.vector_links)
        return self.links[link]
