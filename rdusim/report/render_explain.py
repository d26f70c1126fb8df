"""The values of `explain` as tables for people: one printer for each step of the pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rdusim.report.names import common_block
from rdusim.report.stalls import stall_columns, stall_rows
from rdusim.units import show

# Plain JSON values, as report.explain makes them.
Object = Mapping[str, Any]


def print_explained(after: str, explained: Object, console: Console) -> None:
    """Print what is held `after` a step (lower, map or simulate)."""
    for section in explained["sections"]:
        _SECTION[after](_short(section, _block(section)), console)
    if "waits" in explained:
        console.print(Text(f"\n{explained['waits']}", style="dim"))
    if after == "map":
        _print_memory(explained, console)
        _print_launches(explained, console)


def _block(section: Object) -> str:
    """The `decoder/` in front of all stage names of a section; empty when they have none in common."""
    named = section.get("placements") or section["stages"]
    return common_block(each.get("name") or each["stage"] for each in named)


def _short(value: Any, block: str) -> Any:
    """The same values with `block` left out of every name: it stands in the heading, and tables are narrow."""
    if isinstance(value, str):
        return value.replace(block, "") if block else value
    if isinstance(value, Mapping):
        return {key: _short(item, block) for key, item in value.items()}
    if isinstance(value, list):
        return [_short(item, block) for item in value]
    return value


def _heading(console: Console, title: str, rest: str) -> None:
    console.print(Text.assemble("\n", (title, "bold cyan"), "  ", rest))


def _print_table(console: Console, title: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """One table under its title; nothing at all when there are no rows. A leading `<` of a column aligns it left."""
    listed = [tuple(row) for row in rows]
    if not listed:
        return
    table = Table(box=None, padding=(0, 0, 0, 2), pad_edge=False, header_style="dim", title_justify="left")
    for name in columns:
        left = name.startswith("<")
        table.add_column(name.removeprefix("<"), justify="left" if left else "right", overflow="fold", no_wrap=not left)
    for row in listed:
        table.add_row(*row)
    console.print(Text(f"\n{title}", style="bold"))
    console.print(table)


def _lowered(section: Object, console: Console) -> None:
    widths = f"{show(section['pcus'], 'count')} PCUs, {show(section['pmus'], 'count')} PMUs"
    rest = f"x {section['repeats']}, {section['tiles']} tiles, {widths}, {show(section['flops'], 'flop')}"
    _heading(console, section["name"], rest)
    _print_table(
        console,
        "stages",
        ("<stage", "<compute", "PCU", "PMU", "SRAM", "tiles", "<tile shape"),
        (
            (
                stage["name"],
                stage["compute"] if "collective" not in stage else stage["collective"]["kind"],
                show(stage["pcus"], "count"),
                show(stage["pmus"], "count"),
                show(stage["sram"], "size"),
                show(stage["tiles"], "count"),
                " ".join(f"{label}={extent}" for label, extent in stage["tile_shape"].items()),
            )
            for stage in section["stages"]
        ),
    )
    _print_table(
        console,
        "operators",
        ("<stage", "<operators that fire together"),
        ((stage["name"], ", ".join(stage["operators"])) for stage in section["stages"]),
    )
    _print_table(
        console,
        "streams",
        ("<from", "<to", "<tensor", "tile", "tiles", "depth"),
        (
            (
                stream["source"],
                stream["target"],
                stream["tensor"],
                show(stream["tile_bytes"], "size"),
                f"{show(stream['tiles'], 'count')}{' multicast' if stream['multicast'] else ''}",
                str(stream["depth"]),
            )
            for stream in section["streams"]
        ),
    )
    for kind in ("loads", "stores"):
        _print_table(
            console,
            kind,
            ("<buffer", "<stage", "tile", "tiles", "bytes", "run-ahead", "AGCU", "in a row"),
            (
                (
                    stream["buffer"],
                    stream["stage"],
                    show(stream["tile_bytes"], "size"),
                    show(stream["tiles"], "count"),
                    show(stream["bytes"], "size"),
                    show(stream["prefetch"], "size"),
                    show(stream["agcus"], "count"),
                    show(stream["contiguous"], "size") + (" gathered" if stream["gathered"] else ""),
                )
                for stream in section[kind]
            ),
        )


def _mapped(section: Object, console: Console) -> None:
    _heading(console, section["name"], _links(section))
    _print_table(
        console,
        "placement",
        ("<stage", "PCU", "PMU", "<tile: rows, columns"),
        (
            (place["stage"], show(place["pcus"], "count"), show(place["pmus"], "count"), _boxes(place["tiles"]))
            for place in section["placements"]
        ),
    )
    _print_table(
        console,
        "routes",
        ("<stream", "hops", "links", "busiest link", "over the dies", "over the TLN", "<"),
        (
            (
                route["stream"],
                str(route["hops"]),
                show(route["links"], "count"),
                show(route["busiest_link_tile_bytes"], "size"),
                show(route["die_crossing_bytes"], "size"),
                show(route["tln_bytes"], "size"),
                "sequenced" if route["sequenced"] else "",
            )
            for route in section["routes"]
        ),
    )
    _print_table(
        console,
        "buffers in each PMU of a stage",
        ("<stage", "<stream", "copy", "offset", "size", "banks"),
        (
            (
                buffer["stage"],
                buffer["flow"],
                str(buffer["copy"]),
                f"{buffer['offset']:#x}",
                show(buffer["size"], "size"),
                "-".join(str(bank) for bank in dict.fromkeys(buffer["banks"])),
            )
            for buffer in section["buffers"]
        ),
    )


def _links(section: Object) -> str:
    """The busiest link, and whether links keep up with what stages and memories claim."""
    where = f" ({section['busiest_link']})" if "busiest_link" in section else ""
    said = f"busiest mesh link{where}: {show(section['link_load_bytes'], 'size')} per execution"
    if not section["claimed_cycles"]:
        return said
    claimed = f"{show(round(section['claimed_cycles']), 'cycles')} claimed"
    return f"{said}; {claimed}" + (f", links need {section['slowdown']:.2f}x" if section["slowdown"] > 1.0 else "")


def _boxes(boxes: Iterable[Object]) -> str:
    return "; ".join(
        f"{box['tile']}: {box['rows'][0]}-{box['rows'][1]}, {box['cols'][0]}-{box['cols'][1]}" for box in boxes
    )


def _print_memory(explained: Object, console: Console) -> None:
    _heading(
        console, "memory", ", ".join(f"{tier} {show(size, 'size')}" for tier, size in explained["peak_bytes"].items())
    )
    for use in explained["memory"]:
        peak, holes = show(use["peak_bytes"], "size"), show(use["hole_bytes_at_peak"], "size")
        again = show(use["bytes_at_reused_addresses"], "size")
        console.print(f"{use['tier']}: at most {peak} at once, {holes} in holes then, {again} at addresses used again")
    _print_table(
        console,
        "allocations",
        ("<buffer", "<role", "<tier", "offset", "size"),
        (
            (each["buffer"], each["role"] or "", each["tier"], f"{each['offset']:#x}", show(each["size"], "size"))
            for each in explained["allocations"]
        ),
    )


def _print_launches(explained: Object, console: Console) -> None:
    _print_table(
        console,
        "launches",
        ("<section", "times", "<started by", "program loads", "<runs ahead"),
        (
            (
                launch["section"],
                show(launch["times"], "count"),
                launch["orchestration"],
                show(launch["program_loads"], "count"),
                "yes" if launch["prefetch"] else "no",
            )
            for launch in explained["launches"]
        ),
    )


def _timed(section: Object, console: Console) -> None:
    each = f"{show(section['execution_seconds'], 'time')} each + {show(section['launch_seconds'], 'time')} a launch"
    rest = f"x {section['repeats']} = {show(section['seconds'], 'time')} ({each}), bound by {section['bottleneck']}"
    _heading(console, section["name"], rest)
    _print_table(
        console,
        "least time of one execution on each resource alone",
        ("<resource", "time", "of execution"),
        (
            (resource, show(seconds, "time"), _share(seconds, section["execution_seconds"]))
            for resource, seconds in sorted(section["bound_seconds"].items(), key=lambda bound: -bound[1])
        ),
    )
    _print_table(
        console,
        "where the time of all repeats goes",
        ("<cause", "time", "share"),
        (
            (cause, show(seconds, "time"), _share(seconds, section["seconds"]))
            for cause, seconds in sorted(section["breakdown_seconds"].items(), key=lambda share: -share[1])
        ),
    )
    _print_table(
        console,
        "stages",
        ("<stage", "interval", "busy", "start", "end", "<bound"),
        (
            (
                stage["name"],
                *(show(stage[f"{key}_seconds"], "time") for key in ("interval", "busy", "start", "end")),
                stage["bound"],
            )
            for stage in section["stages"]
        ),
    )
    _print_table(
        console,
        "memory streams",
        ("<stream", "<tier", "<", "bytes", "rate", "start", "end", "<bound"),
        (
            (
                stream["name"],
                stream["tier"],
                "write" if stream["written"] else "read",
                show(stream["bytes"], "size"),
                show(stream["bytes_per_second"], "bandwidth"),
                show(stream["start_seconds"], "time"),
                show(stream["end_seconds"], "time"),
                stream["bound"],
            )
            for stream in section["streams"]
        ),
    )
    _print_table(
        console,
        "waits of one execution, and their share of it",
        stall_columns(),
        stall_rows((*section["stages"], *section["streams"]), section["execution_seconds"]),
    )


def _share(part: float, whole: float) -> str:
    return show(part / whole, "share") if whole else ""


_SECTION: Final[Mapping[str, Callable[[Object, Console], None]]] = {
    "lower": _lowered,
    "map": _mapped,
    "simulate": _timed,
}
