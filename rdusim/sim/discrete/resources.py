"""What the flows of a section share, and for how long one tile of each holds it: links, AGCUs, TLN, die-to-die.

A link can matter only if some mix of flows waits there longer than anywhere else. So links that another one outdoes for
every flow are left out, and so are links that several flows share without ever filling a quarter of the section's time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rdusim.arch.types import Arch, Socket
from rdusim.kernel.actors import ActorNet
from rdusim.mapping.doors import agcu_bytes
from rdusim.mapping.mesh import Mesh, mesh_of
from rdusim.mapping.types import Flow, MappedSection, Route, flows_of
from rdusim.program.types import Stream
from rdusim.sim.causes import DIE, RDN, TLN
from rdusim.timing import agcu, dram, rdn, tln
from rdusim.units import Cycles

QUIET: Final = 0.25  # of the claimed time: below, flows that share a link hardly ever meet on it

Uses = tuple[tuple[int, float], ...]
Adder = Callable[[str, str], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """An AGCU that carries `bytes` of one tile of a load or store, at most `rate` bytes per cycle."""

    resource: int
    bytes: float
    rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """`uses`: by flow, (resource, cycles) of one tile. `doors`: by load and store, the AGCUs that carry it.

    `tiers`: resource of each memory. `causes`: by resource, its name in the breakdown. AGCUs are exclusive resources.
    """

    uses: Mapping[str, Uses]
    doors: Mapping[str, tuple[Door, ...]]
    tiers: Mapping[str, int]
    causes: tuple[str, ...]


def share(net: ActorNet, mapped: MappedSection, tiers: Mapping[str, str], arch: Arch, pace: float) -> Shared:
    """Add the shared resources of a section to `net`. `tiers`: by load and store; `pace`: cycles it takes at least."""
    mesh = mesh_of(arch.socket)
    flows = flows_of(mapped.section)
    uses: dict[str, list[tuple[int, float]]] = {flow.name: [] for flow in flows}
    causes: list[str] = []

    def add(name: str, cause: str) -> int:
        net.shared.append(name)
        causes.append(cause)
        return len(net.shared) - 1

    numbers, cycles = _links(mapped, flows, mesh, arch, pace)
    for row, link in enumerate(numbers.tolist()):
        resource = add(link_name(link, mesh), RDN)
        for at in np.flatnonzero(cycles[row]).tolist():
            uses[flows[at].name].append((resource, float(cycles[row, at])))
    _outside(add, uses, mapped, flows, arch.socket)
    buses = {tier.name: add(tier.name, tier.name) for tier in arch.socket.memory}
    doors = _doors(net.exclusive, mapped, flows, tiers, mesh, arch)
    return Shared(
        uses={name: tuple(found) for name, found in uses.items()}, doors=doors, tiers=buses, causes=tuple(causes)
    )


def link_name(link: int, mesh: Mesh) -> str:
    """A mesh link as a person finds it on the floorplan."""
    switch, direction = divmod(link, 4)
    tile, square = divmod(switch, mesh.tile_switches)
    row, col = divmod(square, mesh.cols)
    return f"link {tile}.{row}.{col} {('north', 'east', 'south', 'west')[direction]}"


def _links(
    mapped: MappedSection, flows: Sequence[Flow], mesh: Mesh, arch: Arch, pace: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Links that can matter, and cycles (link x flow) of one tile on each."""
    routes = [mapped.routes[flow.name] for flow in flows]
    flow_of = np.repeat(np.arange(len(flows)), [len(route.links) for route in routes])
    link = np.array([number for route in routes for number in route.links], dtype=np.int64)
    load = np.array([size for route in routes for size in route.tile_load], dtype=np.float64)
    inside = link < mesh.mesh_links
    used, row = np.unique(link[inside], return_inverse=True)
    cycles = np.zeros((used.size, len(flows)))
    a_byte = float(rdn.link_cycles(1.0, arch.socket.tile.rdn)) / mesh.vector_links
    np.add.at(cycles, (row, flow_of[inside]), load[inside] * a_byte)
    if not used.size:
        return used, cycles
    tiles = np.array([flow.tiles for flow in flows], dtype=np.float64)
    total = cycles @ tiles
    own = np.unique(cycles.argmax(axis=0)[cycles.max(axis=0) > 0.0])
    busy = np.flatnonzero(total > QUIET * pace)
    kept = _undominated(cycles, np.union1d(own, busy), total)
    return used[kept], cycles[kept]


def _undominated(cycles: NDArray[np.float64], rows: NDArray[np.int64], total: NDArray[np.float64]) -> NDArray[np.int64]:
    """Of `rows`, those that no other row outdoes in every column; the busiest first."""
    kept: list[int] = []
    for at in rows[np.argsort(-total[rows], kind="stable")].tolist():
        if not kept or not np.any(np.all(cycles[kept] >= cycles[at], axis=1)):
            kept.append(at)
    return np.array(kept, dtype=np.int64)


def _outside(
    add: Adder, uses: dict[str, list[tuple[int, float]]], mapped: MappedSection, flows: Sequence[Flow], socket: Socket
) -> None:
    """The top-level network and the link between the dies."""
    network, between = add(TLN, TLN), add(DIE, DIE)
    for flow in flows:
        route = mapped.routes[flow.name]
        if route.tln_bytes > 0.0:
            uses[flow.name].append((network, float(tln.tln_cycles(route.tln_bytes, socket.tln, socket.dies))))
        if route.die_crossing_bytes > 0.0:
            cycles = float(tln.die_to_die_cycles(route.die_crossing_bytes, socket.die_to_die))
            uses[flow.name].append((between, cycles))


def _doors(
    names: list[str], mapped: MappedSection, flows: Sequence[Flow], tiers: Mapping[str, str], mesh: Mesh, arch: Arch
) -> dict[str, tuple[Door, ...]]:
    """AGCUs of every load and store, with the rate that their outstanding requests allow."""
    socket = arch.socket
    memory = {tier.name: tier for tier in socket.memory}
    number: dict[int, int] = {}
    found: dict[str, tuple[Door, ...]] = {}
    for flow in flows:
        if isinstance(flow, Stream):
            continue
        route = mapped.routes[flow.name]
        latency = memory_latency(route, dram.latency(memory[tiers[flow.name]], socket.clock), socket)
        rate = agcu.rate(latency, flow.contiguous, socket.tile.agcu)
        doors = []
        for switch, size in agcu_bytes(route, socket).items():
            if switch not in number:
                number[switch] = len(names)
                names.append(f"agcu {_square(switch, mesh)}")
            doors.append(Door(resource=number[switch], bytes=size, rate=rate))
        found[flow.name] = tuple(doors)
    return found


def memory_latency(route: Route, first: Cycles, socket: Socket) -> Cycles:
    """Cycles from a request of an AGCU to its first byte back there."""
    return Cycles(first + tln.latency(socket, route.die_crossing_bytes > 0))


def _square(switch: int, mesh: Mesh) -> str:
    tile, square = divmod(switch, mesh.tile_switches)
    return ".".join(str(part) for part in (tile, *divmod(square, mesh.cols)))
