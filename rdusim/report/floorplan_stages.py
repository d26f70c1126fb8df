"""The floorplan's first picture: which stage holds each unit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Final

from rdusim.mapping.types import SiteKind
from rdusim.report.floorplan_layout import PITCH, Layout, Panel, panel
from rdusim.report.names import common_block

if TYPE_CHECKING:
    from rdusim.mapping.mesh import Mesh
    from rdusim.mapping.types import MappedSection, Placement, Site

_PCU: Final = PITCH - 2  # sides of a square
_PMU: Final = PITCH - 4
_LARGE: Final = 9  # units of one stage on a tile from which its number is written large


def stage_panel(mapped: MappedSection, mesh: Mesh, layout: Layout, *, brief: bool = False) -> Panel:
    """Every unit in the colour of its stage, each stage's number where it lies, AGCUs at the edges."""
    notes = "squares are PCUs, round and paler ones PMUs, grey ones free, arrows at the edges AGCUs; numbers as below"
    used = {site for placed in mapped.placements for site in (*placed.pcus, *placed.pmus)}
    numbered = list(enumerate(mapped.placements, start=1))
    block = common_block(placed.stage for placed in mapped.placements)
    free = [site for site in mesh.sites if site not in used]
    idle = _together(free, layout) if brief else "".join(_unit(site, layout) for site in free)
    drawing = [
        *([] if brief else [_shapes()]),
        f'<g id="u"><g class="idle">{idle}</g>',
        *(_stage(number, placed, layout, block, brief=brief) for number, placed in numbered),
        "</g>",
        *agcu_marks(mesh, layout, _used_agcus(mapped, mesh)),
        *(label for number, placed in numbered for label in _labels(number, placed, layout)),
    ]
    return panel(layout, "Stages", [notes], drawing)


def _shapes() -> str:
    """Drawn once, used for every unit; their centre is the origin."""
    pcu, pmu = _PCU // 2, _PMU // 2
    return (
        f'<defs><rect id="c" x="-{pcu}" y="-{pcu}" width="{_PCU}" height="{_PCU}" rx="2"/>'
        f'<rect id="m" class="mem" x="-{pmu}" y="-{pmu}" width="{_PMU}" height="{_PMU}" rx="7"/></defs>'
    )


def _unit(site: Site, layout: Layout, told: str = "") -> str:
    x, y = layout.centre(site.tile, site.row, site.col)
    shape = "c" if site.kind is SiteKind.PCU else "m"
    if not told:
        return f'<use href="#{shape}" x="{x}" y="{y}"/>'
    where = f"{site.kind.upper()} {site.tile}.{site.row}.{site.col}"
    return f'<use href="#{shape}" x="{x}" y="{y}"><title>{where}: {told}</title></use>'


def _together(sites: Sequence[Site], layout: Layout) -> str:
    """All of them as two shapes: hundreds of elements less."""
    drawn: dict[SiteKind, list[str]] = {SiteKind.PCU: [], SiteKind.PMU: []}
    for site in sites:
        x, y = layout.centre(site.tile, site.row, site.col)
        half = (_PCU if site.kind is SiteKind.PCU else _PMU) // 2
        drawn[site.kind].append(
            f"M{x - half} {y - half}h{_PCU}v{_PCU}h-{_PCU}z"
            if site.kind is SiteKind.PCU
            else f"M{x - half} {y}a{half} {half} 0 1 1 {_PMU} 0a{half} {half} 0 1 1-{_PMU} 0"
        )
    shapes = ((SiteKind.PCU, ""), (SiteKind.PMU, ' class="mem"'))
    return "".join(f'<path{kind} d="{"".join(drawn[unit])}"/>' for unit, kind in shapes if drawn[unit])


def _stage(number: int, placed: Placement, layout: Layout, block: str, *, brief: bool) -> str:
    told = f"{number} {escape(placed.stage.removeprefix(block))}"
    if brief:
        title = f"<title>{told}</title>"
        return f'<g class="c{number}">{title}{_together((*placed.pcus, *placed.pmus), layout)}</g>'
    return f'<g class="c{number}">{"".join(_unit(site, layout, told) for site in (*placed.pcus, *placed.pmus))}</g>'


def _labels(number: int, placed: Placement, layout: Layout) -> Iterator[str]:
    """On every tile, in the unit nearest to the middle of those that the stage has there."""
    sites = (*placed.pcus, *placed.pmus)
    for tile in sorted({site.tile for site in sites}):
        here = [site for site in sites if site.tile == tile]
        row = sum(site.row for site in here) / len(here)
        col = sum(site.col for site in here) / len(here)
        middle = min(here, key=lambda site: ((site.row - row) ** 2 + (site.col - col) ** 2, site.row, site.col))
        x, y = layout.centre(tile, middle.row, middle.col)
        size, drop = ("n", 5) if len(here) >= _LARGE else ("n s", 4)
        yield f'<text class="{size}" x="{x}" y="{y + drop}">{number}</text>'


def _used_agcus(mapped: MappedSection, mesh: Mesh) -> set[int]:
    """Switches of the AGCUs through whose ports loads and stores come and go."""
    flows = (*mapped.section.loads, *mapped.section.stores)
    links = {link for flow in flows if flow.name in mapped.routes for link in mapped.routes[flow.name].links}
    return {(link - mesh.mesh_links) // 2 for link in links if link >= mesh.mesh_links}


def agcu_marks(mesh: Mesh, layout: Layout, used: set[int]) -> Iterator[str]:
    """An arrowhead beside each AGCU's switch, pointing at it."""
    for number, switch in enumerate(mesh.agcus.reshape(-1).tolist()):
        site = mesh.sites[switch]
        x, y = layout.centre(site.tile, site.row, site.col)
        side = -1 if site.col == 0 else 1
        tip, base = x + side * (PITCH // 2 + 3), x + side * (PITCH // 2 + 14)
        kind = "agcu" if switch in used else "idle"
        told = f"AGCU {number % mesh.agcus.shape[1]} of tile {site.tile}, row {site.row}"
        yield f'<path class="{kind}" d="M{tip} {y}L{base} {y - 8}V{y + 8}Z"><title>{told}</title></path>'
