"""One offline HTML file about a comparison: times by cause side by side, differences with reasons, rooflines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from rdusim import __version__
from rdusim.report.compare_roofs import roofs_figure
from rdusim.report.html.axes import both_ways, linear
from rdusim.report.html.charts import Chart
from rdusim.report.html.page import Section, exact, figure, page, paragraphs, table, tiles
from rdusim.report.html.rows import stacked_rows, swings
from rdusim.report.html.text import NOTHING, number, plain
from rdusim.report.reasons import signed
from rdusim.report.render import asked
from rdusim.report.run_time import by_cause, shown_causes
from rdusim.report.sweep_shape import said
from rdusim.report.weighted import summed
from rdusim.units import show

if TYPE_CHECKING:
    from rdusim.report.comparison import CauseChange, Comparison, Difference, Part, Variant
    from rdusim.report.types import Report
    from rdusim.units import Kind

_MOST_PARTS: Final = 30
_LEAST: Final = 0.0005  # of the longer run: a change of less has no bar


def compare_page(comparison: Comparison, *, command: str = "") -> str:
    """The text of an HTML file, the same for the same arguments. `command`: what makes this page again."""
    first, *others = comparison.variants
    title = f"{first.name} compared with {', '.join(each.name for each in others)}"
    return page(
        title,
        list(_sections(comparison, command)),
        lead=f"{paragraphs(asked(first.report.setting))}\n{_tiles(comparison.variants)}",
        foot=f"Made by rdusim {__version__}. Nothing in this file is loaded from elsewhere.",
    )


def _tiles(variants: Sequence[Variant]) -> str:
    base = variants[0].report.latency.total_seconds

    def value(variant: Variant) -> str:
        seconds = variant.report.latency.total_seconds
        ratio = "" if variant is variants[0] else f" ({seconds / base:.3g} x)"
        return exact(seconds, f"{show(seconds, 'time')}{ratio}", "v-seconds")

    return tiles((variant.name, value(variant)) for variant in variants)


def _sections(comparison: Comparison, command: str) -> Iterator[Section]:
    variants = comparison.variants
    yield Section(key="time", title="Time side by side", body=_times(variants))
    for number_, (variant, difference) in enumerate(zip(variants[1:], comparison.differences, strict=True), start=1):
        body = _difference(variants[0], variant, difference, f"d{number_}")
        yield Section(key=f"difference{number_}", title=f"{variant.name} against {variants[0].name}", body=body)
    yield Section(key="roofline", title="Rooflines", body=roofs_figure(variants))
    yield Section(key="numbers", title="Numbers side by side", body=_numbers(variants))
    if notes := [(variant.name, note) for variant in variants for note in variant.report.notes]:
        items = "".join(f"<li>{plain(name)}: {plain(note)}</li>" for name, note in notes)
        yield Section(key="notes", title="Notes", body=f"<ul>{items}</ul>")
    if command:
        yield Section(key="asked", title="What was asked", body=f"<pre><code>{plain(command)}</code></pre>")


def _times(variants: Sequence[Variant]) -> str:
    """Bars behind each other; causes in the order of what they take in all runs together."""
    reports = [variant.report for variant in variants]
    names = shown_causes(summed((1.0, report.breakdown_seconds) for report in reports))
    values = np.array([by_cause(report.breakdown_seconds, names) for report in reports])
    totals = [report.latency.total_seconds for report in reports]
    drawn = stacked_rows(
        Chart(
            key="times",
            title="Time by cause of every run",
            description="; ".join(
                f"{each.name}: {show(total, 'time')}" for each, total in zip(variants, totals, strict=True)
            ),
        ),
        names,
        linear("time", max(totals), "time"),
        [variant.name for variant in variants],
        values,
        [f"{show(total, 'time')}, {total / totals[0]:.3g} x" for total in totals],
    )
    rows = (
        (
            plain(variant.name),
            exact(total, number(total, "time"), "c-seconds"),
            *(number(each, "time") for each in line),
        )
        for variant, total, line in zip(variants, totals, values.tolist(), strict=True)
    )
    return figure(
        drawn,
        label="time by cause",
        caption="Every second of a run has one cause, so the differences of the causes sum to that of the times.",
        numbers=table(["run", "time", *names], rows),
    )


def _difference(first: Variant, here: Variant, found: Difference, key: str) -> str:
    changed = ", ".join(_change(change.option, change.first, change.here) for change in here.changes)
    reasons = "".join(f"<li>{plain(reason)}</li>" for reason in found.reasons)
    parts = [paragraphs(f"What is different: {changed}." if changed else ""), f"<ul>{reasons}</ul>" if reasons else ""]
    return "\n".join([*parts, _changes(first, here, found, key), _parts(first, here, found)])


def _change(option: str, first: str | None, here: str | None) -> str:
    if option == "set":
        return here or f"without {first}"
    return f"{option} {here or 'left out'} instead of {first or 'the default'}"


def _changes(first: Variant, here: Variant, found: Difference, key: str) -> str:
    """A bar for each cause, to the left what takes less than in the first run, to the right what takes more."""
    least = _LEAST * max(first.report.latency.total_seconds, here.report.latency.total_seconds)
    causes = [cause for cause in found.causes if abs(cause.change_seconds) >= least][:16]
    numbers = _causes_table(first, here, found.causes)
    if not causes:
        return numbers
    changes = [cause.change_seconds for cause in causes]
    drawn = swings(
        Chart(
            key=key,
            title=f"Change by cause: {here.name} against {first.name}",
            description=f"{signed(found.change_seconds)} in all; most of it {causes[0].cause}, {signed(changes[0])}.",
        ),
        ("less time", "more time"),
        both_ways("change of time", min(changes), max(changes), "time"),
        [cause.cause for cause in causes],
        np.array([(min(change, 0.0), max(change, 0.0)) for change in changes]),
        [("" if change > 0 else signed(change), signed(change) if change > 0 else "") for change in changes],
    )
    caption = f"What each cause takes more, or less, than in {first.name}: {signed(found.change_seconds)} in all."
    return figure(drawn, label=f"change by cause, {here.name}", caption=caption, numbers=numbers)


def _causes_table(first: Variant, here: Variant, causes: Sequence[CauseChange]) -> str:
    rows = (
        (
            plain(cause.cause),
            number(cause.first_seconds, "time"),
            number(cause.seconds, "time"),
            exact(cause.change_seconds, signed(cause.change_seconds), "d-cause"),
        )
        for cause in causes
    )
    return table(["cause", first.name, here.name, "change"], rows)


def _parts(first: Variant, here: Variant, found: Difference) -> str:
    """Sections, or blocks of kernels, and the bound that each had and has."""

    def bound(part: Part | None) -> str:
        return NOTHING if part is None else plain(part.bound)

    rows = [
        (
            plain(part.name),
            bound(part.first),
            bound(part.here),
            number(part.first.seconds if part.first else None, "time"),
            number(part.here.seconds if part.here else None, "time"),
            signed(part.change_seconds),
        )
        for part in found.parts[:_MOST_PARTS]
    ]
    heads = ["part", f"bound in {first.name}", f"bound in {here.name}", first.name, here.name, "change"]
    left = len(found.parts) - len(rows)
    more = paragraphs(f"{left} more parts, in which less changes.") if left > 0 else ""
    return table(heads, rows, caption="Parts, the largest change first", words=3) + more


def _numbers(variants: Sequence[Variant]) -> str:
    reports = [variant.report for variant in variants]
    rows: list[tuple[str, Kind, list[float | None]]] = [
        ("sockets or GPUs", "count", [float(each.setting.sockets_used) for each in reports]),
        ("time", "time", [each.latency.total_seconds for each in reports]),
        ("to the first token", "time", [each.latency.time_to_first_token_seconds for each in reports]),
        ("per output token", "time", [each.latency.time_per_output_token_seconds for each in reports]),
        ("tokens/s", "count", [each.throughput.tokens_per_second for each in reports]),
        ("work", "flops", [each.throughput.flops_per_second for each in reports]),
        ("of the peak", "share", [each.throughput.model_flops_utilization for each in reports]),
        ("FLOP/B off chip", "count", [each.operational_intensity.flops_per_byte for each in reports]),
        ("kernel launches", "count", [float(each.kernel_launches) for each in reports]),
        *(row for tier in _tiers(reports) for row in _tier(tier, reports)),
    ]
    cells = (
        (plain(name), *(plain(said(value, kind)) for value in values))
        for name, kind, values in rows
        if any(value is not None for value in values)
    )
    machines = [("machine", *(plain(each.setting.arch) for each in reports))]
    return table(["", *(variant.name for variant in variants)], [*machines, *cells])


def _tiers(reports: Sequence[Report]) -> list[str]:
    return list(dict.fromkeys(use.tier for report in reports for use in report.memory))


def _tier(tier: str, reports: Sequence[Report]) -> Iterator[tuple[str, Kind, list[float | None]]]:
    uses = [next((use for use in report.memory if use.tier == tier), None) for report in reports]
    yield f"{tier}, peak use", "size", [None if use is None else float(use.peak_bytes) for use in uses]
    yield f"{tier}, achieved", "bandwidth", [None if use is None else use.achieved_bytes_per_second for use in uses]
    yield f"{tier}, of its peak", "share", [None if use is None else use.bandwidth_utilization for use in uses]
