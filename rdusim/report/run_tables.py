"""The tables of a run's page: sections, memory, units and links, spill, plans, settings, the machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Final

from rdusim.report.html.page import exact, paragraphs, table, tiles
from rdusim.report.html.text import NOTHING, number, plain
from rdusim.report.memory_loss import WAITING
from rdusim.report.roofline_figure import ratio, ways_said
from rdusim.units import show

if TYPE_CHECKING:
    from rdusim.arch.show import Row
    from rdusim.report.types import MemoryUse, PlanUse, Report, SectionUse, Setting, Spill

ASSUMED: Final = "assumed"
_LEAST_LOSS: Final = 0.9995
_MOST_SPILLED: Final = 40


def headline(report: Report) -> str:
    """What a reader looks for first."""
    latency, rate = report.latency, report.throughput
    most, seconds = next(iter(report.breakdown_seconds.items()), (NOTHING, 0.0))
    facts: list[tuple[str, float | None, str, str]] = [
        ("time in all", latency.total_seconds, number(latency.total_seconds, "time"), "total_seconds"),
    ]
    for name, value, key in (
        ("to the first token", latency.time_to_first_token_seconds, "time_to_first_token_seconds"),
        ("per output token", latency.time_per_output_token_seconds, "time_per_output_token_seconds"),
    ):
        if value is not None and value != latency.total_seconds:
            facts.append((name, value, number(value, "time"), key))
    for name, value, key in (
        ("tokens/s", rate.tokens_per_second, "tokens_per_second"),
        ("tokens/s of a user", rate.tokens_per_second_per_user, "tokens_per_second_per_user"),
    ):
        if value is not None and (key == "tokens_per_second" or report.setting.batch > 1):
            facts.append((name, value, show(round(value) if value >= 100 else round(value, 1), "count"), key))
    facts.append(
        ("bound by", seconds / latency.total_seconds, f"{most} {_share(seconds, latency.total_seconds)}", "bound")
    )
    facts.append(("work", rate.flops_per_second, show(rate.flops_per_second, "flops"), "flops_per_second"))
    if (of_peak := rate.model_flops_utilization) is not None:
        facts.append(
            (f"of the peak at {report.setting.dtype}", of_peak, show(of_peak, "share"), "model_flops_utilization")
        )
    if (intensity := report.operational_intensity.flops_per_byte) is not None:
        facts.append(("FLOP/B off chip", intensity, ratio(intensity), "flops_per_byte"))
    facts.append(("kernel launches", report.kernel_launches, f"{report.kernel_launches:,}", "kernel_launches"))
    return tiles((name, exact(value, text, f"m-{key}")) for name, value, text, key in facts)


def _share(part: float, whole: float) -> str:
    return show(part / whole, "share")


def sections_table(report: Report) -> str:
    total = report.latency.total_seconds
    rows = (_section(number_, section, total) for number_, section in enumerate(report.sections, start=1))
    heads = [
        "section", "bound by", "next", "moved", "times", "each", "total", "share", "PCUs", "PMUs", "stages",
        "launch, each", "FLOP", "slowdown",
    ]  # fmt: skip
    caption = (
        "Sections in the order of the program; one socket. Bound by: the share of one execution that it needs at least"
    )
    return table(heads, rows, caption=caption, words=4)


def _section(number_: int, section: SectionUse, total: float) -> tuple[str, ...]:
    others = [name for name, seconds in section.bound_seconds.items() if name != section.bottleneck and seconds]
    return (
        f'<span class="name">{plain(f"{number_} {section.name}")}</span>',
        plain(_bound(section, section.bottleneck)),
        plain(_bound(section, others[0])) if others else NOTHING,
        ways_said(section.moved_bytes),
        f"{section.repeats:,}",
        number(section.seconds / section.repeats, "time"),
        exact(section.seconds, number(section.seconds, "time"), "s-seconds"),
        number(section.seconds / total, "share"),
        f"{section.pcus:,} ({show(section.pcu_share, 'share')})",
        f"{section.pmus:,} ({show(section.pmu_share, 'share')})",
        f"{section.stages:,}",
        number(section.launch_seconds, "time"),
        number(section.flops, "flop"),
        f"{section.rdn_slowdown:.2f}",
    )


def _bound(section: SectionUse, resource: str) -> str:
    seconds = section.bound_seconds.get(resource)
    if not seconds or not section.execution_seconds:
        return resource
    return f"{resource} {show(min(1.0, seconds / section.execution_seconds), 'share')}"


def memory_table(report: Report) -> str:
    used = report.setting.sockets_used
    heads = [
        "tier", "peak use", "of", "share", "read", "written", "achieved", "peak", "of peak", "while streaming",
    ]  # fmt: skip
    caption = f"Memory, all {used} sockets together" if used > 1 else "Memory"
    found = table(heads, map(_tier, report.memory), caption=caption)
    losses = [loss for use in report.memory for loss in _loss(use)]
    return f"{found}\n{paragraphs(*losses)}"


def _tier(use: MemoryUse) -> tuple[str, ...]:
    def size(value: float | None) -> str:
        return number(value, "size") if value else NOTHING

    return (
        plain(use.tier),
        exact(use.peak_bytes, number(use.peak_bytes, "size"), f"t-{use.tier}-peak"),
        number(use.capacity_bytes, "size"),
        number(use.peak_bytes / use.capacity_bytes, "share"),
        size(use.read_bytes),
        size(use.written_bytes),
        number(use.achieved_bytes_per_second, "bandwidth"),
        number(use.peak_bytes_per_second, "bandwidth"),
        number(use.bandwidth_utilization, "share"),
        number(use.streaming_utilization, "share"),
    )


def _loss(use: MemoryUse) -> Iterator[str]:
    """What lies between a tier's peak and what it achieves."""
    if not use.efficiency or use.bandwidth_utilization is None:
        return
    idle = max(0.0, 1.0 - use.efficiency[WAITING])
    lost = [
        f"{show(1.0 - factor, 'share')} to {cause.replace('_', ' ')}"
        for cause, factor in use.efficiency.items()
        if cause != WAITING and factor < _LEAST_LOSS
    ]
    text = (
        f"{use.tier} reaches {show(use.bandwidth_utilization, 'share')} of its peak: for {show(idle, 'share')} of the "
    )
    yield f"{text}time it has nothing to move{f', and of the rest it loses {chr(44).join(lost)}' if lost else ''}."


