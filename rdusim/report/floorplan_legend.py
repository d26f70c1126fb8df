"""The list beneath a floorplan's stages: number, name, operators, units, and share of the section's time."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from rdusim.report.floorplan_layout import Panel
from rdusim.report.floorplan_style import KINDS
from rdusim.report.names import common_block
from rdusim.units import show

if TYPE_CHECKING:
    from rdusim.program.types import Section, Stage
    from rdusim.sim.trace import SectionTiming

_ROW: Final = 23
_HEAD: Final = 30
_BAR: Final = 70  # px of the whole time
_LETTER: Final = 7.6  # px that a letter takes at most, in the mean


def legend(section: Section, timing: SectionTiming | None, width: int) -> Panel:
    """A row for each stage. Without `timing` no shares: of one execution, the time that the stage itself is busy."""
    busy = {stage.name: stage.busy / timing.execution_cycles for stage in timing.stages} if timing else {}
    block = common_block(stage.name for stage in section.stages)
    rows = [_head(width, timed=timing is not None)]
    for number, stage in enumerate(section.stages, start=1):
        rows.append(_row(number, stage, block, busy.get(stage.name), width))
    return Panel(drawing="\n".join(rows), height=_HEAD + _ROW * len(section.stages))


def _columns(width: int) -> tuple[int, int, int, int, int]:
    """Left ends of name, kind and operators; right ends of PCUs and PMUs."""
    return 40, 286, 366, width - 190, width - 140


def _head(width: int, *, timed: bool) -> str:
    name, kind, operators, pcus, pmus = _columns(width)
    cells = [(name, "", "stage"), (kind, "", "work"), (operators, "", "operators"), (pcus, " end", "PCU")]
    cells += [(pmus, " end", "PMU"), *([(width - 120, "", "busy, of its time")] if timed else [])]
    return "".join(f'<text class="soft small{align}" x="{x}" y="12">{said}</text>' for x, align, said in cells)


def _row(number: int, stage: Stage, block: str, busy: float | None, width: int) -> str:
    name, kind, operators, pcus, pmus = _columns(width)
    y = _HEAD + _ROW * (number - 1)
    own = [operator.removeprefix(block) for operator in stage.operators]
    work = stage.collective.kind.replace("_", "-") if stage.collective is not None else KINDS[stage.compute]
    parts = [
        f'<rect class="c{number}" y="{y - 8}" width="30" height="18" rx="3"/>',
        f'<text class="n s" x="15" y="{y + 5}">{number}</text>',
        _cell(name, y, stage.name.removeprefix(block), kind - name),
        _cell(kind, y, work, operators - kind, "soft small"),
        _cell(operators, y, ", ".join(own), pcus - 40 - operators, "small"),
        f'<text class="end" x="{pcus}" y="{y + 6}">{stage.pcus}</text>',
        f'<text class="end" x="{pmus}" y="{y + 6}">{stage.pmus}</text>',
    ]
    if busy is not None:
        parts.append(
            f'<rect class="bar" x="{width - 120}" y="{y - 5}" width="{_BAR * min(1.0, busy):.1f}" height="11"/>'
        )
        at = width - 120 + _BAR * min(1.0, busy) + 5
        parts.append(f'<text class="small" x="{at:.1f}" y="{y + 5}">{show(busy, "share")}</text>')
    return "".join(parts)


def _cell(x: int, y: int, text: str, room: int, kind: str = "") -> str:
    """Text cut to the room it has; all of it as its tooltip."""
    letters = int(room / (_LETTER if kind == "" else _LETTER * 0.9)) - 1
    shown = text if len(text) <= letters else text[: letters - 1].rstrip(" ,.") + "…"
    told = "" if shown == text else f"<title>{escape(text)}</title>"
    return f'<text{f" class={chr(34)}{kind}{chr(34)}" if kind else ""} x="{x}" y="{y + 6}">{escape(shown)}{told}</text>'
