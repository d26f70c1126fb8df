"""The roofline as a figure: ceilings as lines, sections as points as large as their share of the time, and a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import sqrt
from typing import Final

from rdusim.report.html.axes import Axis, logarithmic
from rdusim.report.html.charts import Chart
from rdusim.report.html.page import exact, figure, table
from rdusim.report.html.points import Guide, Point, scatter
from rdusim.report.html.text import NOTHING, number, plain
from rdusim.report.roofline import Ceilings, RoofPoint, roof_points
from rdusim.report.types import SectionUse
from rdusim.units import show

_NAMED: Final = 12  # points with their names; with more, numbers alone
_LEAST: Final = 3.5  # radius of a point, px
_MORE: Final = 11.0  # what the whole time adds to it
_INTENSITY: Final = "operational intensity (FLOP/B)"
_RATE: Final = "FLOP/s of a socket"


def roofline_figure(sections: Sequence[SectionUse], ceilings: Ceilings, *, key: str = "roof") -> str:
    """Every section of a run. `key`: a word that no other chart of the page has."""
    points = roof_points(sections)
    ways = [way for way in ceilings.bytes_per_second if any(point.way == way for point in points)]
    if not points:
        return "<p>No section moves bytes off the chip, so none has an operational intensity.</p>"
    x, y = axes_of(points, [ceilings])
    drawn = scatter(
        Chart(
            key=key,
            title="Roofline of a socket",
            description=_described(points, ceilings),
        ),
        x,
        y,
        [f"over {way}" for way in ways],
        [_point(point, ways, named=len(points) <= _NAMED, first=_first(points, point)) for point in points],
        guides(ceilings, ways, points),
    )
    caption = (
        "What a section computes for each byte it moves over a way, against the FLOP/s that it reaches, launches and "
        "waits included. The area of a point is its share of the time. Lines: what the peak and each way allow."
        f"{_aside(sections, points)}"
    )
    return figure(drawn, label="roofline", caption=caption, numbers=_table(points), key=key)


def axes_of(points: Sequence[RoofPoint], ceilings: Sequence[Ceilings]) -> tuple[Axis, Axis]:
    """Wide enough for all points and for where each way meets its peak."""
    across = [point.flops_per_byte for point in points if point.section.flops]
    up = [point.flops_per_second for point in points if point.section.flops]
    used = {point.way for point in points}
    for each in ceilings:
        if each.flops_per_second:
            up.append(each.flops_per_second)
            across += [each.flops_per_second / rate for way, rate in each.bytes_per_second.items() if way in used]
    low, high = min(across, default=1.0) / 2, max(across, default=1.0) * 3
    rates = logarithmic(_RATE, min(up, default=1.0) / 2, max(up, default=1.0), "flops")
    ticks = tuple((share, text.removesuffix("FLOPS").rstrip()) for share, text in rates.ticks)
    return logarithmic(_INTENSITY, low, high, "count"), replace(rates, ticks=ticks)


def guides(ceilings: Ceilings, ways: Sequence[str], points: Sequence[RoofPoint], *, prefix: str = "") -> list[Guide]:
    """A slope for every way up to the peak, in its kind's colour, and the peak itself."""
    low = min((point.flops_per_byte for point in points if point.section.flops), default=1.0) / 1e6
    peak = ceilings.flops_per_second
    found = []
    for kind, way in enumerate(ways, start=1):
        rate = ceilings.bytes_per_second[way]
        end = peak / rate if peak else low * 1e10
        name = f"{prefix}{way} {show(rate, 'bandwidth')}"
        found.append(Guide(name=name, kind=kind, x=(low, end), y=(low * rate, end * rate), roof=True))
    if peak:
        first = min((peak / ceilings.bytes_per_second[way] for way in ways), default=low)
        name = f"{prefix}peak at {ceilings.dtype} {show(peak, 'flops')}"
        found.append(Guide(name=name, kind=0, x=(first, first * 1e8), y=(peak, peak), roof=True))
    return found


def radius_of(share: float) -> float:
    return _LEAST + _MORE * sqrt(share)


def says_of(point: RoofPoint) -> tuple[str, ...]:
    """What a point tells who asks: three short lines."""
    section = point.section
    return (
        f"{point.number} {section.name}, over {point.way}: {ratio(point.flops_per_byte)} FLOP/B",
        f"{show(point.flops_per_second, 'flops')} a socket, {show(point.share, 'share')} of the time "
        f"({show(section.seconds, 'time')})",
        f"{show(section.flops, 'flop')}, {show(point.bytes, 'size')} over {point.way}; bound by {section.bottleneck}",
    )


def ratio(value: float) -> str:
    return show(round(value), "count") if value >= 100 else f"{value:.3g}"


def _first(points: Sequence[RoofPoint], point: RoofPoint) -> bool:
    """A section is named once, at its first way."""
    return next(each for each in points if each.number == point.number) is point


def _point(point: RoofPoint, ways: Sequence[str], *, named: bool, first: bool) -> Point:
    name = f"{point.number} {point.section.name}" if named and first else str(point.number)
    name = name if first or point.section.flops else ""  # what computes nothing stands at one place for all ways
    return Point(
        kind=ways.index(point.way) + 1,
        x=point.flops_per_byte,
        y=point.flops_per_second,
        says=says_of(point),
        label=name,
        radius=radius_of(point.share),
    )


def _described(points: Sequence[RoofPoint], ceilings: Ceilings) -> str:
    most = max(points, key=lambda point: point.share)
    peak = "" if ceilings.flops_per_second is None else f" of at most {show(ceilings.flops_per_second, 'flops')}"
    return (
        f"{len({point.number for point in points})} sections. Most of the time takes {most.section.name}: "
        f"{ratio(most.flops_per_byte)} FLOP for each byte over {most.way}, "
        f"{show(most.flops_per_second, 'flops')}{peak}."
    )


def _aside(sections: Sequence[SectionUse], points: Sequence[RoofPoint]) -> str:
    """Sections that stand at an edge, or nowhere."""
    still = [section.name for section in sections if not section.moved_bytes]
    idle = [point.section.name for point in points if not point.section.flops]
    said = f" At the lower left corner, for they compute nothing: {_few(idle)}." if idle else ""
    return said + (f" Without a point, for they move nothing off the chip: {_few(still)}." if still else "")


def _few(names: Sequence[str]) -> str:
    found = list(dict.fromkeys(names))
    return ", ".join(found[:6]) + (f" and {len(found) - 6} more" if len(found) > 6 else "")


def _table(points: Sequence[RoofPoint]) -> str:
    rows = (
        (
            plain(f"{point.number} {point.section.name}"),
            plain(point.way),
            number(point.section.flops, "flop"),
            number(point.bytes, "size"),
            exact(point.flops_per_byte, ratio(point.flops_per_byte), "r-intensity"),
            exact(point.flops_per_second, number(point.flops_per_second, "flops"), "r-rate"),
            number(point.share, "share"),
        )
        for point in points
    )
    heads = ["section", "over", "work", "moved", "FLOP/B", "FLOP/s", "of the time"]
    return table(heads, rows, caption="Sections on the roofline: one socket, all repeats", words=2)


def ways_said(moved: Mapping[str, float]) -> str:
    """Bytes by way as the HTML of a cell."""
    lines = (plain(f"{way} {show(size, 'size')}") for way, size in moved.items())
    return "<br/>".join(f'<span class="whole">{line}</span>' for line in lines) or NOTHING