def spill_table(spill: Spill, nearest: str) -> str:
    """What lies beyond the nearest tier, what moves most first."""
    rows = [
        (
            plain(symbol.name),
            plain(symbol.role.replace("_", " ")),
            plain(symbol.tier),
            number(symbol.bytes, "size"),
            number(symbol.transfer_bytes, "size"),
            NOTHING if symbol.repeats is None else f"{symbol.repeats} of {symbol.of_repeats}",
        )
        for symbol in spill.symbols[:_MOST_SPILLED]
    ]
    left = len(spill.symbols) - len(rows)
    said = f"{number(spill.bytes, 'size')} do not fit {nearest}; a run moves {number(spill.transfer_bytes, 'size')}"
    said += " to and from there"
    if spill.added_seconds is not None:
        said += f", and takes {number(spill.added_seconds, 'time')} longer than with a {nearest} that holds everything"
    found = table(["symbol", "role", "tier", "size", "moved", "repeats"], rows, caption=f"Beyond {nearest}", words=3)
    return f"{paragraphs(f'{said}.')}\n{found}{paragraphs(f'{left} more symbols.') if left > 0 else ''}"


def units_table(report: Report) -> str:
    heads = ["unit", "largest section", "of", "share", "held over time", "busy at least"]
    rows = [
        (
            plain(use.unit.upper()),
            f"{use.peak:,}",
            f"{use.available:,}",
            number(use.peak / use.available, "share"),
            exact(use.configured, number(use.configured, "share"), f"u-{use.unit}-configured"),
            number(use.busy, "share"),
        )
        for use in report.units
    ]
    found = table(heads, rows, caption="Units of one socket")
    if report.links is None:
        return found
    links = table(
        ["links", "results of collectives", "busy at least"],
        [("between sockets", number(report.links.payload_bytes, "size"), number(report.links.busy, "share"))],
        caption="Links between sockets, all collectives",
    )
    return f"{found}\n{links}"


def plans_table(plans: Sequence[PlanUse], best: float) -> str:
    """Of `--parallel auto`."""

    def row(plan: PlanUse) -> tuple[str, ...]:
        ways = " ".join(f"{axis}={count}" for axis, count in plan.parallelism.items() if count > 1) or "tp=1"
        seconds = plan.total_seconds or plan.at_least_seconds
        if seconds is None:
            return plain(ways), plain(f"refused: {plan.refused}"), NOTHING, NOTHING
        least = "at least " if plan.total_seconds is None else ""
        return (
            plain(ways),
            plain(plan.bound_by or NOTHING),
            f"{least}{number(seconds, 'time')}",
            f"{least}{show(seconds / best - 1.0, 'share')}",
        )

    return table(
        ["plan", "bound by", "time", "over the best"], map(row, plans), caption="Plans, the best first", words=2
    )


def settings_table(setting: Setting) -> str:
    """Every option with its default filled in; those that do not apply are left out."""

    def said(value: object) -> str:
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, int):
            return f"{value:,}"
        if hasattr(value, "items"):
            return ", ".join(f"{axis}={count}" for axis, count in value.items())
        return str(value)

    rows = (
        (plain(each.name.replace("_", " ")), plain(said(value)))
        for each in fields(setting)
        if (value := getattr(setting, each.name)) is not None
    )
    return table(["setting", "value"], rows, words=2)


def machine_table(rows: Sequence[Row]) -> str:
    """Every parameter with its source; which ones nobody has published stands before all others."""
    assumed = [row for row in rows if is_assumed(row)]
    changed = [row for row in rows if row.origin.startswith("--set")]
    said = f"{len(rows)} parameters, of which {len(assumed)} are assumed: nobody has published them."
    if changed:
        said += f" Changed by --set: {', '.join(f'{row.path} = {row.value}' for row in changed)}."
    cells = (
        (
            plain(row.path),
            plain(row.value),
            f'<span class="flag">{ASSUMED}</span>' if is_assumed(row) else "",
            f'<span class="long">{plain(row.note.removeprefix(f"{ASSUMED}: "))}</span>',
            plain(row.origin),
        )
        for row in rows
    )
    heads = ["parameter", "value", "assumed", "source", "from"]
    found = table(heads, cells, caption="Parameters of the machine", words=5)
    opened = f"<details><summary>All {len(rows)} parameters with their sources</summary>\n{found}\n</details>"
    return f"{paragraphs(said)}\n{opened}"


def is_assumed(row: Row) -> bool:
    return row.note.startswith(ASSUMED)
