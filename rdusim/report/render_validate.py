"""Published results against predictions for people: a terminal's tables, and those of docs/validation.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from rdusim.baselines.published import SETS
from rdusim.report.validation import case_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from rdusim.report.validation import Outcome, Totals, Validation

BEGIN: Final = "<!-- begin: made by rdusim validate --update, do not edit -->"
END: Final = "<!-- end: made by rdusim validate --update -->"
NOTHING: Final = "-"

_ROLES: Final = {"all": "all", "calibrated": "something was chosen by looking at them", "predicted": "the others"}


def print_validation(validation: Validation, console: Console) -> None:
    """A table for each set, totals, and every broken limit at the end, where it is seen."""
    from rich.text import Text

    for name, outcomes in validation.by_set().items():
        console.print(Text(f"{SETS[name]} ({name})", style="bold cyan"))
        console.print(_set_table(outcomes))
        console.print()
    for role, totals in validation.totals().items():
        console.print(f"{_ROLES[role]}: {_total(totals)}", soft_wrap=True)
    if validation.pending:
        ids = ", ".join(pending.target.id for pending in validation.pending)
        console.print(f"not runnable yet: {ids}", soft_wrap=True)
    for outcome in validation.outcomes:
        if outcome.problem and not outcome.failed:
            console.print(f"no prediction: {outcome.target.id} {case_of(outcome)}: {outcome.problem}", soft_wrap=True)
    for line in _failures(validation):
        console.print(Text(line, style="bold red"), soft_wrap=True)


def _set_table(outcomes: Sequence[Outcome]) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 0, 0, 1), pad_edge=False, header_style="dim")
    table.add_column("id", no_wrap=True)
    table.add_column("what", overflow="fold")
    for column in ("published", "predicted", "error"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("cal.", no_wrap=True)
    table.add_column("limit", overflow="fold")
    for outcome in outcomes:
        style = "bold red" if outcome.failed else None if outcome.row.main else "dim"
        what = ", ".join(part for part in (outcome.target.quantity, case_of(outcome)) if part)
        numbers = (*outcome.said(), _error(outcome.error))
        table.add_row(outcome.target.id, what, *numbers, "yes" if outcome.chosen else "", _limits(outcome), style=style)
    return table


def _error(error: float | None) -> str:
    """`+3.4%`; no sign where it rounds to nothing."""
    if error is None:
        return NOTHING
    said = f"{100 * error:+.{0 if abs(error) >= 0.9995 else 1}f}%"
    return "0.0%" if said in ("+0.0%", "-0.0%") else said


def _limits(outcome: Outcome) -> str:
    return ", ".join(f"{limit}{' BROKEN' if str(limit) in outcome.broken else ''}" for limit in outcome.row.limits)


def _total(totals: Totals) -> str:
    if totals.median_absolute_error is None or totals.largest_absolute_error is None:
        return f"{totals.rows} targets"
    median, largest = (f"{100 * error:.1f}%" for error in (totals.median_absolute_error, totals.largest_absolute_error))
    return f"{totals.rows} target{'s' if totals.rows > 1 else ''}, median error {median}, largest {largest}"


def _failures(validation: Validation) -> Iterator[str]:
    for outcome in validation.failed:
        why = outcome.problem or f"{outcome.said()[1]} is not {', not '.join(outcome.broken)}"
        yield f"broken: {outcome.target.id} {case_of(outcome)}: {why}"


def markdown(validation: Validation) -> str:
    """What stands between BEGIN and END: a table for each set, totals, what is pending, what is assumed."""
    parts = [f"## Predictions on {validation.arch}\n"]
    parts += [markdown_set(name, outcomes) for name, outcomes in validation.by_set().items()]
    parts.append("### Totals\n")
    parts.append(_table(("targets", "count and absolute error"), _total_rows(validation)))
    parts.append("## Not runnable yet\n")
    pending = [
        (item.target.id, item.target.quantity, item.target.model or "", item.reason) for item in validation.pending
    ]
    parts.append(_table(("id", "quantity", "model", "why"), pending))
    parts.append(f"## Assumed parameters of {validation.arch}\n")
    parts.append(_table(("parameter", "value", "chosen by looking at", "why this value"), _assumed_rows(validation)))
    return "\n".join(parts)


def markdown_set(name: str, outcomes: Sequence[Outcome]) -> str:
    """The table of one set."""
    header = ("id", "quantity", "run", "published", "predicted", "error", "chosen by it", "limit", "source")
    return f"### {SETS[name]}\n\n" + _table(header, [_cells(outcome) for outcome in outcomes])


def _cells(outcome: Outcome) -> tuple[str, ...]:
    target, (published, predicted) = outcome.target, outcome.said()
    return (
        target.id if outcome.row.main else f"({target.id})",
        target.quantity,
        case_of(outcome),
        published,
        outcome.problem or predicted,
        _error(outcome.error),
        ", ".join(f"`{path}`" if "." in path else path for path in outcome.chosen),
        _limits(outcome).replace("BROKEN", "**BROKEN**"),
        f"{target.source}" if outcome.row.derived is None else f"{target.source}, recounted",
    )


def _total_rows(validation: Validation) -> list[tuple[str, ...]]:
    return [(_ROLES[role], _total(totals)) for role, totals in validation.totals().items()]


def _assumed_rows(validation: Validation) -> list[tuple[str, ...]]:
    return [
        (f"`{item.path}`", item.value, ", ".join(item.chosen_by), item.note.removeprefix("assumed").lstrip(": "))
        for item in validation.assumed
    ]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def updated(text: str, validation: Validation) -> str:
    """`text` with what is between BEGIN and END made anew; it has both (`has_markers`)."""
    return between_markers(text, markdown(validation))


def between_markers(text: str, made: str) -> str:
    """`text` with `made` between BEGIN and END."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{made}\n{END}{after}"


def has_markers(text: str) -> bool:
    return BEGIN in text and END in text.partition(BEGIN)[2]
