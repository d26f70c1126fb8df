"""Colours of a floorplan: hues by kind of work, loads by even steps of lightness, for light and for dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rdusim.graph.types import Compute

if TYPE_CHECKING:
    from rdusim.program.types import Stage

# Cold for systolic arrays, warm for SIMD, violet for collectives, brown for layouts. Neighbours in a list differ in
# lightness as well as in hue, so that colour is not all that tells them apart; numbers do the rest.
_HUES: Final = {
    Compute.SYSTOLIC: (
        "#4e79a7", "#8cd0c4", "#6a6fc0", "#9cc3ea", "#2f8f8a", "#b3b7ee", "#3c8dcb", "#86c68b", "#54689b", "#5fb6c9",
        "#478f5e", "#8e9fd8",
    ),
    Compute.SIMD: (
        "#f28e2b", "#ffd57a", "#d8604a", "#f6b48f", "#c4872a", "#f7a35c", "#b5533c", "#ecc94b", "#e98a74", "#a9682f",
        "#fbc96a", "#d97a2b",
    ),
    Compute.COLLECTIVE: ("#a35fc4", "#d9a6ea", "#7a4aa0", "#c77fd0"),
    Compute.MOVE: ("#9c8f80", "#cbbfb0", "#7b7063", "#b3a48f"),
}  # fmt: skip
KINDS: Final = {
    Compute.SYSTOLIC: "systolic",
    Compute.SIMD: "SIMD",
    Compute.COLLECTIVE: "collective",
    Compute.MOVE: "layout",
}

# From little to much: lightness falls on a light page and rises on a dark one, in even steps, so that the order is the
# same for every eye and in grey.
_LIGHT: Final = ("#e9cf8c", "#efb95f", "#ea9a48", "#dc7640", "#c45444", "#a1384e", "#752653", "#431749")
_DARK: Final = ("#4d4468", "#6d4a80", "#91508a", "#b55884", "#d56870", "#ee8a5c", "#f8b565", "#fde9a9")
LEVELS: Final = len(_LIGHT)
_WIDTHS: Final = (1.1, 1.6, 2, 2.4, 2.8, 3.2, 3.6, 4)

_SHAPES: Final = """\
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",Arial,sans-serif;font-size:14px}
.t1{font-size:22px;font-weight:600}.t2{font-size:17px;font-weight:600}.small{font-size:12.5px}
.end{text-anchor:end}.mid{text-anchor:middle}.die{stroke-width:1.6;stroke-dasharray:7 4}.idle{stroke-width:.7}
.mem{fill-opacity:.6}.mesh{stroke-width:.8;fill:none}.ring{fill:none;stroke-width:1.8}.under{opacity:.2}
.n{font-weight:700;fill:#111;stroke:#fff;stroke-width:3.4px;stroke-linejoin:round;paint-order:stroke;text-anchor:middle}
.n.s{font-size:10.5px;stroke-width:2.2px}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """Colours of all that is not data."""

    paper: str
    ink: str
    soft: str
    line: str
    idle: str
    die: str


_DAY: Final = _Page(paper="#ffffff", ink="#1c1f24", soft="#59616d", line="#c9ced6", idle="#eef0f3", die="#f7f8fa")
_NIGHT: Final = _Page(paper="#14171b", ink="#e8eaed", soft="#a3abb6", line="#39404a", idle="#23282f", die="#1a1e23")


def stage_colours(stages: Sequence[Stage]) -> tuple[str, ...]:
    """A colour for each stage, from the list of its kind of work, in order; lists begin again when they end."""
    seen: dict[Compute, int] = {}
    found = []
    for stage in stages:
        kind = Compute.COLLECTIVE if stage.collective is not None else stage.compute
        number = seen.get(kind, 0)
        seen[kind] = number + 1
        found.append(_HUES[kind][number % len(_HUES[kind])])
    return tuple(found)


def style(colours: Sequence[str]) -> str:
    """The style sheet: `c3` is the colour of stage 3, `h5` that of load level 5. Dark where the reader's system is."""
    stages = "".join(f".c{number}{{fill:{colour}}}" for number, colour in enumerate(colours, start=1))
    widths = "".join(f".h{level}{{stroke-width:{width}}}" for level, width in enumerate(_WIDTHS))
    night = f"@media(prefers-color-scheme:dark){{\n{_page(_NIGHT, _DARK)}\n}}"
    return f"{_SHAPES}{stages}\n{widths}\n{_page(_DAY, _LIGHT)}\n{night}\n"


def _page(page: _Page, heat: Sequence[str]) -> str:
    """What differs between a light and a dark page. Written out: not every viewer knows variables."""
    loads = "".join(f".h{level}{{stroke:{colour}}}.f{level}{{fill:{colour}}}" for level, colour in enumerate(heat))
    return (
        f".page,.tile{{fill:{page.paper}}}text,.ink{{fill:{page.ink}}}.soft,.agcu,.bar{{fill:{page.soft}}}"
        f".die{{fill:{page.die};stroke:{page.soft}}}.tile,.mesh,.idle,.rule{{stroke:{page.line}}}.n{{fill:#111}}.idle{{fill:{page.idle}}}"
        f".ring{{stroke:{page.ink}}}\n{loads}"
    )
