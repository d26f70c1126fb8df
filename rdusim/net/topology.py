"""How sockets are joined, and the way a message takes: a shortest one, the same every time."""

from __future__ import annotations

from collections import deque
from functools import cache

from rdusim.arch.layout import node_of, wires
from rdusim.arch.types import Layout, Link
from rdusim.errors import ArchError, Problem
from rdusim.net.types import Topology, Way


@cache
def build(layout: Layout, sockets: int, link: Link) -> Topology:
    """The layout over `sockets` sockets; `link` is what joins two of them where the layout says nothing else.

    Raises ArchError where it cannot join so many.
    """
    try:
        joined = wires(layout, sockets, link)
    except ValueError as error:
        raise ArchError(Problem(field="system.topology", message=f"{layout.kind}: {error}")) from None
    ways = [Way(wire.one, wire.other, wire.link, wire.axis) for wire in joined]
    ways += [Way(wire.other, wire.one, wire.link, wire.axis) for wire in joined]
    nodes = max([sockets - 1, *(max(way.source, way.target) for way in ways)]) + 1
    ways.sort(key=lambda way: way[:2])
    return Topology(name=layout.kind, sockets=sockets, nodes=nodes, links=tuple(ways), node=node_of(layout, sockets))


@cache
def routes(topology: Topology) -> Routes:
    """Ways through a topology, found when they are asked for."""
    return Routes(topology)


class Routes:
    """Shortest paths, counted in links; a path is the same every time, whatever else is sent.

    Where several are as short, the lowest axis goes first (dimension order), and of two directions along one axis the
    sources take turns: then all-to-all traffic loads all links of an axis of a ring, torus or two-level topology alike.
    """

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self._index = {way[:2]: at for at, way in enumerate(topology.links)}
        self._leaving: list[list[int]] = [[] for _ in range(topology.nodes)]
        self._coming: list[list[int]] = [[] for _ in range(topology.nodes)]
        for source, target, *_ in topology.links:
            self._leaving[source].append(target)
            self._coming[target].append(source)
        self._distances: dict[int, list[int]] = {}
        self._paths: dict[tuple[int, int], tuple[int, ...] | None] = {}

    def path(self, source: int, target: int) -> tuple[int, ...] | None:
        """Indices of the links of a way; None: there is none."""
        if (source, target) not in self._paths:
            self._paths[source, target] = self._found(source, target)
        return self._paths[source, target]

    def _found(self, source: int, target: int) -> tuple[int, ...] | None:
        if source == target:
            return ()
        if (source, target) in self._index:
            return (self._index[source, target],)
        left = self._distance(target)
        if left[source] < 0:
            return None
        path, node = [], source
        while node != target:
            nearer = [self._index[node, to] for to in self._leaving[node] if left[to] == left[node] - 1]
            path.append(self._turn(nearer, source))
            node = self.topology.links[path[-1]].target
        return tuple(path)

    def _turn(self, nearer: list[int], source: int) -> int:
        """The link to go on by. Forwards comes first: from the last of a ring to its first is forwards too."""
        links, nodes = self.topology.links, self.topology.nodes
        axis = min(links[at].axis for at in nearer)
        along = [at for at in nearer if links[at].axis == axis]
        along.sort(key=lambda at: (links[at].target - links[at].source) % nodes)
        return along[source % len(along)]

    def _distance(self, target: int) -> list[int]:
        """Links from every node to `target`; -1: no way."""
        if target not in self._distances:
            far = [-1] * self.topology.nodes
            far[target] = 0
            front = deque([target])
            while front:
                node = front.popleft()
                for near in self._coming[node]:
                    if far[near] < 0:
                        far[near] = far[node] + 1
                        front.append(near)
            self._distances[target] = far
        return self._distances[target]
