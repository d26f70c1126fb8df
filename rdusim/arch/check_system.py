"""Whether sockets can be joined as a layout says: every one reached, over the ports that there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from typing import Final

from rdusim.arch.layout import KINDS, LEVELS, Wire, ends, wires
from rdusim.arch.types import Edge, Layout, System
from rdusim.errors import Problem

MOST: Final = 1024  # sockets; links of a full mesh grow with the square

_FIELDS: Final = {
    "torus": ("dims",),
    "two_level": ("node", "nodes", "inner", "outer", "outer_link", "outer_ports"),
    "custom": ("links", "switches"),
}


def system_problems(system: System) -> Iterator[Problem]:
    """What is wrong with the layout; fields are relative to the system."""
    layout = system.topology
    if system.sockets > MOST:
        yield Problem(field="sockets", message=f"{system.sockets} is more than this rdusim knows how to join: {MOST}")
        return
    if layout.kind not in KINDS:
        yield _unknown("topology", layout.kind, tuple(KINDS))
        return
    found = [*_foreign(layout), *_levels(layout), *_edges(layout, system.sockets)]
    yield from found
    if found:
        return
    try:
        wired = wires(layout, system.sockets, system.link)
    except ValueError as error:
        hint = "change system.sockets, or write the topology as a group with the fields of its kind"
        yield Problem(field="topology", message=f"{layout.kind}: {error}", hint=hint)
        return
    yield from _unreached(wired, system.sockets)
    yield from _ports(wired, system)


def _unknown(field: str, name: str, known: tuple[str, ...]) -> Problem:
    return Problem(field=field, message=f"unknown topology {name!r}", hint=f"known: {', '.join(known)}")


def _foreign(layout: Layout) -> Iterator[Problem]:
    """Fields that belong to another kind."""
    for field in fields(layout):
        name = field.name
        if name != "kind" and name not in _FIELDS.get(layout.kind, ()) and getattr(layout, name) != field.default:
            kind = next(kind for kind, names in _FIELDS.items() if name in names)
            yield Problem(field=f"topology.{name}", message=f"{layout.kind} has no such field", hint=f"{kind} has it")


def _levels(layout: Layout) -> Iterator[Problem]:
    if layout.kind == "two_level":
        for field, name in (("topology.inner", layout.inner), ("topology.outer", layout.outer)):
            if name not in LEVELS:
                yield _unknown(field, name, LEVELS)


def _edges(layout: Layout, sockets: int) -> Iterator[Problem]:
    """Names of edges that join nothing, or join the same twice."""
    if layout.kind == "custom" and not layout.links and sockets > 1:
        yield Problem(field="topology", message="custom: there are no links", hint="links: {0-1: {}, 1-2: {}}")
    nodes, seen = sockets + (layout.switches or 0), dict[frozenset[int], Edge]()
    for edge in layout.links:
        field = f"topology.links.{edge.name}"
        try:
            joined = frozenset(ends(edge))
        except ValueError as error:
            yield Problem(field=field, message=str(error))
            continue
        if max(joined) >= nodes:
            hint = f"nodes are 0 to {nodes - 1}: sockets, then switches (system.topology.switches)"
            yield Problem(field=field, message=f"there is no node {max(joined)}", hint=hint)
        if joined in seen:
            yield Problem(field=field, message=f"joins what {seen[joined].name} joins", hint="each goes both ways")
        seen.setdefault(joined, edge)


def _unreached(wired: tuple[Wire, ...], sockets: int) -> Iterator[Problem]:
    """Sockets that have no way from socket 0."""
    near: dict[int, list[int]] = {}
    for wire in wired:
        near.setdefault(wire.one, []).append(wire.other)
        near.setdefault(wire.other, []).append(wire.one)
    reached, front = {0}, [0]
    while front:
        new = [node for node in near.get(front.pop(), ()) if node not in reached]
        reached.update(new)
        front.extend(new)
    cut = [str(socket) for socket in range(sockets) if socket not in reached]
    if cut:
        some = ", ".join(cut[:8]) + (" ..." if len(cut) > 8 else "")
        message = f"no way leads from socket 0 to socket {some}"
        yield Problem(field="topology", message=message, hint="add links, or lower system.sockets")


def _ports(wired: tuple[Wire, ...], system: System) -> Iterator[Problem]:
    used = Counter[int]()
    for wire in wired:
        used[wire.one] += wire.ports
        used[wire.other] += wire.ports
    socket, most = max(((at, used[at]) for at in range(system.sockets)), key=lambda each: each[1])
    if system.ports is not None and most > system.ports:
        joined = f"{system.topology.kind} of {system.sockets}"
        message = f"{joined}: socket {socket} has {most} links and {system.ports} ports"
        hint = "system.topology: two_level, torus, ring and switch take fewer; or raise system.ports"
        yield Problem(field="topology", message=message, hint=hint)
