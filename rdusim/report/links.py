"""Mesh links by name, and what one execution of a section puts on each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from rdusim.mapping.types import flows_of

if TYPE_CHECKING:
    from rdusim.mapping.mesh import Mesh
    from rdusim.mapping.types import MappedSection

DIRECTIONS: Final = ("north", "east", "south", "west")
PORTS: Final = ("out", "in")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinkLoads:
    """By number of link or port: bytes of one execution over one of the parallel links, and the flow with most of them.

    `most` indexes `flows`.
    """

    bytes: NDArray[np.float64]
    most: NDArray[np.int64]
    flows: tuple[str, ...]


def link_loads(mapped: MappedSection, mesh: Mesh) -> LinkLoads:
    """Sums over all routes of a section; packets are taken to spread evenly over parallel links."""
    total, largest = np.zeros(mesh.links), np.zeros(mesh.links)
    most = np.zeros(mesh.links, dtype=np.int64)
    flows = [flow for flow in flows_of(mapped.section) if flow.name in mapped.routes]
    for number, flow in enumerate(flows):
        route = mapped.routes[flow.name]
        own = np.zeros(mesh.links)
        loads = np.array(route.tile_load) * (flow.tiles / mesh.vector_links)
        np.add.at(own, np.array(route.links, dtype=np.int64), loads)
        total += own
        most[own > largest] = number
        largest = np.maximum(largest, own)
    return LinkLoads(bytes=total, most=most, flows=tuple(flow.name for flow in flows))


def busiest(mapped: MappedSection, loads: LinkLoads, mesh: Mesh) -> int:
    """Number of the most loaded mesh link: the router's word where it has one. Ports are no links of the mesh."""
    return mapped.busiest_link if mapped.busiest_link >= 0 else int(loads.bytes[: mesh.mesh_links].argmax())


def link_name(link: int, mesh: Mesh) -> str:
    """`tile 0, row 3, col 5, east` of the switch that the link leaves; of a port, `out` or `in`."""
    if link < mesh.mesh_links:
        switch, way = link // 4, DIRECTIONS[link % 4]
    else:
        switch, way = (link - mesh.mesh_links) // 2, f"port {PORTS[(link - mesh.mesh_links) % 2]}"
    site = mesh.sites[switch]
    return f"tile {site.tile}, row {site.row}, col {site.col}, {way}"
