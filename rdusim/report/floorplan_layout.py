"""Where the squares of a socket lie on a page: dies beside each other, the tiles of a die beneath each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rdusim.mapping.mesh import Mesh

PITCH: Final = 20  # from one switch to the next, px
EDGE: Final = 28  # around the squares of a tile, for AGCUs and ports
TILE_TITLE: Final = 18
DIE_TITLE: Final = 24
DIE_SPACE: Final = 22  # between dies, and around them
MARGIN: Final = 24
LINE: Final = 19  # of notes
LEAST_WIDTH: Final = 980  # the legend needs it, however small the machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Sizes in px. A panel is one picture of the whole socket; coordinates are within it."""

    tiles: int
    rows: int
    cols: int
    tiles_per_die: int

    @property
    def tile_width(self) -> int:
        return self.cols * PITCH + 2 * EDGE

    @property
    def tile_height(self) -> int:
        return self.rows * PITCH + 2 * EDGE + TILE_TITLE

    @property
    def dies(self) -> int:
        return -(-self.tiles // self.tiles_per_die)

    @property
    def die_height(self) -> int:
        return DIE_TITLE + self.tiles_per_die * self.tile_height

    @property
    def width(self) -> int:
        """Of the page without its margins."""
        return max(LEAST_WIDTH, self.dies * self.tile_width + (self.dies - 1) * DIE_SPACE)

    def die(self, number: int) -> tuple[int, int]:
        """Left and upper corner."""
        return self._left() + number * (self.tile_width + DIE_SPACE), 0

    def tile(self, number: int) -> tuple[int, int]:
        """Left and upper corner, the tile's title included."""
        left, top = self.die(number // self.tiles_per_die)
        return left, top + DIE_TITLE + number % self.tiles_per_die * self.tile_height

    def centre(self, tile: int, row: int, col: int) -> tuple[int, int]:
        """Of a unit and its switch."""
        left, top = self.tile(tile)
        return left + EDGE + col * PITCH + PITCH // 2, top + TILE_TITLE + EDGE + row * PITCH + PITCH // 2

    def _left(self) -> int:
        """Small machines stand in the middle."""
        return (self.width - self.dies * self.tile_width - (self.dies - 1) * DIE_SPACE) // 2


def layout_of(mesh: Mesh) -> Layout:
    return Layout(tiles=mesh.tiles, rows=mesh.rows, cols=mesh.cols, tiles_per_die=mesh.tiles_per_die)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A part of the page, as SVG elements whose origin is its own upper left corner; as wide as the page."""

    drawing: str
    height: int


def panel(layout: Layout, title: str, notes: Sequence[str], drawing: Iterable[str], below: int = 0) -> Panel:
    """Title and notes, and beneath them the dies with what is drawn on them; `below` them px are free."""
    top = 10 + LINE * len(notes)
    said = "".join(
        f'<text class="soft small" y="{LINE * (1 + number)}">{note}</text>' for number, note in enumerate(notes)
    )
    parts = (
        f'<text class="t2">{title}</text>{said}',
        f'<g transform="translate(0 {top})">',
        _frame(layout),
        *drawing,
        "</g>",
    )
    return Panel(drawing="\n".join(parts), height=top + layout.die_height + below)


def _frame(layout: Layout) -> str:
    """The dies with their boundaries, and the outlines of the tiles."""
    parts = []
    for die in range(layout.dies):
        left, top = layout.die(die)
        parts.append(
            f'<rect class="die" x="{left}" y="{top}" width="{layout.tile_width}" height="{layout.die_height}" rx="8"/>'
            f'<text class="soft" x="{left + 12}" y="{top + 19}">die {die}</text>'
        )
    for tile in range(layout.tiles):
        left, top = layout.tile(tile)
        x, y = left + EDGE, top + EDGE + TILE_TITLE
        width, height = layout.cols * PITCH, layout.rows * PITCH
        parts.append(
            f'<text class="soft small mid" x="{x + width // 2}" y="{top + TILE_TITLE - 4}">tile {tile}</text>'
            f'<rect class="tile" x="{x}" y="{y}" width="{width}" height="{height}" rx="3"/>'
        )
    return "\n".join(parts)
