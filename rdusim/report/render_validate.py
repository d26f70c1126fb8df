"""Published results against predictions for people: a terminal's tables, and those of docs/validation.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from rdusim.baselines.agreement import BAND
from rdusim.baselines.published import SETS
from rdusim.report.validation import case_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from rdusim.baselines.agreement import Agreement
    from rdusim.report.validation import Outcome, Validation

BEGIN: Final = "<!-- begin: made by rdusim validate --update, do not edit -->"
END: Final = "<!-- end: made by rdusim validate --update -->"
NOTHING: Final = "-"

_ROLES: Final[Mapping[str, str]] = {
    "all": "all",
    "calibrated": "something was chosen by looking at them",
    "predicted": "the others",
}


def print_validation(validation: Validation, console: Console) -> None:
    """A table for each set, totals, and every broken limit at the end, where it is seen."""
    from rich.text import Text

    for name, outcomes in validation.by_set().items():
        console.print(Text(f"{SETS[name]} ({name})", style="bold cyan"))
        console.print(_set_table(outcomes))
        console.print()
    console.print(Text("Totals", style="bold cyan"))
    console.print(_totals_table(validation))
    for name, limit, value, holds in _group_limits(validation):
        console.print(f"{name}: {limit}: {value}{'' if holds else ', BROKEN'}", soft_wrap=True)
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
    for column in ("published", "predicted", "error", "factor"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("cal.", no_wrap=True)
    table.add_column("limit", overflow="fold")
    for outcome in outcomes:
        style = "bold red" if outcome.failed else None if outcome.row.main else "dim"
        what = ", ".join(part for part in (outcome.target.quantity, case_of(outcome)) if part)
        numbers = (*outcome.said(), _error(outcome.error), _factor(outcome))
        table.add_row(outcome.target.id, what, *numbers, "yes" if outcome.chosen else "", _limits(outcome), style=style)
    return table


def _error(error: float | None) -> str:
    """`+3.4%`; no sign where it rounds to nothing."""
    if error is None:
        return NOTHING
    said = f"{100 * error:+.{0 if abs(error) >= 0.9995 else 1}f}%"
    return "0.0%" if said in ("+0.0%", "-0.0%") else said


def _factor(outcome: Outcome) -> str:
    """`x1.50`: the prediction is so many times the published value; `/1.50`: the published is so many times it."""
    factor = outcome.pair.factor
    if factor is None:
        return NOTHING
    return f"{'x' if factor < 1.005 or (outcome.error or 0.0) > 0.0 else '/'}{factor:.2f}"


def _limits(outcome: Outcome) -> str:
    return ", ".join(f"{limit}{' BROKEN' if str(limit) in outcome.broken else ''}" for limit in outcome.row.limits)


_TOTALS: Final = (
    "targets",
    "number",
    "median error",
    "largest error",
    "largest factor",
    f"within x{BAND:g}",
    "rank corr.",
)


def _totals_table(validation: Validation) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 0, 0, 1), pad_edge=False, header_style="dim")
    for column in _TOTALS:
        table.add_column(column, justify="left" if column == _TOTALS[0] else "right")
    for cells in _total_rows(validation):
        table.add_row(*cells)
    return table


def _total_rows(validation: Validation) -> list[tuple[str, ...]]:
    """By role, then by set."""
    roles = [(_ROLES[role], found) for role, found in validation.totals().items()]
    sets = [(SETS[name], found) for name, found in validation.totals_by_set().items()]
    return [(name, *_agreement(found)) for name, found in (*roles, *sets)]


def _agreement(found: Agreement) -> tuple[str, ...]:
    median, largest = found.median_absolute_error, found.largest_absolute_error
    factor, near, ranks = found.largest_factor, found.share_within_band, found.rank_correlation
    return (
        str(found.rows),
        NOTHING if median is None else f"{100 * median:.1f}%",
        NOTHING if largest is None else f"{100 * largest:.1f}%",
        NOTHING if factor is None else f"{factor:.2f}",
        NOTHING if near is None else f"{100 * near:.0f}%",
        NOTHING if ranks is None else f"{ranks:.2f}",
    )


def _group_limits(validation: Validation) -> Iterator[tuple[str, str, str, bool]]:
    """Group, limit, what was found, and whether the limit holds."""
    for judged in validation.groups():
        for limit in judged.group.limits:
            value = limit.value(judged.agreement)
            said = NOTHING if value is None else f"{value:.3f}"
            yield judged.group.name, str(limit), said, str(limit) not in judged.broken
        if judged.group.explained:
            ids = ", ".join(sorted({outcome.target.id for outcome in judged.unexplained}))
            said = f"a reason for every one beyond a factor of {BAND:g}"
            yield judged.group.name, said, f"none for {ids}" if ids else "all have one", not ids


def _failures(validation: Validation) -> Iterator[str]:
    for outcome in validation.broken:
        why = outcome.problem or f"{outcome.said()[1]} is not {', not '.join(outcome.broken)}"
        yield f"broken: {outcome.target.id} {case_of(outcome)}: {why}"
    for name, limit, value, holds in _group_limits(validation):
        if not holds:
            yield f"broken: {name}: {limit}: {value}"


def markdown(validation: Validation) -> str:
    """What stands between BEGIN and END: totals, a table for each set, what is pending, what is assumed."""
    parts = ["## Totals\n", _table(_TOTALS, _total_rows(validation))]
    limits = [
        (name, limit, value, "yes" if holds else "**NO**") for name, limit, value, holds in _group_limits(validation)
    ]
    parts += ["## Limits of groups\n", _table(("targets", "limit", "found", "holds"), limits)]
    parts += [f"## Beyond a factor of {BAND:g}\n", _table(("id", "run", "factor", "why"), _beyond(validation))]
    parts.append(f"## Predictions on {validation.arch}\n")
    parts += [markdown_set(name, outcomes) for name, outcomes in validation.by_set().items()]
    if validation.pending:
        pending = [
            (item.target.id, item.target.quantity, item.target.model or "", item.reason) for item in validation.pending
        ]
        parts += ["## Not runnable yet\n", _table(("id", "quantity", "model", "why"), pending)]
    parts.append(f"## Assumed parameters of {validation.arch}\n")
    parts.append(_table(("parameter", "value", "chosen by looking at", "why this value"), _assumed_rows(validation)))
    return "\n".join(parts)


def markdown_set(name: str, outcomes: Sequence[Outcome]) -> str:
    """The table of one set."""
    header = ("id", "quantity", "run", "published", "predicted", "error", "factor", "used for", "limit", "source")
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
        _factor(outcome),
        ", ".join(f"`{path}`" if "." in path else path for path in outcome.chosen),
        _limits(outcome).replace("BROKEN", "**BROKEN**"),
        f"{target.source}" if outcome.row.derived is None else f"{target.source}, recounted",
    )


def _beyond(validation: Validation) -> list[tuple[str, ...]]:
    """Main rows outside of the band."""
    return [
        (outcome.target.id, case_of(outcome), _factor(outcome), outcome.cause or NOTHING)
        for outcome in validation.outcomes
        if outcome.row.main and not outcome.pair.near
    ]


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
