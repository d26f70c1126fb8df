"""Geometry of a socket's tiles: numbers of switches and links, kinds of sites, doors to the top-level network.

Every tile is a rows x cols mesh of switches with one unit at each; a unit is a PCU where row + col is even, else a PMU.
Numbers are arithmetic, so that routes are arrays:

    switch = (tile * rows + row) * cols + col
    link   = 4 * switch + direction                       leaves the switch; NORTH is towards row 0
    port   = 4 * switches + 2 * switch + (OUT or IN)      between a switch at a tile's edge and the top-level network

Mesh links stay within a tile. The TLN joins the tiles on every side (MICRO'24 Fig. 5), so that a stream between two
tiles leaves and enters by the nearest edge. AGCUs sit at the left and right edges, evenly spaced.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rdusim.arch.types import Socket
from rdusim.mapping.types import Site, SiteKind

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

NORTH: Final = 0
EAST: Final = 1
SOUTH: Final = 2
WEST: Final = 3
OUT: Final = 0
IN: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mesh:
    """The meshes of one socket.

    `sites` is by switch, `doors` the nearest edge switch of each switch, `agcus` (tile x AGCU) the AGCUs' switches.
    """

    tiles: int
    rows: int
    cols: int
    tiles_per_die: int
    vector_links: int
    sites: tuple[Site, ...]
    doors: Ints
    agcus: Ints

    @property
    def tile_switches(self) -> int:
        """Switches of one tile."""
        return self.rows * self.cols

    @property
    def switches(self) -> int:
        return self.tiles * self.rows * self.cols

    @property
    def mesh_links(self) -> int:
        """Directed links within the meshes, those that would leave an edge included: they are never used."""
        return 4 * self.switches

    @property
    def links(self) -> int:
        """Mesh links and ports."""
        return 6 * self.switches

    def switch(self, site: Site) -> int:
        return (site.tile * self.rows + site.row) * self.cols + site.col

    def switches_of(self, sites: Iterable[Site]) -> Ints:
        rows, cols = self.rows, self.cols
        return np.array([(site.tile * rows + site.row) * cols + site.col for site in sites], dtype=np.int64)

    def link(self, switch: int, direction: int) -> int:
        return 4 * switch + direction

    def port(self, switch: int, direction: int) -> int:
        return self.mesh_links + 2 * switch + direction

    def tile_of(self, switches: Ints) -> Ints:
        return switches // (self.rows * self.cols)

    def row_of(self, switches: Ints) -> Ints:
        return switches // self.cols % self.rows

    def col_of(self, switches: Ints) -> Ints:
        return switches % self.cols

    def die_of(self, tiles: Ints) -> Ints:
        return tiles // self.tiles_per_die

    def ends(self, links: Ints) -> tuple[Ints, Ints]:
        """Switch at the tail and at the head of links and ports; `switches` stands for the top-level network."""
        step = np.array([-self.cols, 1, self.cols, -1], dtype=np.int64)
        tail = links // 4
        head = tail + step[links % 4]
        port = links - self.mesh_links
        edge = port // 2
        outside = np.int64(self.switches)
        tail = np.where(port < 0, tail, np.where(port % 2 == OUT, edge, outside))
        head = np.where(port < 0, head, np.where(port % 2 == OUT, outside, edge))
        return tail, head

    def exists(self, links: Ints) -> NDArray[np.bool_]:
        """Which numbers are links between neighbours of a tile, or ports at an edge."""
        switch = np.where(links < self.mesh_links, links // 4, (links - self.mesh_links) // 2)
        row, col = self.row_of(switch), self.col_of(switch)
        inside = np.choose(links % 4, (row > 0, col < self.cols - 1, row < self.rows - 1, col > 0))
        edge = (row == 0) | (row == self.rows - 1) | (col == 0) | (col == self.cols - 1)
        return (links >= 0) & (links < self.links) & np.where(links < self.mesh_links, inside, edge)


def mesh_of(socket: Socket) -> Mesh:
    """The meshes of `socket`, with a Site object for every square."""
    tile = socket.tile
    return Mesh(
        tiles=socket.tiles,
        rows=tile.rows,
        cols=tile.cols,
        tiles_per_die=socket.tiles_per_die,
        vector_links=tile.rdn.vector_links,
        sites=tuple(
            Site(tile=number, row=row, col=col, kind=SiteKind.PMU if (row + col) % 2 else SiteKind.PCU)
            for number in range(socket.tiles)
            for row in range(tile.rows)
            for col in range(tile.cols)
        ),
        doors=_doors(socket.tiles, tile.rows, tile.cols),
        agcus=_agcus(socket.tiles, tile.rows, tile.cols, tile.agcus),
    )


def _doors(tiles: int, rows: int, cols: int) -> Ints:
    """The nearest edge switch of every switch: left, right, top or bottom, the first of equals."""
    row, col = np.divmod(np.arange(rows * cols, dtype=np.int64), cols)
    nearest = np.argmin(np.stack([col, cols - 1 - col, row, rows - 1 - row]), axis=0)
    door_row = np.choose(nearest, (row, row, np.zeros_like(row), np.full_like(row, rows - 1)))
    door_col = np.choose(nearest, (np.zeros_like(col), np.full_like(col, cols - 1), col, col))
    first = np.arange(tiles, dtype=np.int64)[:, None] * (rows * cols)
    doors: Ints = (first + door_row * cols + door_col).reshape(-1)
    return doors


def _agcus(tiles: int, rows: int, cols: int, count: int) -> Ints:
    """Switches of the AGCUs of every tile, in order of rows: even ones at the left edge, odd ones at the right."""
    number = np.arange(count, dtype=np.int64)
    side = number % 2
    on_side = np.maximum(1, np.where(side == 0, (count + 1) // 2, count // 2))
    row = (2 * (number // 2) + 1) * rows // (2 * on_side)
    within = np.sort(row * cols + side * (cols - 1))
    first = np.arange(tiles, dtype=np.int64)[:, None] * (rows * cols)
    agcus: Ints = first + within
    return agcus
