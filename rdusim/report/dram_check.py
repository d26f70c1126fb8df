"""Closed form against commands: share of the peak of every pattern, how far apart they are, and the documented JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rdusim.report.export import Json
from rdusim.timing.dram import Pattern
from rdusim.units import show

if TYPE_CHECKING:
    from rich.console import Console

LIMIT: Final = 0.05
HEADERS: Final = ("pattern", "piece", "closed form", "commands", "difference", "lost most to")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One pattern on one channel: shares of its peak. `factors`: those of the closed form, by cause."""

    preset: str
    pattern: Pattern
    factors: Mapping[str, float]
    closed_form: float
    commands: float

    @property
    def difference(self) -> float:
        """How much more the closed form gives, as a share of what the commands give."""
        return self.closed_form / self.commands - 1.0

    @property
    def failed(self) -> bool:
        return abs(self.difference) > LIMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class DramCheck:
    """What `rdusim validate --set dram` found."""

    rows: tuple[Measured, ...]

    @property
    def failed(self) -> tuple[Measured, ...]:
        return tuple(row for row in self.rows if row.failed)

    def by_preset(self) -> dict[str, list[Measured]]:
        found: dict[str, list[Measured]] = {}
        for row in self.rows:
            found.setdefault(row.preset, []).append(row)
        return found


def largest(rows: list[Measured]) -> float:
    """The largest difference, without its sign."""
    return max((abs(row.difference) for row in rows), default=0.0)


def as_json(check: DramCheck) -> Json:
    """The contract of docs/cli.md, 'The JSON of validate --set dram'."""
    return {
        "limit": LIMIT,
        "rows": [_row(row) for row in check.rows],
        "largest_difference": {preset: largest(rows) for preset, rows in check.by_preset().items()},
        "broken": len(check.failed),
    }


def _row(row: Measured) -> Json:
    pattern = row.pattern
    found: dict[str, Json] = {
        "preset": row.preset,
        "order": pattern.order.value,
        "streams": pattern.streams,
        "piece_bytes": int(pattern.piece),
        "written_share": pattern.written,
        "closed_form": row.closed_form,
        "factors": dict(row.factors),
        "commands": row.commands,
        "difference": row.difference,
        "holds": not row.failed,
    }
    if pattern.stride:
        found["stride_bytes"] = int(pattern.stride)
    return found


def said(pattern: Pattern) -> str:
    """A pattern in words, without its piece."""
    streams = f", {pattern.streams} stream{'s' if pattern.streams > 1 else ''}" if pattern.order != "random" else ""
    stride = f" by {show(pattern.stride, 'size')}" if pattern.stride else ""
    written = f", {show(pattern.written, 'share')} written" if pattern.written else ""
    return f"{pattern.order.value}{stride}{streams}{written}"


def cells(row: Measured) -> tuple[str, ...]:
    """A row as text, in the order of HEADERS."""
    cause, factor = min(row.factors.items(), key=lambda item: item[1])
    return (
        said(row.pattern),
        show(row.pattern.piece, "size"),
        f"{100 * row.closed_form:.1f}%",
        f"{100 * row.commands:.1f}%",
        f"{100 * row.difference:+.1f}%",
        f"{cause.replace('_', ' ')} {show(1.0 - factor, 'share')}",
    )


def print_dram_check(check: DramCheck, console: Console) -> None:
    """A table for each preset, its largest difference, and every broken limit at the end."""
    from rich.table import Table
    from rich.text import Text

    for preset, rows in check.by_preset().items():
        console.print(Text(f"One channel of {preset}", style="bold cyan"))
        table = Table(box=None, padding=(0, 0, 0, 1), pad_edge=False, header_style="dim")
        for index, column in enumerate(HEADERS):
            table.add_column(column, justify="right" if 0 < index < len(HEADERS) - 1 else "left", no_wrap=bool(index))
        for row in rows:
            table.add_row(*cells(row), style="bold red" if row.failed else None)
        console.print(table)
        console.print(f"largest difference: {100 * largest(rows):.1f}%")
        console.print()
    for row in check.failed:
        text = f"broken: {row.preset}, {said(row.pattern)}, {show(row.pattern.piece, 'size')}: {cells(row)[4]}"
        console.print(Text(text, style="bold red"), soft_wrap=True)


def markdown(check: DramCheck) -> str:
    """What stands between the markers of docs/dram.md."""
    parts = []
    for preset, rows in check.by_preset().items():
        lines = ["| " + " | ".join(HEADERS) + " |", "|---" * len(HEADERS) + "|"]
        lines += ["| " + " | ".join(cells(row)) + f" |{' **BROKEN**' if row.failed else ''}" for row in rows]
        parts.append(f"## {preset}\n\n" + "\n".join(lines) + f"\n\nLargest difference: {100 * largest(rows):.1f}%.\n")
    return "\n".join(parts)
