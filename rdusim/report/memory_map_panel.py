"""One tier of a memory map: a rectangle for every buffer, over the sections while it lives and its addresses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

from rdusim.report.floorplan_layout import Panel
from rdusim.units import show

if TYPE_CHECKING:
    from rdusim.report.memory_use import Placed, TierUse

WIDTH: Final = 1200
_LEFT: Final = 96  # px for the axis
PLOT: Final = WIDTH - _LEFT - 10  # px of all sections together
_HEAD: Final = 44
_HIGH: Final = 380
_FOOT: Final = 34
_LETTER: Final = 7.0  # px of a letter in the mean
_ROOM: Final = 14  # px of height that a label needs
_MOST: Final = 0.25  # of the capacity: with less in use the picture ends above what is used


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A section on the axis of time, in px from the plot's left end."""

    name: str
    said: str
    left: float
    width: float


def panel(use: TierUse, columns: Sequence[Column], colours: Mapping[str, int]) -> Panel:
    """The drawing. `colours`: role -> number of its class."""
    whole = use.extent >= _MOST * use.capacity
    ceiling = use.capacity * 1.04 if whole else use.extent / 0.86
    ceiling = max(1.0, ceiling)
    parts = [
        *_title(use, whole),
        *_axis(ceiling),
        *(_box(each, columns, ceiling, colours) for each in sorted(use.placed, key=lambda each: -each.piece.size)),
        *_high_water(use, columns, ceiling),
        *([_capacity(use, ceiling)] if whole else []),
        *_sections(columns),
    ]
    return Panel(drawing="\n".join(parts), height=_HEAD + _HIGH + _FOOT)


def _y(address: float, ceiling: float) -> float:
    return _HEAD + _HIGH * (1.0 - address / ceiling)


def _title(use: TierUse, whole: bool) -> Iterator[str]:
    said = [
        f"at most {show(use.peak, 'size')} of {show(use.capacity, 'size')} at once",
        f"{show(use.hole_bytes, 'size')} in holes then" if use.hole_bytes else "no holes then",
        f"{show(use.reused_bytes, 'size')} at addresses used again" if use.reused_bytes else "no address is used twice",
        *([] if whole else [f"the capacity of {show(use.capacity, 'size')} is above the picture"]),
    ]
    yield f'<text class="t2" x="0" y="16">{escape(use.tier)}</text>'
    yield f'<text class="soft small" x="{_LEFT}" y="16">{escape("; ".join(said))}</text>'


def _axis(ceiling: float) -> Iterator[str]:
    """About five round addresses."""
    step = 1 << max(12, (int(ceiling) // 5).bit_length())
    if ceiling / step < 3:
        step //= 2
    for number in range(int(ceiling // step) + 1):
        y = _y(number * step, ceiling)
        yield f'<path class="grid" d="M{_LEFT} {y:.1f}h{PLOT}"/>'
        yield f'<text class="soft small end" x="{_LEFT - 8}" y="{y + 4:.1f}">{show(number * step, "size")}</text>'


def _box(each: Placed, columns: Sequence[Column], ceiling: float, colours: Mapping[str, int]) -> str:
    piece, first, last = each.piece, columns[each.life.first], columns[each.life.last]
    left, right = _LEFT + first.left, _LEFT + last.left + last.width
    bottom, top = _y(piece.offset, ceiling), _y(piece.offset + piece.size, ceiling)
    high, wide = max(0.7, bottom - top), max(0.7, right - left)
    of = f", {piece.repeats} of {each.parts} repeats" if piece.repeats < each.parts else ""
    told = f"{piece.buffer}: {each.role}, {show(piece.size, 'size')} at {piece.offset:,}{of}"
    told += f"; {first.name}" if first is last else f"; {first.name} to {last.name}"
    place = f'x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{high:.1f}"'
    box = f'<rect class="box c{colours.get(each.role, 0)}" {place}><title>{escape(told)}</title></rect>'
    return box + _label(f"{piece.buffer}{of}, {show(piece.size, 'size')}", left, top, wide, high)


def _label(text: str, left: float, top: float, wide: float, high: float) -> str:
    """What fits into a box; nothing in one that is too small."""
    letters = int((wide - 8) / _LETTER)
    if high < _ROOM or letters < 8:
        return ""
    shown = text if len(text) <= letters else text[: letters - 1] + "…"
    return f'<text class="on" x="{left + 5:.1f}" y="{top + high / 2 + 4:.1f}">{escape(shown)}</text>'


def _high_water(use: TierUse, columns: Sequence[Column], ceiling: float) -> Iterator[str]:
    path = ""
    for column, address in zip(columns, use.top, strict=True):
        y, left = _y(address, ceiling), _LEFT + column.left
        path += f"{'L' if path else 'M'}{left:.1f} {y:.1f}H{left + column.width:.1f}"
    yield f'<path class="halo" d="{path}"/>'
    yield f'<path class="high" d="{path}"/>'


def _capacity(use: TierUse, ceiling: float) -> str:
    y = _y(use.capacity, ceiling)
    return f'<path class="full" d="M{_LEFT} {y:.1f}h{PLOT}"><title>capacity {show(use.capacity, "size")}</title></path>'


def _sections(columns: Sequence[Column]) -> Iterator[str]:
    """Ticks and names beneath; names where there is room."""
    y = _HEAD + _HIGH
    for column in columns:
        left = _LEFT + column.left
        told = f"<title>{escape(column.said)}</title>"
        yield f'<rect class="page" x="{left:.1f}" y="{y}" width="{column.width:.1f}" height="{_FOOT}">{told}</rect>'
        yield f'<path class="grid" d="M{left:.1f} {y}v6"/>'
        letters = int((column.width - 6) / _LETTER)
        if letters >= 5:
            shown = column.said if len(column.said) <= letters else column.said[: letters - 1] + "…"
            yield f'<text class="soft small" x="{left + 3:.1f}" y="{y + 18}">{escape(shown)}</text>'
