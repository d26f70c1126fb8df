"""results.csv: every prediction beside what was published for it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import PurePath
from typing import Final

from rdusim.baselines.published import Case, Target, load_targets
from rdusim.baselines.published_rows import CHOSEN
from rdusim.pipeline import RunRequest
from runner.predict import figure
from runner.types import Asked, Composition, Expected, Experiment, Outcome, Published, Ran, said

_COLUMNS: Final = ("series", "reading", "role", "prediction", "unit", "expected", "error", "id", "chosen")
MAIN: Final = "main"
SENSITIVITY: Final = "sensitivity"
EFFICIENCY: Final = "efficiency"  # of a line: its figure over that of the first point, x for x
_AGAINST: Final = "against."
_SHOWN: Final = {"input_tokens": "in", "output_tokens": "out", "context_tokens": "context", "batch": "batch"}


def columns(experiment: Experiment) -> tuple[str, ...]:
    return (experiment.x, *_COLUMNS, *experiment.also, "conditions", "problem")


def table(experiment: Experiment, outcomes: Sequence[Outcome]) -> bytes:
    """A line for each outcome, in order."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns(experiment), lineterminator="\n", restval="")
    writer.writeheader()
    targets = load_targets()
    for outcome in outcomes:
        first = next((o for o in outcomes if o.asked.series == outcome.asked.series and o.value is not None), outcome)
        writer.writerow(_line(experiment, outcome, first, targets))
    return text.getvalue().encode()


def as_written(outcome: Outcome) -> Outcome:
    """With the digits that the table has, so that what is made of either is the same."""
    return replace(outcome, value=None if outcome.value is None else float(_number(outcome.value)))


def published_value(experiment: Experiment, outcome: Outcome) -> float | None:
    """What the prediction is to be compared with, in its unit. A reading may have a value of its own."""
    asked = outcome.asked
    if isinstance(asked.ask, Published) and not asked.ask.changed and asked.ask.row.derived is not None:
        return asked.ask.row.derived
    expected = experiment.published(asked)
    return expected.value if expected is not None else None


def error(experiment: Experiment, outcome: Outcome) -> float | None:
    """Relative; None where there is nothing to compare."""
    published = published_value(experiment, outcome)
    return outcome.value / published - 1.0 if outcome.value is not None and published else None


def _line(
    experiment: Experiment, outcome: Outcome, first: Outcome, targets: Mapping[str, Target]
) -> Mapping[str, object]:
    asked, expected = outcome.asked, experiment.published(outcome.asked)
    off = error(experiment, outcome)
    return {
        experiment.x: said(asked.x),
        "series": asked.series,
        "reading": asked.reading,
        "role": MAIN if asked.main else SENSITIVITY,
        "prediction": _number(outcome.value),
        "unit": asked.unit,
        "expected": _number(published_value(experiment, outcome)),
        "error": "" if off is None else f"{off:+.4f}",
        "id": expected.id if expected is not None else "",
        "chosen": _chosen(expected),
        **{column: _further(name, outcome, first) for column, name in experiment.also.items()},
        "conditions": conditions(asked),
        "problem": outcome.problem,
    }


def _chosen(expected: Expected | None) -> str:
    """Whether something was chosen by looking at the published value, so that agreement with it shows little."""
    if expected is None or not expected.id:
        return ""
    return "yes" if any(expected.id in ids for ids in CHOSEN.values()) else "no"


def _further(name: str, outcome: Outcome, first: Outcome) -> str:
    if name == EFFICIENCY:
        return _efficiency(outcome, first)
    report = outcome.against if name.startswith(_AGAINST) else outcome.report
    value = figure(name.removeprefix(_AGAINST), report) if report is not None else None
    return value if isinstance(value, str) else _number(value)


def _efficiency(outcome: Outcome, first: Outcome) -> str:
    x, start = outcome.asked.x, first.asked.x
    if outcome.value is None or first.value is None or isinstance(x, str) or isinstance(start, str):
        return ""
    return f"{outcome.value / first.value * start / x:.4f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def conditions(asked: Asked) -> str:
    """Everything that a run is asked for, without what is left to the defaults."""
    match asked.ask:
        case Ran(request=request):
            return _of_run(request, RunRequest(model=request.model))
        case Composition(row=row) | Published(row=row):
            case, model = row.case, Case(model="", sockets=0)
            parts = [_of_run(case, model)] if case is not None else []
            if row.against is not None and case is not None and row.against.fusion != case.fusion:
                parts.append(f"against {row.against.fusion}")
            parts += [f"on {row.gpu}"] if row.gpu else []
            return ", ".join(parts)


def _of_run(run: RunRequest | Case, default: RunRequest | Case) -> str:
    return ", ".join(_parts(run, default))


def _parts(run: RunRequest | Case, default: RunRequest | Case) -> Iterator[str]:
    yield PurePath(run.model).stem if run.model.endswith((".yaml", ".yml")) else run.model
    for name in (field.name for field in fields(run)):
        value = getattr(run, name)
        if name == "model" or value == getattr(default, name, None):
            continue
        if name == "cut_after":
            yield f"kernels end behind {' '.join(value)}"
        elif value is True:
            yield name.replace("_", " ")
        elif name == "sockets":
            yield f"{value} socket{'s' if value > 1 else ''}"
        else:
            yield f"{_SHOWN[name]} {value}" if name in _SHOWN else str(value)
