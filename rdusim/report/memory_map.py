"""Memory over a program as one SVG: a panel for each tier, sections from left to right, addresses from below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Final

from rdusim.report.floorplan_layout import MARGIN
from rdusim.report.floorplan_style import style
from rdusim.report.memory_map_panel import PLOT, WIDTH, Column, panel
from rdusim.report.memory_use import memory_use
from rdusim.units import show

if TYPE_CHECKING:
    from rdusim.arch.types import Arch
    from rdusim.mapping.types import Mapping
    from rdusim.sim.trace import Trace

_SPACE: Final = 34  # between panels
_LEAST: Final = 3.0  # px of a section that takes hardly any time

# The palette of Okabe and Ito, told apart by every eye; neighbours in the picture differ in lightness too.
COLOURS: Final = {
    "weight": "#4e93c9",
    "kv_cache": "#e69f00",
    "activation": "#3fb58e",
    "saved": "#f0e442",
    "gradient": "#d55e00",
    "optimizer": "#b07cc6",
    "constant": "#a8adb4",
    "input": "#9fd3f2",
    "output": "#e3a4c4",
}


def memory_map(mapping: Mapping, arch: Arch, *, title: str, asked: str = "", trace: Trace | None = None) -> str:
    """The text of an SVG file, the same for the same arguments.

    Sections that repeat are one column. With `trace` a column is as wide as all repeats take, else all are alike.
    """
    uses = [use for use in memory_use(mapping, arch) if use.placed]
    columns = _columns(mapping, trace)
    numbers = {role: number for number, role in enumerate(COLOURS, start=1)}
    roles = dict.fromkeys(each.role for use in uses for each in use.placed)
    top, placed = 132, []
    for use in uses:
        drawn = panel(use, columns, numbers)
        placed.append(f'<g transform="translate({MARGIN} {top})">\n{drawn.drawing}\n</g>')
        top += drawn.height + _SPACE
    width, height = WIDTH + 2 * MARGIN, top
    line = f"{title}: memory of a socket over the program"
    said = asked or f"one socket of {arch.name}"
    return "\n".join(
        (
            '<svg xmlns="http://www.w3.org/2000/svg" '
            f'viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
            f"<title>{escape(line)}</title>",
            f"<style>\n{style(tuple(COLOURS.values()))}{_LINES}</style>",
            f'<rect class="page" width="{width}" height="{height}"/>',
            f'<text class="t1" x="{MARGIN}" y="40">{escape(line)}</text>',
            f'<text class="soft" x="{MARGIN}" y="62">{escape(said)}</text>',
            *_legend(roles, numbers),
            *placed,
            "</svg>\n",
        )
    )


_LINES: Final = """\
.box{stroke:#111;stroke-width:.5;stroke-opacity:.55}.on{fill:#111;font-size:12px}
.full{stroke:#c0392b;stroke-width:1.6;stroke-dasharray:8 5}.high{fill:none;stroke:#111;stroke-width:1.8}
.halo{fill:none;stroke:#fff;stroke-width:4;stroke-opacity:.8}.grid{stroke:#8a919b;stroke-width:.5;stroke-opacity:.6}
"""


def _columns(mapping: Mapping, trace: Trace | None) -> list[Column]:
    """Where each section stands, over the width of the plot."""
    program = mapping.program
    cycles = dict.fromkeys((section.name for section in program.sections), 0.0)
    for timing in trace.sections if trace else ():
        cycles[timing.name] += timing.cycles
    total, count = sum(cycles.values()), len(program.sections)
    least = min(_LEAST, PLOT / max(1, count))
    spare = PLOT - least * count
    widths = [least + spare * (cycles[section.name] / total if total else 1.0 / count) for section in program.sections]
    found, left = [], 0.0
    for section, wide in zip(program.sections, widths, strict=True):
        name = section.name if section.repeats == 1 else f"{section.name} x {section.repeats}"
        said = f"{name}: {show(cycles[section.name] / trace.clock, 'time')}" if trace else name
        found.append(Column(name=name, said=said, left=left, width=wide))
        left += wide
    return found


def _legend(roles: Sequence[str] | dict[str, None], numbers: dict[str, int]) -> Iterator[str]:
    x = MARGIN
    for role in sorted(roles, key=lambda role: numbers.get(role, 0)):
        word = role.replace("_", " ")
        yield f'<rect class="box c{numbers.get(role, 0)}" x="{x}" y="84" width="16" height="16" rx="3"/>'
        yield f'<text class="small" x="{x + 22}" y="97">{escape(word)}</text>'
        x += 48 + 8 * len(word)
    for kind, word in (("high", "highest address in use"), ("full", "capacity")):
        yield f'<path class="{kind}" d="M{x} 92h26"/><text class="small" x="{x + 32}" y="97">{word}</text>'
        x += 58 + 7 * len(word)
