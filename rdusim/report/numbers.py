"""What `--check-numbers` found: which programs were executed, and how far their numbers are from the graph's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rdusim.report.export import Json, to_json

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """One result: the largest absolute error, and that relative to the largest value. None: it is no number."""

    tensor: str
    shape: tuple[int, ...]
    absolute: float | None
    relative: float | None
    equal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramNumbers:
    """One program that was executed. `problem`: why it did not come to its end.

    `executed`: sections, stages, firings of stages, tiles through buffers, transfers between sockets; of one run.
    """

    phase: str
    cut: str
    executed: Mapping[str, int]
    deviations: tuple[Deviation, ...]
    problem: str | None = None

    @property
    def equal(self) -> bool:
        return self.problem is None and all(each.equal for each in self.deviations)


@dataclass(frozen=True, slots=True, kw_only=True)
class NumbersReport:
    """All programs of a request. `scaled`: sizes of the small model that was executed; empty for the model itself."""

    model: str
    arch: str
    sockets: int
    parallelism: Mapping[str, int]
    tolerance: float
    seed: int
    scaled: Mapping[str, int]
    programs: tuple[ProgramNumbers, ...]

    @property
    def equal(self) -> bool:
        return all(program.equal for program in self.programs)


def as_json(report: NumbersReport) -> dict[str, Json]:
    """The documented JSON: docs/cli.md, "The JSON of --check-numbers"."""
    found = to_json(report)
    assert isinstance(found, dict)
    programs = found["programs"]
    assert isinstance(programs, list)
    for program, values in zip(report.programs, programs, strict=True):
        assert isinstance(values, dict)
        values["equal"] = program.equal
    return found | {"equal": report.equal}


def print_numbers(report: NumbersReport, console: Console) -> None:
    """A table for each program, and the verdict."""
    from rich.table import Table
    from rich.text import Text

    console.print(Text(asked(report), style="dim"))
    for program in report.programs:
        console.print(Text(f"\n{program.phase}, {program.cut}: {_counted(program)}", style="bold"))
        if program.problem is not None:
            console.print(Text(program.problem, style="red"))
        table = Table(box=None, pad_edge=False)
        for title in ("result", "shape", "max abs error", "relative", ""):
            table.add_column(title, justify="left" if title in ("result", "") else "right")
        for each in program.deviations:
            shape = "x".join(str(extent) for extent in each.shape)
            numbers = (_number(each.absolute), _number(each.relative))
            table.add_row(each.tensor, shape, *numbers, "" if each.equal else "DIFFERS")
        if program.deviations:
            console.print(table)
    console.print(Text(f"\n{verdict(report)}", style="bold green" if report.equal else "bold red"))


def asked(report: NumbersReport) -> str:
    """What was executed, in one sentence."""
    ways = " ".join(f"{axis}={count}" for axis, count in report.parallelism.items() if count > 1)
    sizes = ", ".join(f"{key} {value}" for key, value in report.scaled.items())
    parts = [f"numbers of {report.model} on {report.arch}", ways, f"seed {report.seed}"]
    return ", ".join(part for part in parts if part) + (f"; scaled down to {sizes}" if sizes else "")


def verdict(report: NumbersReport) -> str:
    """Whether all is well."""
    if report.equal:
        return f"equal: every result is the graph's within {report.tolerance:g} of its largest value"
    return "the mapped program does not compute the numbers of its graph"


def _counted(program: ProgramNumbers) -> str:
    return ", ".join(_count(value, name) for name, value in _said(program.executed))


def _said(executed: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    names = {"sections": "section", "stages": "stage", "firings": "firing", "tiles": "tile", "transfers": "transfer"}
    return ((word, executed[name]) for name, word in names.items() if name in executed)


def _count(value: int, word: str) -> str:
    return f"{value:,} {word}{'' if value == 1 else 's'}"


def _number(value: float | None) -> str:
    return "nan" if value is None else f"{value:.1e}"
