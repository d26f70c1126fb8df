"""Rooflines over each other: a colour for each run, with its ceilings, itself as a point, and its sections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from rdusim.report.html.axes import logarithmic
from rdusim.report.html.charts import Chart
from rdusim.report.html.page import figure, table
from rdusim.report.html.points import Guide, Point, scatter
from rdusim.report.html.style import SERIES
from rdusim.report.html.text import number, plain
from rdusim.report.roofline import Ceilings, ceilings_of_report, roof_points
from rdusim.report.roofline_figure import radius_of, ratio
from rdusim.units import show

if TYPE_CHECKING:
    from rdusim.report.comparison import Variant

_WHOLE: Final = 9.0  # radius of a run, px


def roofs_figure(variants: Sequence[Variant]) -> str:
    """Everything of one socket or GPU, over its nearest memory."""
    shown = list(variants)[: len(SERIES)]
    points = [point for kind, variant in enumerate(shown, start=1) for point in _points(kind, variant)]
    if not points:
        return "<p>No run moves bytes off the chip, so none has an operational intensity.</p>"
    ceilings = [ceilings_of_report(variant.report) for variant in shown]
    corners = [corner for each in ceilings if (corner := _corner(each)) is not None]
    xs = [point.x for point in points if point.x > 0] + [x for x, _ in corners]
    ys = [point.y for point in points if point.y > 0] + [y for _, y in corners]
    rates = logarithmic("FLOP/s of a socket or GPU", min(ys, default=1.0) / 2, max(ys, default=1.0), "flops")
    ticks = tuple((share, text.removesuffix("FLOPS").rstrip()) for share, text in rates.ticks)
    drawn = scatter(
        Chart(
            key="roofs",
            title="Rooflines of the runs",
            description="; ".join(f"{variant.name}: {_said(variant)}" for variant in shown),
        ),
        logarithmic("operational intensity (FLOP/B)", min(xs, default=1.0) / 2, max(xs, default=1.0) * 3, "count"),
        replace(rates, ticks=ticks),
        [variant.name for variant in shown],
        points,
        [guide for kind, each in enumerate(ceilings, start=1) for guide in _guides(kind, shown[kind - 1], each, xs)],
    )
    left = len(variants) - len(shown)
    caption = (
        "Large points are whole runs, small ones sections by their share of the time (those of a GPU are not known). "
        "Lines: what the nearest memory and the peak at the run's number format allow."
        + (f" The first {len(shown)} runs; {left} more are in the tables." if left > 0 else "")
    )
    return figure(drawn, label="rooflines", caption=caption, numbers=_table(variants), key="roofs")


def _corner(ceilings: Ceilings) -> tuple[float, float] | None:
    """Where the nearest memory's slope meets the peak."""
    if not ceilings.flops_per_second or not ceilings.bytes_per_second:
        return None
    return ceilings.flops_per_second / next(iter(ceilings.bytes_per_second.values())), ceilings.flops_per_second


def _points(kind: int, variant: Variant) -> Iterator[Point]:
    report = variant.report
    intensity, sockets = report.operational_intensity.flops_per_byte, report.setting.sockets_used
    nearest = next(iter(ceilings_of_report(report).bytes_per_second), "")
    if intensity is None:
        return
    yield Point(
        kind=kind,
        x=intensity,
        y=report.throughput.flops_per_second / sockets,
        says=(f"{variant.name}, all of it: {_said(variant)}", f"{show(report.latency.total_seconds, 'time')}"),
        label=variant.name,
        radius=_WHOLE,
    )
    for point in roof_points(report.sections):
        if point.way == nearest and point.section.flops:
            yield Point(
                kind=kind,
                x=point.flops_per_byte,
                y=point.flops_per_second,
                says=(
                    f"{variant.name}, {point.section.name}: {ratio(point.flops_per_byte)} FLOP/B, "
                    f"{show(point.flops_per_second, 'flops')}",
                    f"{show(point.share, 'share')} of the time; bound by {point.section.bottleneck}",
                ),
                radius=radius_of(point.share) / 2,
            )


def _guides(kind: int, variant: Variant, ceilings: Ceilings, xs: Sequence[float]) -> Iterator[Guide]:
    corner = _corner(ceilings)
    if corner is None:
        return
    x, peak = corner
    low, (tier, rate) = min(xs) / 1e3, next(iter(ceilings.bytes_per_second.items()))
    name = f"{variant.name}: {tier} {show(rate, 'bandwidth')}, {show(peak, 'flops')}"
    yield Guide(name=name, kind=kind, x=(min(low, x), x, max(xs) * 1e3), y=(min(low, x) * rate, peak, peak), roof=True)


def _said(variant: Variant) -> str:
    report = variant.report
    intensity = report.operational_intensity.flops_per_byte
    rate = show(report.throughput.flops_per_second / report.setting.sockets_used, "flops")
    return rate if intensity is None else f"{ratio(intensity)} FLOP/B, {rate}"


def _table(variants: Sequence[Variant]) -> str:
    rows = []
    for variant in variants:
        report, ceilings = variant.report, ceilings_of_report(variant.report)
        intensity = report.operational_intensity.flops_per_byte
        rows.append(
            (
                plain(variant.name),
                "" if intensity is None else ratio(intensity),
                number(report.throughput.flops_per_second / report.setting.sockets_used, "flops"),
                number(ceilings.flops_per_second, "flops"),
                number(next(iter(ceilings.bytes_per_second.values()), None), "bandwidth"),
            )
        )
    return table(["run", "FLOP/B", "FLOP/s", "peak", "nearest memory"], rows, caption="Of one socket or GPU")
