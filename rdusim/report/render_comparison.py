"""Runs side by side for people: a column each, and below it why every other one differs from the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rdusim.report.render import asked
from rdusim.units import show

if TYPE_CHECKING:
    from rdusim.report.comparison import Comparison, Variant
    from rdusim.report.types import MemoryUse, Report

NOTHING: Final = "-"
NAMES: Final = 20  # columns that the names of the rows take
COLUMN: Final = 18  # and a variant, at most: 1003 MiB 100%
LEAST: Final = 0.0005  # of the total: a cause that takes less in every run has no row

Row = tuple[str, list[str]]


def print_comparison(comparison: Comparison, console: Console) -> None:
    for block in blocks(comparison, width=console.width):
        console.print(block)


def blocks(comparison: Comparison, *, width: int) -> Iterator[RenderableType]:
    """What was asked, tables of as many variants as fit each, and the reasons; an empty line between them."""
    first, *others = comparison.variants
    beside = max(1, (width - NAMES) // COLUMN - 1)
    yield Text(f"{first.name}: {asked(first.report.setting)}", style="dim")
    for start in range(0, len(others), beside):
        yield Group(Text(), _table([first, *others[start : start + beside]]))
    for variant, difference in zip(others, comparison.differences, strict=True):
        head, *rest = difference.reasons
        yield Group(Text(), Text(f"{variant.name}: {_changed(variant)}", style="dim"), Text(head, style="bold green"))
        for line in rest:
            yield Padding(Text(line), (0, 0, 0, 2), expand=False)
    notes = [Text(f"note: {each.name}: {note}") for each in comparison.variants for note in each.report.notes]
    if notes:
        yield Group(Text(), *notes)


def _changed(variant: Variant) -> str:
    """What the variant has otherwise."""
    return ", ".join(
        f"{change.option} {change.here or 'left out'}"
        + (
            f" instead of {change.first}"
            if change.first
            else ""
            if change.option == "set"
            else " instead of the default"
        )
        for change in variant.changes
    )


def _table(variants: Sequence[Variant]) -> Table:
    table = Table(box=None, padding=(0, 0, 0, 2), pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    for variant in variants:
        table.add_column(variant.name.replace(" ", "\n"), justify="right", overflow="fold", max_width=COLUMN - 2)
    for name, cells in _rows(variants):
        heading = not any(cells)
        table.add_row(Text(name, style="bold cyan" if heading else ""), *cells)
    return table


def _rows(variants: Sequence[Variant]) -> Iterator[Row]:
    """Rows of which some variant has a value."""
    reports = [variant.report for variant in variants]
    first = reports[0].latency.total_seconds
    yield "machine", [report.setting.arch for report in reports]
    yield "sockets or GPUs", [str(report.setting.sockets_used) for report in reports]
    yield "time", [show(report.latency.total_seconds, "time") for report in reports]
    yield "x the first", [f"{report.latency.total_seconds / first:.3g}" for report in reports]
    yield from _some("to the first token", reports, lambda report: report.latency.time_to_first_token_seconds, "time")
    yield from _some("per token", reports, lambda report: report.latency.time_per_output_token_seconds, "time")
    yield from _some("tokens/s", reports, lambda report: report.throughput.tokens_per_second, "count")
    yield from _some("of peak FLOPS", reports, lambda report: report.throughput.model_flops_utilization, "share")
    yield "kernel launches", [show(report.kernel_launches, "count") for report in reports]
    yield from _causes(reports)
    yield from _memory(reports)
    yield from _units(reports)


def _some(name: str, reports: Sequence[Report], value: Callable[[Report], float | None], kind: str) -> Iterator[Row]:
    values = [value(report) for report in reports]
    if any(each is not None for each in values):
        yield name, [NOTHING if each is None else _shown(each, kind) for each in values]


def _shown(value: float, kind: str) -> str:
    if kind == "count":
        return show(round(value) if value >= 100 else round(value, 1), "count")
    return show(value, "time" if kind == "time" else "share")


def _causes(reports: Sequence[Report]) -> Iterator[Row]:
    """Every cause with its share, in the order of what it takes at most in any of the runs."""
    most: dict[str, float] = {}
    for report in reports:
        for cause, seconds in report.breakdown_seconds.items():
            most[cause] = max(most.get(cause, 0.0), seconds / report.latency.total_seconds)
    yield "where the time goes", [""] * len(reports)
    for cause in sorted(most, key=lambda name: (-most[name], name)):
        if most[cause] >= LEAST:
            yield f"  {cause}", [_cause(report, cause) for report in reports]


def _cause(report: Report, cause: str) -> str:
    seconds = report.breakdown_seconds.get(cause)
    if not seconds:
        return NOTHING
    return f"{show(seconds, 'time')} {show(seconds / report.latency.total_seconds, 'share'):>4}"


def _memory(reports: Sequence[Report]) -> Iterator[Row]:
    """Of every tier that a run has: what is held at most, and what of its bandwidth is reached."""
    tiers = list(dict.fromkeys(use.tier for report in reports for use in report.memory))
    yield "memory", [""] * len(reports)
    for tier in tiers:
        uses = [next((use for use in report.memory if use.tier == tier), None) for report in reports]
        if any(use is not None and use.peak_bytes for use in uses):
            yield f"  {tier} held at most", [_held(use) for use in uses]
        if any(use is not None and use.achieved_bytes_per_second for use in uses):
            yield f"  {tier} reached", [_reached(use) for use in uses]


def _held(use: MemoryUse | None) -> str:
    return (
        NOTHING
        if use is None
        else f"{show(use.peak_bytes, 'size')} {show(use.peak_bytes / use.capacity_bytes, 'share'):>4}"
    )


def _reached(use: MemoryUse | None) -> str:
    if use is None or use.achieved_bytes_per_second is None:
        return NOTHING
    share = "" if use.bandwidth_utilization is None else f" {show(use.bandwidth_utilization, 'share'):>4}"
    return f"{show(use.achieved_bytes_per_second, 'bandwidth')}{share}"


def _units(reports: Sequence[Report]) -> Iterator[Row]:
    """Units that the largest section takes, of those that there are."""
    kinds = list(dict.fromkeys(use.unit for report in reports for use in report.units))
    for kind in kinds:
        uses = [next((use for use in report.units if use.unit == kind), None) for report in reports]
        yield (
            f"{kind.upper()}s at most",
            [
                NOTHING if use is None else f"{show(use.peak, 'count')} {show(use.peak / use.available, 'share'):>4}"
                for use in uses
            ],
        )
