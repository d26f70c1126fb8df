"""Which AGCUs a load or store goes through, and how many bytes of one of its tiles each of them carries."""

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
