"""How sockets are joined, and the way a message takes: shortest, and the same every time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from math import isqrt
from typing import Final, TypeAlias

from rdusim.errors import ArchError, Problem
from rdusim.net.types import Topology

Links: TypeAlias = tuple[tuple[int, int], ...]


@cache
def build(name: str, sockets: int) -> Topology:
    """The named topology over `sockets` sockets; every edge of it is one Link of the machine, in each direction."""
    if name not in TOPOLOGIES:
        raise ArchError(Problem(message=f"unknown topology '{name}'", hint=f"known: {', '.join(TOPOLOGIES)}"))
    if sockets < 1:
        raise ArchError(Problem(message=f"a system has at least one socket, not {sockets}"))
    links = TOPOLOGIES[name](sockets)
    return Topology(name=name, sockets=sockets, nodes=max([sockets - 1, *map(max, links)]) + 1, links=links)


@cache
def routes(topology: Topology) -> Mapping[tuple[int, int], tuple[int, ...]]:
    """By pair of sockets, indices of the links of a shortest path; ties go to the lower-numbered next node.

    Sockets that cannot reach each other have no entry.
    """
    leaving: dict[int, list[tuple[int, int]]] = {}
    for index, (source, target) in enumerate(topology.links):
        leaving.setdefault(source, []).append((target, index))
    for edges in leaving.values():
        edges.sort()
    found: dict[tuple[int, int], tuple[int, ...]] = {}
    for source in range(topology.sockets):
        paths: dict[int, tuple[int, ...]] = {source: ()}
        front = deque([source])
        while front:
            node = front.popleft()
            for target, index in leaving.get(node, ()):
                if target not in paths:
                    paths[target] = (*paths[node], index)
                    front.append(target)
        found.update(((source, node), path) for node, path in paths.items() if node < topology.sockets)
    return found


def _full_mesh(sockets: int) -> Links:
    """A link from every socket to every other."""
    return tuple((a, b) for a in range(sockets) for b in range(sockets) if a != b)


def _ring(sockets: int) -> Links:
    """A link to the next and to the previous socket."""
    return _both_ways((at, (at + 1) % sockets) for at in range(sockets))


def _torus(sockets: int) -> Links:
    """Two-dimensional, row by row, as near to a square as the number of sockets has factors; a prime one is a ring.

    Over a side of two, the link forwards and the one around are the same link.
    """
    rows = next(side for side in range(isqrt(sockets), 0, -1) if sockets % side == 0)
    cols = sockets // rows
    right = ((at, at // cols * cols + (at + 1) % cols) for at in range(sockets))
    down = ((at, (at + cols) % sockets) for at in range(sockets))
    return _both_ways([*right, *down])


def _switch(sockets: int) -> Links:
    """One link up to, and one down from, a switch that never blocks."""
    return _both_ways((at, sockets) for at in range(sockets))


def _two_level(sockets: int) -> Links:
    """Two full meshes, and a link between each socket of the one and its counterpart in the other."""
    if sockets % 2:
        raise ArchError(
            Problem(message=f"a two_level topology has two equal halves: {sockets} sockets is an odd number")
        )
    half = sockets // 2
    inside = ((a + base, b + base) for base in (0, half) for a in range(half) for b in range(half))
    return _both_ways([*inside, *((at, at + half) for at in range(half))])


def _both_ways(edges: Iterable[tuple[int, int]]) -> Links:
    return tuple(sorted({way for a, b in edges if a != b for way in ((a, b), (b, a))}))


TOPOLOGIES: Final[Mapping[str, Callable[[int], Links]]] = {
    "full_mesh": _full_mesh,
    "ring": _ring,
    "torus": _torus,
    "switch": _switch,
    "two_level": _two_level,
}
