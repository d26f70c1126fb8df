"""Engine against engine: what each says of the same mapping, how far apart they are, and their documented JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rdusim.baselines.engine_differences import KNOWN
from rdusim.report.export import Json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# (engine, the one it is compared with): the coarser of the two first.
PAIRS: Final = (("steady", "discrete"), ("discrete", "cycle"))
CLOSE: Final = 0.03  # steady against discrete where nothing contends
FAR: Final = 0.10  # everywhere else
KINDS: Final[Mapping[str, str]] = {
    "micro": "Microbenchmarks (experiments/micro)",
    "model": "Shipped models (on sn40l, where no other machine is named)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One mapping in several engines. `seconds` by engine; an engine that is missing was not asked.

    `contended`: in the engine discrete something waited for bandwidth. `deadlocks`: engines that found one, by message.
    """

    kind: str
    name: str
    seconds: Mapping[str, float]
    contended: bool = True
    deadlocks: Mapping[str, str] | None = None

    def differences(self) -> dict[tuple[str, str], float]:
        """By pair of engines, how much longer the first takes, as a share of the second."""
        return {
            (one, other): self.seconds[one] / self.seconds[other] - 1
            for one, other in PAIRS
            if one in self.seconds and self.seconds.get(other)
        }

    def limit(self, pair: tuple[str, str]) -> float:
        return CLOSE if pair == PAIRS[0] and not self.contended and self.kind == "micro" else FAR

    @property
    def beyond(self) -> bool:
        """Two engines are too far apart, or one found a deadlock that another did not."""
        if self.deadlocks:
            return bool(self.seconds)
        return any(abs(share) > self.limit(pair) for pair, share in self.differences().items())

    @property
    def cause(self) -> str | None:
        """Why engines are too far apart, where that has been found and they are not farther apart than it explains."""
        bound, cause = KNOWN.get(self.name, (0.0, ""))
        within = all(abs(share) <= bound for share in self.differences().values())
        return cause if self.beyond and within and not self.deadlocks else None

    @property
    def failed(self) -> bool:
        """Too far apart, and nobody knows why."""
        return self.beyond and self.cause is None


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossCheck:
    """What `rdusim validate --set engines` found."""

    rows: tuple[Compared, ...]

    @property
    def failed(self) -> tuple[Compared, ...]:
        return tuple(row for row in self.rows if row.failed)

    def largest(self, kind: str, pair: tuple[str, str]) -> float | None:
        """The largest difference of a kind of rows, without its sign."""
        found = [abs(row.differences()[pair]) for row in self.rows if row.kind == kind and pair in row.differences()]
        return max(found, default=None)


def as_json(check: CrossCheck) -> Json:
    """The contract of docs/cli.md, 'The JSON of validate --set engines'."""
    return {
        "rows": [_row(row) for row in check.rows],
        "largest_difference": {
            kind: {
                f"{one}/{other}": value
                for one, other in PAIRS
                if (value := check.largest(kind, (one, other))) is not None
            }
            for kind in KINDS
        },
        "broken": len(check.failed),
        "explained": sum(row.cause is not None for row in check.rows),
    }


def _row(row: Compared) -> Json:
    found: dict[str, Json] = {
        "kind": row.kind,
        "name": row.name,
        "seconds": dict(row.seconds),
        "contended": row.contended,
        "differences": {f"{one}/{other}": share for (one, other), share in row.differences().items()},
        "limits": {f"{one}/{other}": row.limit((one, other)) for one, other in row.differences()},
        "holds": not row.beyond,
    }
    if row.deadlocks:
        found["deadlocks"] = dict(row.deadlocks)
    if row.cause:
        found["cause"] = row.cause
    return found


def print_cross_check(check: CrossCheck, console: Console) -> None:
    """A table for each kind, the largest differences, and every broken limit."""
    from rich.text import Text

    for kind, title in KINDS.items():
        if not any(row.kind == kind for row in check.rows):
            continue
        console.print(Text(title, style="bold cyan"))
        console.print(_table([row for row in check.rows if row.kind == kind]))
        for pair in PAIRS:
            if (largest := check.largest(kind, pair)) is not None:
                console.print(f"largest difference of {pair[0]} from {pair[1]}: {100 * largest:.1f}%")
        console.print()
    for row in check.rows:
        for engine, said in (row.deadlocks or {}).items():
            console.print(f"{row.name}, {engine}: {said}", soft_wrap=True)
        if row.cause:
            console.print(f"beyond its limit, cause known: {row.name}: {_why(row)}: {row.cause}", soft_wrap=True)
    for row in check.failed:
        console.print(Text(f"broken: {row.name}: {_why(row)}", style="bold red"), soft_wrap=True)


def _why(row: Compared) -> str:
    if row.deadlocks:
        return f"{', '.join(row.deadlocks)} found a deadlock, {', '.join(row.seconds)} did not"
    return ", ".join(
        f"{one} is {100 * share:+.1f}% from {other}, limit {100 * row.limit((one, other)):.0f}%"
        for (one, other), share in row.differences().items()
        if abs(share) > row.limit((one, other))
    )


def _table(rows: list[Compared]) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 0, 0, 1), pad_edge=False, header_style="dim")
    table.add_column("what", overflow="fold")
    for column in (*HEADERS, "limits"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(row.name, *cells(row), style="bold red" if row.failed else None)
    return table


HEADERS: Final = ("steady", "discrete", "cycle", "steady/discrete", "discrete/cycle")


def cells(row: Compared) -> tuple[str, ...]:
    """Times, differences and limits of a row as text, in the order of HEADERS."""
    from rdusim.units import show

    times = []
    for engine in HEADERS[:3]:
        if row.deadlocks and engine in row.deadlocks:
            times.append("deadlock")
        else:
            times.append(show(row.seconds[engine], "time") if engine in row.seconds else "-")
    differences = row.differences()
    shares = [f"{100 * differences[pair]:+.1f}%" if pair in differences else "-" for pair in PAIRS]
    limits = " ".join(f"{100 * row.limit(pair):.0f}%" for pair in PAIRS if pair in differences)
    return (*times, *shares, limits)


def markdown(check: CrossCheck) -> str:
    """What stands between the markers of docs/engines.md."""
    parts = []
    for kind, title in KINDS.items():
        lines = ["| what | " + " | ".join((*HEADERS, "limits")) + " |", "|---" * (len(HEADERS) + 2) + "|"]
        lines += [
            f"| {row.name}{' **BROKEN**' if row.failed else ''} | " + " | ".join(cells(row)) + " |"
            for row in check.rows
            if row.kind == kind
        ]
        largest = [
            f"{one} from {other} {100 * value:.1f}%"
            for one, other in PAIRS
            if (value := check.largest(kind, (one, other))) is not None
        ]
        parts.append(f"## {title}\n\n" + "\n".join(lines) + f"\n\nLargest difference: {', '.join(largest)}.\n")
    if causes := [f"- {row.name}: {_why(row)}. {row.cause}." for row in check.rows if row.cause]:
        parts.append("## Beyond the limit, and why\n\n" + "\n".join(causes) + "\n")
    return "\n".join(parts)
