"""How sockets are joined, as data: every kind of layout gives the links between its nodes.

Sockets are nodes 0 to n - 1, switches the nodes after them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from math import isqrt, prod
from typing import Final, NamedTuple

from rdusim.arch.types import Edge, Layout, Link

_NODE: Final = 8  # sockets of a node that nobody named: the product's


class Wire(NamedTuple):
    """A link between two nodes, in each direction, along an axis of the layout. `ports`: how many each end takes."""

    one: int
    other: int
    link: Link
    axis: int = 0
    ports: int = 1


def wires(layout: Layout, sockets: int, link: Link) -> tuple[Wire, ...]:
    """Every link of `sockets` sockets; `link` is one for which the layout says nothing else.

    Raises ValueError with a message for people where the layout cannot join so many, KeyError for an unknown kind.
    """
    return tuple(KINDS[layout.kind](layout, sockets, link))


def node_of(layout: Layout, sockets: int) -> int:
    """Sockets in a row that are nearer to each other than to others: a node of two levels, a row of a torus."""
    if layout.kind == "two_level":
        return min(sockets, _node(layout, sockets))
    return _sides(layout, sockets)[-1] if layout.kind == "torus" else sockets


def _full_mesh(layout: Layout, sockets: int, link: Link) -> Iterator[Wire]:
    """A link from every socket to every other."""
    return (Wire(one, other, link) for one, other in combinations(range(sockets), 2))


def _ring(layout: Layout, sockets: int, link: Link) -> Iterator[Wire]:
    """A link to the next and to the previous socket."""
    return _round([*range(sockets)], link)


def _round(nodes: list[int], link: Link) -> Iterator[Wire]:
    """Of two nodes, the link forwards and the one around are the same link."""
    steps = len(nodes) if len(nodes) > 2 else len(nodes) - 1
    return (Wire(nodes[at], nodes[(at + 1) % len(nodes)], link) for at in range(steps))


def _torus(layout: Layout, sockets: int, link: Link) -> Iterator[Wire]:
    """A ring along every dimension, the last one fastest."""
    sides = _sides(layout, sockets)
    for axis, side in enumerate(sides):
        step = prod(sides[axis + 1 :])
        for first in range(sockets):
            if first // step % side == 0:
                for wire in _round([first + at * step for at in range(side)], link):
                    yield wire._replace(axis=len(sides) - 1 - axis)


def _sides(layout: Layout, sockets: int) -> tuple[int, ...]:
    """As given (`4x4`), or two, as near to a square as the number of sockets has factors."""
    if layout.dims is None:
        rows = next(side for side in range(isqrt(sockets), 0, -1) if sockets % side == 0)
        return rows, sockets // rows
    if not all(side.isdecimal() for side in layout.dims.split("x")):
        raise ValueError(f"{layout.dims!r} are no dimensions of a torus, such as 4x4")
    sides = tuple(int(side) for side in layout.dims.split("x"))
    if prod(sides) != sockets:
        raise ValueError(f"a torus of {layout.dims} has {prod(sides)} sockets, not {sockets}")
    return sides


def _switch(layout: Layout, sockets: int, link: Link) -> Iterator[Wire]:
    """One link to a switch that never blocks."""
    return (Wire(at, sockets, link) for at in range(sockets))


def _two_level(layout: Layout, sockets: int, link: Link) -> Iterator[Wire]:
    """Nodes alike, and across them every socket joined to its counterparts in the other nodes."""
    size = _node(layout, sockets)
    if sockets <= size:
        yield from wires(Layout(kind=layout.inner), sockets, link)
        return
    nodes, remainder = divmod(sockets, size)
    if remainder:
        raise ValueError(f"nodes of {size} do not divide {sockets} sockets")
    if layout.nodes and nodes > layout.nodes:
        raise ValueError(f"{sockets} sockets are {nodes} nodes of {size}: more than {layout.nodes}")
    switches = sockets
    inside = wires(Layout(kind=layout.inner), size, link)
    for node in range(nodes):
        yield from _moved(inside, [*range(node * size, (node + 1) * size)], switches)
        switches += layout.inner == "switch"
    axes = 1 + max((wire.axis for wire in inside), default=0)
    across = wires(Layout(kind=layout.outer), nodes, layout.outer_link or link)
    for rail in range(size):
        for wire in _moved(across, [*range(rail, sockets, size)], switches):
            yield wire._replace(axis=wire.axis + axes, ports=layout.outer_ports)
        switches += layout.outer == "switch"


def _node(layout: Layout, sockets: int) -> int:
    """Without a number: the product's nodes, and halves of what is no more than one of them."""
    if layout.node is not None:
        return layout.node
    if sockets > _NODE:
        return _NODE
    if sockets % 2 and sockets > 1:
        raise ValueError(f"two equal halves cannot be made of {sockets} sockets, an odd number")
    return max(1, sockets // 2)


def _moved(wired: tuple[Wire, ...], sockets: list[int], switch: int) -> Iterator[Wire]:
    """The same links between other nodes. Only a switch may stand behind the sockets."""
    nodes = [*sockets, switch]
    return (wire._replace(one=nodes[wire.one], other=nodes[wire.other]) for wire in wired)


def _custom(layout: Layout, sockets: int, link: Link) -> Iterator[Wire]:
    """Edges as the file has them."""
    for edge in layout.links:
        one, other = ends(edge)
        bandwidth = link.bandwidth if edge.bandwidth is None else edge.bandwidth
        latency = link.latency if edge.latency is None else edge.latency
        yield Wire(one, other, Link(bandwidth=bandwidth, latency=latency))


def ends(edge: Edge) -> tuple[int, int]:
    """The nodes that an edge's name joins. Raises ValueError where it is no pair of two different nodes."""
    one, _, other = edge.name.partition("-")
    if not (one.isdecimal() and other.isdecimal()) or int(one) == int(other):
        raise ValueError(f"{edge.name!r} does not name two different nodes, such as 0-1")
    return int(one), int(other)


KINDS: Final[Mapping[str, Callable[[Layout, int, Link], Iterator[Wire]]]] = {
    "full_mesh": _full_mesh,
    "ring": _ring,
    "torus": _torus,
    "switch": _switch,
    "two_level": _two_level,
    "custom": _custom,
}
LEVELS: Final = ("full_mesh", "ring", "torus", "switch")  # what a level of two_level may be
