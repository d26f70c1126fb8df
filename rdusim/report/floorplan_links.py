"""The floorplan's second picture: how much every link of the mesh carries, as a share of what it could."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Final

import numpy as np

from rdusim.report.floorplan_layout import PITCH, Layout, Panel, panel
from rdusim.report.floorplan_stages import agcu_marks
from rdusim.report.floorplan_style import LEVELS
from rdusim.report.links import LinkLoads, busiest, link_loads, link_name
from rdusim.report.names import common_block
from rdusim.timing import rdn
from rdusim.units import show

if TYPE_CHECKING:
    from rdusim.arch.types import Arch
    from rdusim.mapping.mesh import Mesh
    from rdusim.mapping.types import MappedSection

_NODE: Final = 2  # around the middle of a switch, px
_ASIDE: Final = 2.5  # of the middle line: traffic keeps to the right
_SCALE_BAR: Final = 56  # height of the colour bar with its numbers
_TOPS: Final = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 10.0)
_PORT: Final = 11  # length of a port's line


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """`bytes`: a link's load at the top of the scale, which is `top` of its capacity (None: no claim is known)."""

    bytes: float
    top: float | None

    def level(self, load: float) -> int:
        return min(LEVELS - 1, int(LEVELS * load / self.bytes))


def link_panel(mapped: MappedSection, mesh: Mesh, layout: Layout, arch: Arch, *, brief: bool = False) -> Panel:
    """Links and ports that carry anything, coloured by their load in one execution."""
    loads = _short_names(link_loads(mapped, mesh), mapped)
    carried = _carried(mapped, arch)
    worst = busiest(mapped, loads, mesh)
    scale = _scale(float(loads.bytes[worst]), carried)
    drawing = [
        '<use href="#u" class="under"/>',
        _mesh(layout),
        *_drawn(loads, mesh, layout, scale, carried, brief=brief),
        *_ring(worst, loads, mesh, layout),
        *agcu_marks(mesh, layout, _busy_ports(loads, mesh)),
        *_bar(layout, scale),
    ]
    notes = [escape(note) for note in _notes(mapped, loads, worst, mesh, arch, carried)]
    return panel(layout, "Links of the vector network", notes, drawing, below=_SCALE_BAR)


def _short_names(loads: LinkLoads, mapped: MappedSection) -> LinkLoads:
    """Thousands of links say whose bytes are most: the block that all stages share is left out."""
    block = common_block(stage.name for stage in mapped.section.stages)
    return replace(loads, flows=tuple(flow.replace(block, "") for flow in loads.flows)) if block else loads


def _carried(mapped: MappedSection, arch: Arch) -> float:
    """Bytes that one link carries in the claimed cycles; 0 if no cycles are claimed."""
    return mapped.claimed / rdn.link_cycles(1.0, arch.socket.tile.rdn)


def _scale(worst: float, carried: float) -> _Scale:
    """Up to a round share of the capacity, just above the most loaded link; a port may have more."""
    if not carried:
        return _Scale(bytes=worst or 1.0, top=None)
    share = worst / carried
    top = next((top for top in _TOPS if share <= top), share)
    return _Scale(bytes=top * carried, top=top)


def _notes(
    mapped: MappedSection, loads: LinkLoads, worst: int, mesh: Mesh, arch: Arch, carried: float
) -> Iterator[str]:
    if not loads.bytes[worst]:
        yield "nothing travels on it"
        return
    claimed = f", for which {show(mapped.claimed / arch.socket.clock, 'time')} are claimed" if carried else ""
    yield f"load of one execution{claimed}; traffic keeps to the right, as on a road"
    share = f", {show(loads.bytes[worst] / carried, 'share')} of what it carries in that time" if carried else ""
    slower = f"; links need {mapped.slowdown:.2f} x the claimed time" if mapped.slowdown > 1.0 else ""
    yield f"busiest (ring): {link_name(worst, mesh)}: {show(float(loads.bytes[worst]), 'size')}{share}{slower}"


def _mesh(layout: Layout) -> str:
    """Every link that there is, faintly; drawn once for all tiles."""
    wide, high = (layout.cols - 1) * PITCH, (layout.rows - 1) * PITCH
    lines = "".join(f"M0 {row * PITCH}h{wide}" for row in range(layout.rows))
    lines += "".join(f"M{col * PITCH} 0v{high}" for col in range(layout.cols))
    shape = f'<defs><path id="t" class="mesh" d="{lines}"/></defs>'
    places = (layout.centre(tile, 0, 0) for tile in range(layout.tiles))
    return shape + "".join(f'<use href="#t" x="{x}" y="{y}"/>' for x, y in places)


