"""A report for people: the answer, what bounds it, where the time goes, what is used. Fits 80 columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rdusim.graph.types import Phase
from rdusim.report.memory_loss import WAITING
from rdusim.report.spill import said
from rdusim.report.types import KERNELS
from rdusim.units import show

if TYPE_CHECKING:
    from rdusim.report.types import MemoryUse, Report, SectionUse, Setting, Spill

BAR = 24  # cells of a whole second in the breakdown
NAMED_BOUNDS = 3  # causes that the summary names
NOTHING = "-"
MOST_SPILLED = 8  # symbols that are listed
LEAST_LOSS = 0.9995  # a factor below shows in a tenth of a percent


def print_report(report: Report, console: Console) -> None:
    """Print all of it; bars are ASCII where the terminal cannot show more."""
    for block in blocks(report, ascii_only=not console.encoding.lower().startswith("utf")):
        console.print(block)


def blocks(report: Report, *, ascii_only: bool = False) -> Iterator[RenderableType]:
    """What was asked, the answer, what bounds it, and the tables behind it; an empty line between them."""
    yield Group(Text(asked(report.setting), style="dim"), Text(headline(report), style="bold green"), bound_by(report))
    yield _titled("Where the time goes", _breakdown(report, "#" if ascii_only else "\N{FULL BLOCK}"))
    yield Group(_titled(_memory_title(report), _memory(report)), *map(_reached, report.memory))
    if report.spill is not None:
        yield _titled(f"Beyond {report.memory[1].tier}", _spilled(report.spill))
    yield _titled("Units of a socket", _units(report))
    yield _titled("Sections", _sections(report))
    if report.plans:
        yield _titled("Plans, the best first", _plans(report))
    launches = f"{show(report.kernel_launches, 'count')} kernel launch{'es' if report.kernel_launches != 1 else ''}"
    lines = [f"{launches}; {_intensity(report)}", _work(report)]
    lines += [f"note: {note}" for note in _notes(report)]
    yield Group(Text(), *(Text(line) for line in lines))


def asked(setting: Setting) -> str:
    """The request in one sentence."""
    ways = " ".join(f"{axis}={count}" for axis, count in setting.parallelism.items() if count > 1)
    tokens = {"input": setting.input_tokens, "output": setting.output_tokens, "context": setting.context_tokens}
    parts = [
        f"{setting.model}, {setting.phase or 'one run'} on {setting.arch}",
        f"{_sockets(setting)}{f' ({ways})' if ways else ''}",
        f"batch {setting.batch}",
        *(f"{name} {show(count, 'count')}" for name, count in tokens.items() if count is not None),
        setting.dtype,
        setting.fusion,
        f"{setting.orchestration}-orchestrated" if setting.orchestration else None,
        "kernel looping" if setting.kernel_looping else None,
        "kernel by kernel" if setting.engine == KERNELS else f"engine {setting.engine}",
    ]
    return ", ".join(part for part in parts if part)


def _sockets(setting: Setting) -> str:
    noun = "GPU" if setting.engine == KERNELS else "socket"
    return f"{setting.sockets_used} {noun}{'s' if setting.sockets_used > 1 else ''}"


def headline(report: Report) -> str:
    """The one or two numbers that were asked for."""
    rate, setting = report.throughput, report.setting
    parts = _times(report)
    if rate.tokens_per_second is not None:
        parts.append(f"{show(_rounded(rate.tokens_per_second), 'count')} tokens/s")
    if rate.tokens_per_second_per_user is not None and setting.batch > 1:
        parts.append(f"{show(_rounded(rate.tokens_per_second_per_user), 'count')} per user")
    return "   ".join(parts)


def _times(report: Report) -> list[str]:
    latency, phase = report.latency, report.setting.phase
    total = show(latency.total_seconds, "time")
    if phase == Phase.PREFILL:
        return [f"{total} to the first token"]
    if phase == Phase.DECODE:
        return [f"{total} per token"]
    first, each = latency.time_to_first_token_seconds, latency.time_per_output_token_seconds
    found = [total if first is None else f"{total} in all"]
    found += [] if first is None else [f"{show(first, 'time')} to the first token"]
    return found + ([] if each is None else [f"{show(each, 'time')} per token"])


def _rounded(value: float) -> float:
    return round(value) if value >= 100 else round(value, 1)


def bound_by(report: Report) -> Text:
    """The causes that most of the time is given to."""
    total = report.latency.total_seconds
    most = [(cause, seconds) for cause, seconds in report.breakdown_seconds.items() if seconds >= 0.005 * total]
    said = (f"{cause} {show(seconds / total, 'share')} ({show(seconds, 'time')})" for cause, seconds in most)
    named = [text for text, _ in zip(said, range(NAMED_BOUNDS), strict=False)]
    return Text.assemble("bound by ", (named[0], "bold"), *(f", {text}" for text in named[1:]))


def _titled(title: str, table: Table) -> RenderableType:
    return Group(Text(), Text(title, style="bold cyan"), Padding(table, (0, 0, 0, 2), expand=False))


def _table(*columns: str, space: int = 2) -> Table:
    """First column left, the rest right; no lines between: the numbers are the picture."""
    table = Table(box=None, padding=(0, 0, 0, space), pad_edge=False, header_style="dim")
    for index, name in enumerate(columns):
        # Names give way first, over several lines: every number stays whole in 80 columns.
        table.add_column(name, justify="right" if index else "left", no_wrap=bool(index), overflow="fold")
    return table


def _breakdown(report: Report, block: str) -> Table:
    table = Table(box=None, padding=(0, 0, 0, 2), pad_edge=False, show_header=False)
    for justify in ("left", "right", "right", "left"):
        table.add_column(justify=justify, no_wrap=True)
    for cause, seconds in report.breakdown_seconds.items():
        if seconds:
            share = seconds / report.latency.total_seconds
            bar = Text(block * round(BAR * share), style="blue")
            table.add_row(cause, show(seconds, "time"), show(share, "share"), bar)
    return table


def _memory_title(report: Report) -> str:
    used = report.setting.sockets_used
    return f"Memory of {used} sockets" if used > 1 else "Memory"


def _memory(report: Report) -> Table:
    table = _table("tier", "peak use", "of", "", "read", "written", "achieved", "of peak", "streaming", space=1)
    for use in report.memory:
        table.add_row(*_memory_row(use))
    return table


def _memory_row(use: MemoryUse) -> Iterator[str]:
    yield use.tier
    yield show(use.peak_bytes, "size")
    yield show(use.capacity_bytes, "size")
    yield show(use.peak_bytes / use.capacity_bytes, "share")
    for moved in (use.read_bytes, use.written_bytes):
        yield show(moved, "size") if moved else NOTHING
    yield show(use.achieved_bytes_per_second, "bandwidth") if use.achieved_bytes_per_second else NOTHING
    yield show(use.bandwidth_utilization, "share") if use.bandwidth_utilization else NOTHING
    yield show(use.streaming_utilization, "share") if use.streaming_utilization else NOTHING


def _reached(use: MemoryUse) -> RenderableType:
    """Peak, what is achieved of it, and what takes the rest."""
    if not use.efficiency or use.peak_bytes_per_second is None or use.bandwidth_utilization is None:
        return Group()
    idle = max(0.0, 1.0 - use.efficiency[WAITING])
    lost = [
        f"{show(1.0 - factor, 'share')} to {cause.replace('_', ' ')}"
        for cause, factor in use.efficiency.items()
        if cause != WAITING and factor < LEAST_LOSS
    ]
    share, peak = show(use.bandwidth_utilization, "share"), show(use.peak_bytes_per_second, "bandwidth")
    text = f"{use.tier} reaches {share} of {peak}: it waits {show(idle, 'share')} of the time"
    return Padding(Text(f"{text}, and loses {', '.join(lost)}" if lost else text, style="dim"), (0, 0, 0, 2))


def _spilled(spill: Spill) -> Table:
    """Symbols that lie farther away, those that move most first."""
    table = _table("symbol", "role", "tier", "size", "moved", "repeats", space=1)
    for symbol in spill.symbols[:MOST_SPILLED]:
        part = "" if symbol.repeats is None else f"{symbol.repeats} of {symbol.of_repeats}"
        row = (symbol.role, symbol.tier, show(symbol.bytes, "size"), show(symbol.transfer_bytes, "size"), part)
        table.add_row(symbol.name, *row)
    if rest := spill.symbols[MOST_SPILLED:]:
        size, moved = sum(symbol.bytes for symbol in rest), sum(symbol.transfer_bytes for symbol in rest)
        table.add_row(f"{len(rest)} more", "", "", show(size, "size"), show(moved, "size"), "")
    return table


def _units(report: Report) -> Table:
    table = _table("unit", "largest section", "of", "", "held over time", "busy at least", space=1)
    for use in report.units:
        share = show(use.peak / use.available, "share")
        counts = (show(use.peak, "count"), show(use.available, "count"), share)
        table.add_row(use.unit, *counts, show(use.configured, "share"), show(use.busy, "share"))
    if report.links is not None:
        payload = f"{show(report.links.payload_bytes, 'size')} in collectives"
        table.add_row("links", payload, "", "", "", show(report.links.busy, "share"))
    return table


def _sections(report: Report) -> Table:
    table = _table("section", "times", "each", "total", "share", "PCU", "PMU", "bound by", "next", space=1)
    for section in report.sections:
        table.add_row(
            section.name,
            show(section.repeats, "count"),
            show(section.seconds / section.repeats, "time"),
            show(section.seconds, "time"),
            show(section.seconds / report.latency.total_seconds, "share"),
            show(section.pcu_share, "share"),
            show(section.pmu_share, "share"),
            *_bounds(section),
        )
    return table


def _plans(report: Report) -> Table:
    table = _table("plan", "time", "over the best", "bound by", space=2)
    best = report.latency.total_seconds
    for plan in report.plans or ():
        ways = " ".join(f"{axis}={count}" for axis, count in plan.parallelism.items() if count > 1) or "tp=1"
        seconds = plan.total_seconds or plan.at_least_seconds
        if seconds is None:
            table.add_row(ways, "refused", NOTHING, NOTHING)
        else:
            least = ">= " if plan.total_seconds is None else ""
            more = f"{least}{show(seconds / best - 1.0, 'share')}"
            table.add_row(ways, f"{least}{show(seconds, 'time')}", more, plan.bound_by or NOTHING)
    return table


def _bounds(section: SectionUse) -> tuple[str, str]:
    """The bottleneck and the next resource, each with the share of one execution that it needs at least."""

    def said(resource: str) -> str:
        seconds = section.bound_seconds.get(resource)
        if not seconds or not section.execution_seconds:
            return resource
        return f"{resource} {show(min(1.0, seconds / section.execution_seconds), 'share')}"

    others = [name for name, seconds in section.bound_seconds.items() if name != section.bottleneck and seconds]
    return said(section.bottleneck), said(others[0]) if others else NOTHING


def _intensity(report: Report) -> str:
    intensity = report.operational_intensity
    flops = show(intensity.flops, "flop")
    if intensity.flops_per_byte is None:
        return f"{flops}, no off-chip bytes"
    return f"{flops} over {show(intensity.bytes, 'size')} off chip = {_ratio(intensity.flops_per_byte)} FLOP/B"


def _work(report: Report) -> str:
    rate = report.throughput
    share = rate.model_flops_utilization
    of_peak = "" if share is None else f", {show(share, 'share')} of peak at {report.setting.dtype}"
    return f"{show(rate.flops_per_second, 'flops')}{of_peak}"


def _ratio(value: float) -> str:
    return show(round(value), "count") if value >= 100 else f"{value:.3g}"


def _notes(report: Report) -> Iterator[str]:
    yield from report.notes
    if report.spill is not None:
        yield said(report.spill, report.memory[1].tier)
    if contexts := report.simulator.decode_contexts:
        shown = ", ".join(show(context, "count") for context in contexts)
        yield f"decode steps simulated at contexts {shown}; straight lines between them, within 0.5% of the total"
