"""What a route says of the units it passes: bytes of one tile in each AGCU, and on its most loaded link."""

from __future__ import annotations

from rdusim.arch.types import Socket
from rdusim.mapping.types import Route


def agcu_bytes(route: Route, socket: Socket) -> dict[int, float]:
    """Bytes of one tile by the switch where the AGCU sits; ports are numbered behind the mesh links (mapping.mesh)."""
    mesh_links = 4 * socket.tiles * socket.tile.rows * socket.tile.cols
    found: dict[int, float] = {}
    for link, size in zip(route.links, route.tile_load, strict=True):
        if link >= mesh_links and size > 0.0:
            switch = (link - mesh_links) // 2
            found[switch] = found.get(switch, 0.0) + size
    return found


def link_bytes(route: Route, socket: Socket) -> float:
    """Bytes of one tile on the most loaded mesh link of a route, all parallel ones together; ports are no links."""
    mesh_links = 4 * socket.tiles * socket.tile.rows * socket.tile.cols
    loads = (size for link, size in zip(route.links, route.tile_load, strict=True) if link < mesh_links)
    return max(loads, default=0.0)
