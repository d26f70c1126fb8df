"""Published results against predictions: errors, broken limits, totals, and their documented JSON (docs/cli.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from rdusim.baselines.published import SETS, UNITS, Row, Target
from rdusim.report.export import Json, to_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A row and what came of it, in SI units. `predicted` None: it could not be run, for the reason `problem`.

    `chosen`: parameters (and the like) that were chosen by looking at the target. `broken`: limits that do not hold.
    """

    row: Row
    target: Target
    published: float
    predicted: float | None
    problem: str | None
    chosen: tuple[str, ...]
    broken: tuple[str, ...]

    @property
    def error(self) -> float | None:
        """Share by which the prediction is above the published value."""
        return None if self.predicted is None else self.predicted / self.published - 1

    @property
    def failed(self) -> bool:
        """A limit is broken, or the main reading of a target could not be run."""
        return bool(self.broken) or (self.row.main and self.predicted is None)

    def said(self) -> tuple[str, str]:
        """Published and predicted value in the target's unit: as printed, and with four digits."""
        unit, (_, factor) = self.target.unit, UNITS[self.target.unit]
        predicted = "-" if self.predicted is None else f"{self.predicted / factor:.4g} {unit}"
        return f"{self.published / factor:.6g} {unit}", predicted


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A target that cannot be run yet, and why."""

    target: Target
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumed:
    """A parameter that nobody published. `chosen_by`: targets that were looked at; none if it was chosen without."""

    path: str
    value: str
    note: str
    chosen_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Absolute errors of some rows, as shares."""

    rows: int
    median_absolute_error: float | None
    largest_absolute_error: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What `rdusim validate` found on one machine."""

    arch: str
    outcomes: tuple[Outcome, ...]
    pending: tuple[Pending, ...]
    assumed: tuple[Assumed, ...]

    @property
    def failed(self) -> tuple[Outcome, ...]:
        return tuple(outcome for outcome in self.outcomes if outcome.failed)

    def totals(self) -> dict[str, Totals]:
        """Of main readings: all, those that something was chosen by, and the others, which are predictions proper."""
        main = [outcome for outcome in self.outcomes if outcome.row.main]
        return {
            "all": _totals(main),
            "calibrated": _totals([outcome for outcome in main if outcome.chosen]),
            "predicted": _totals([outcome for outcome in main if not outcome.chosen]),
        }

    def by_set(self) -> dict[str, list[Outcome]]:
        """Outcomes of each set that has some, in the order of SETS."""
        found = {name: [outcome for outcome in self.outcomes if outcome.row.set == name] for name in SETS}
        return {name: outcomes for name, outcomes in found.items() if outcomes}


def _totals(outcomes: Sequence[Outcome]) -> Totals:
    errors = [abs(outcome.error) for outcome in outcomes if outcome.error is not None]
    return Totals(
        rows=len(outcomes),
        median_absolute_error=median(errors) if errors else None,
        largest_absolute_error=max(errors, default=None),
    )


def as_json(validation: Validation) -> Json:
    """The contract of docs/cli.md, 'The JSON of validate'."""
    return {
        "arch": validation.arch,
        "rows": [_row(outcome) for outcome in validation.outcomes],
        "totals": to_json(validation.totals()),
        "broken": len(validation.failed),
        "pending": [
            {"id": pending.target.id, "quantity": pending.target.quantity, "reason": pending.reason}
            for pending in validation.pending
        ],
        "assumed": to_json(validation.assumed),
    }


def _row(outcome: Outcome) -> Json:
    row, target = outcome.row, outcome.target
    found: dict[str, object] = {
        "id": target.id,
        "set": row.set,
        "quantity": target.quantity,
        "reading": row.reading or None,
        "main": row.main,
        "unit": UNITS[target.unit][0],
        "published": outcome.published,
        "predicted": outcome.predicted,
        "error": outcome.error,
        "problem": outcome.problem,
        "calibrated": bool(outcome.chosen),
        "calibrated_parameters": list(outcome.chosen),
        "limits": [{"limit": str(limit), "holds": str(limit) not in outcome.broken} for limit in row.limits],
        "case": to_json(row.case),
        "against": to_json(row.against),
        "source": target.source,
        "label": "D" if row.derived is not None else target.label,
    }
    return {name: to_json(value) for name, value in found.items() if value is not None}


def case_of(outcome: Outcome) -> str:
    """What was run, in words: model, phase, lengths, and the reading where there are several."""
    case = outcome.row.case
    parts: list[str | None] = []
    if case is not None:
        phase = None if case.phase is None else f"{case.model} {case.phase}"
        lengths = (("in", case.input_tokens), ("out", case.output_tokens), ("context", case.context_tokens))
        parts = [phase or case.model, *(f"{name} {count}" for name, count in lengths if count is not None)]
    return ", ".join(part for part in (*parts, outcome.row.reading) if part)
