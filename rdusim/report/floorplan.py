"""A section on the socket as one SVG: stages on the units, what they are, and the load of every link."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from rdusim.mapping.mesh import mesh_of
from rdusim.report.floorplan_layout import MARGIN, layout_of
from rdusim.report.floorplan_legend import legend
from rdusim.report.floorplan_links import link_panel
from rdusim.report.floorplan_stages import stage_panel
from rdusim.report.floorplan_style import stage_colours, style
from rdusim.units import show

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rdusim.arch.types import Arch
    from rdusim.mapping.types import MappedSection
    from rdusim.program.types import Program
    from rdusim.sim.trace import SectionTiming

_SPACE = 30  # between panels


def floorplan(
    mapped: MappedSection,
    arch: Arch,
    *,
    title: str,
    asked: str = "",
    timing: SectionTiming | None = None,
    brief: bool = False,
) -> str:
    """The text of an SVG file, the same for the same arguments.

    `asked`: the run in one sentence; `timing`: of the section, for the stages' shares of its time. `brief`: a tenth of
    the bytes, for single units and links do not say what they are.
    """
    mesh = mesh_of(arch.socket)
    layout = layout_of(mesh)
    panels = (
        stage_panel(mapped, mesh, layout, brief=brief),
        legend(mapped.section, timing, layout.width),
        link_panel(mapped, mesh, layout, arch, brief=brief),
    )
    top = 104
    placed = []
    for panel in panels:
        placed.append(f'<g transform="translate({MARGIN} {top})">\n{panel.drawing}\n</g>')
        top += panel.height + _SPACE
    width, height = layout.width + 2 * MARGIN, top
    return "\n".join(
        (
            '<svg xmlns="http://www.w3.org/2000/svg" '
            f'viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
            f"<title>{escape(title)}: floorplan of section {escape(mapped.section.name)}</title>",
            f"<style>\n{style(stage_colours(mapped.section.stages))}</style>",
            f'<rect class="page" width="{width}" height="{height}"/>',
            *_heading(mapped, arch, title, asked),
            *placed,
            "</svg>\n",
        )
    )


def widest(program: Program) -> str:
    """Name of the section with most units; the first of equals."""
    return max(program.sections, key=lambda section: section.pcus + section.pmus).name


def _heading(mapped: MappedSection, arch: Arch, title: str, asked: str) -> Iterable[str]:
    section, socket = mapped.section, arch.socket
    used = [(section.pcus, socket.pcus, "PCUs"), (section.pmus, socket.pmus, "PMUs")]
    units = ", ".join(f"{show(part, 'count')} of {show(whole, 'count')} {name}" for part, whole, name in used)
    line = f"{title}, section {section.name}: {units}"
    yield f'<text class="t1" x="{MARGIN}" y="40">{escape(line)}</text>'
    yield f'<text class="soft" x="{MARGIN}" y="62">{escape(asked or f"one socket of {arch.name}")}</text>'