def _drawn(
    loads: LinkLoads, mesh: Mesh, layout: Layout, scale: _Scale, carried: float, *, brief: bool
) -> Iterator[str]:
    """By level, so that each class stands once, and the busiest lie on top."""
    used = np.flatnonzero(loads.bytes).tolist()
    levels = {link: scale.level(float(loads.bytes[link])) for link in used}
    for level in range(LEVELS):
        links = [link for link in used if levels[link] == level]
        if links and brief:
            yield f'<path class="h{level}" d="{"".join(_line(link, mesh, layout) for link in links)}"/>'
        elif links:
            drawn = "".join(_link(link, loads, mesh, layout, carried) for link in links)
            yield f'<g class="h{level}">{drawn}</g>'


def _ring(worst: int, loads: LinkLoads, mesh: Mesh, layout: Layout) -> Iterator[str]:
    if loads.bytes[worst]:
        x, y, right, down, length = _course(worst, mesh, layout)
        yield f'<circle class="ring" cx="{x + right * length / 2:g}" cy="{y + down * length / 2:g}" r="11"/>'


def _link(link: int, loads: LinkLoads, mesh: Mesh, layout: Layout, carried: float) -> str:
    load = float(loads.bytes[link])
    share = f"{show(load / carried, 'share')}, " if carried else ""
    told = f"{link_name(link, mesh)}: {share}{show(load, 'size')}; most: {loads.flows[loads.most[link]]}"
    return f'<path d="{_line(link, mesh, layout)}"><title>{escape(told)}</title></path>'


def _line(link: int, mesh: Mesh, layout: Layout) -> str:
    x, y, right, down, length = _course(link, mesh, layout)
    step = f"h{right * length}" if right else f"v{down * length}"
    return f"M{x:g} {y:g}{step}"


def _course(link: int, mesh: Mesh, layout: Layout) -> tuple[float, float, int, int, int]:
    """Where a link's line starts, which way it goes (right, down), and how far."""
    ways = ((0, -1), (1, 0), (0, 1), (-1, 0))
    if link < mesh.mesh_links:
        site, (right, down) = mesh.sites[link // 4], ways[link % 4]
        start, length = _NODE, PITCH - 2 * _NODE
    else:
        switch, inward = divmod(link - mesh.mesh_links, 2)
        site = mesh.sites[switch]
        right, down = ways[_side(site.row, site.col, layout)]
        start, length = (_NODE + _PORT, _PORT) if inward else (_NODE, _PORT)
    x, y = layout.centre(site.tile, site.row, site.col)
    x, y = x + right * start, y + down * start
    if link >= mesh.mesh_links and (link - mesh.mesh_links) % 2:
        right, down = -right, -down
    # Right of (right, down) is (-down, right), as y grows downwards.
    return x - down * _ASIDE, y + right * _ASIDE, right, down, length


def _side(row: int, col: int, layout: Layout) -> int:
    """The edge at which a switch has its port: AGCUs are left and right."""
    if col in (0, layout.cols - 1):
        return 3 if col == 0 else 1
    return 0 if row == 0 else 2


def _busy_ports(loads: LinkLoads, mesh: Mesh) -> set[int]:
    return set((np.flatnonzero(loads.bytes[mesh.mesh_links :]) // 2).tolist())


def _bar(layout: Layout, scale: _Scale) -> Iterator[str]:
    """The colours with their loads: shares of capacity above, bytes below."""
    width, top = 48, layout.die_height + 32
    left = layout.width // 2 - width * LEVELS // 2
    for level in range(LEVELS):
        yield f'<rect class="f{level}" x="{left + level * width}" y="{top}" width="{width}" height="14"/>'
    for mark in range(0, LEVELS + 1, 2):
        x, part = left + mark * width, mark / LEVELS
        yield f'<text class="small mid" x="{x}" y="{top + 29}">{show(part * scale.bytes, "size")}</text>'
        if scale.top is not None:
            yield f'<text class="small mid" x="{x}" y="{top - 5}">{show(part * scale.top, "share")}</text>'
    yield f'<text class="soft small" x="{left + LEVELS * width + 40}" y="{top + 29}">per execution</text>'
    if scale.top is not None:
        yield f'<text class="soft small" x="{left + LEVELS * width + 40}" y="{top - 5}">of what a link carries</text>'
