"""The table in an experiment's README.md: each prediction, what was published, and what other conditions would give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from runner.results import as_written, error, published_value
from runner.types import Experiment, Outcome, said

BEGIN: Final = "<!-- begin: made by experiments/run.py, do not edit -->"
END: Final = "<!-- end: made by experiments/run.py -->"


def refreshed(page: str, experiment: Experiment, outcomes: Sequence[Outcome]) -> str:
    """The page with its table made anew of what results.csv says; as it is, where it has no place for one."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        return page
    return f"{before}{BEGIN}\n\n{table(experiment, [as_written(outcome) for outcome in outcomes])}\n{END}{after}"


def table(experiment: Experiment, outcomes: Sequence[Outcome]) -> str:
    """Of bars every one; of lines, which have many points, those that something was published for."""
    main = [outcome for outcome in outcomes if outcome.asked.main]
    if experiment.picture.kind == "lines":
        main = [outcome for outcome in main if published_value(experiment, outcome) is not None]
    if not main:
        return f"Nothing published to compare with: {len(outcomes)} predictions are in results.csv.\n"
    other = {outcome.asked: _others(outcome, outcomes) for outcome in main}
    heads = [
        experiment.x,
        "",
        "predicted",
        "published",
        "error",
        *(["under other conditions"] if any(other.values()) else []),
    ]
    lines = [heads, ["---"] * len(heads)]
    for outcome in main:
        lines.append([*_cells(experiment, outcome), *([other[outcome.asked]] if any(other.values()) else [])])
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)


def _cells(experiment: Experiment, outcome: Outcome) -> list[str]:
    asked = outcome.asked
    published, off = published_value(experiment, outcome), error(experiment, outcome)
    expected = experiment.published(asked)
    named = f" ({expected.id})" if expected is not None and expected.id else ""
    return [
        said(asked.x),
        ", ".join(part for part in (asked.series, asked.reading) if part),
        f"no result: {outcome.problem}" if outcome.value is None else f"{outcome.value:.4g} {asked.unit}",
        "" if published is None else f"{published:.4g} {asked.unit}{named}",
        "" if off is None else f"{off:+.1%}",
    ]


def _others(outcome: Outcome, outcomes: Sequence[Outcome]) -> str:
    found = [
        f"{other.asked.reading}: {'no result' if other.value is None else f'{other.value:.4g}'}"
        for other in outcomes
        if not other.asked.main and (other.asked.x, other.asked.series) == (outcome.asked.x, outcome.asked.series)
    ]
    return "; ".join(found)
