"""Published results against predictions: errors, broken limits, totals, and their documented JSON (docs/cli.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rdusim.baselines.agreement import BAND, Agreement, Pair, agreement
from rdusim.baselines.explanations import EXPLAINED
from rdusim.baselines.groups import GROUPS, Group
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
    def pair(self) -> Pair:
        """Ranked with rows of its set and unit."""
        return Pair(kind=f"{self.row.set} {self.target.unit}", published=self.published, predicted=self.predicted)

    @property
    def error(self) -> float | None:
        """Share by which the prediction is above the published value."""
        return self.pair.error

    @property
    def cause(self) -> str | None:
        """Why the prediction is outside of the band, where that is known and explains as much as the difference."""
        bound, cause = EXPLAINED.get(self.target.id, (0.0, ""))
        factor = self.pair.factor
        return cause if not self.pair.near and factor is not None and factor <= bound else None

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
class Judged:
    """A group of rows against its limits. `broken`: those that do not hold; `unexplained`: beyond the band, without a
    known cause."""

    group: Group
    agreement: Agreement
    broken: tuple[str, ...]
    unexplained: tuple[Outcome, ...]

    @property
    def failed(self) -> bool:
        return bool(self.broken or self.unexplained)


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What `rdusim validate` found on one machine. `complete`: sets of which every row is among the outcomes."""

    arch: str
    outcomes: tuple[Outcome, ...]
    pending: tuple[Pending, ...]
    assumed: tuple[Assumed, ...]
    complete: frozenset[str]

    @property
    def broken(self) -> tuple[Outcome, ...]:
        """Rows that break a limit of their own, or should have run and did not."""
        return tuple(outcome for outcome in self.outcomes if outcome.failed)

    @property
    def failed(self) -> bool:
        return bool(self.broken) or any(judged.failed for judged in self.groups())

    def groups(self) -> tuple[Judged, ...]:
        """Groups of which every row is here; of a part nothing is said."""
        return tuple(_judged(group, here) for group in GROUPS if (here := self._members(group)))

    def _members(self, group: Group) -> list[Outcome]:
        """All main rows of a group; none if some were not asked for."""
        if not self.complete >= (frozenset(SETS) if not group.set else {group.set}):
            return []
        main = [outcome for outcome in self.outcomes if outcome.row.main]
        of_set = [outcome for outcome in main if group.set in ("", outcome.row.set)]
        return [outcome for outcome in of_set if outcome.chosen or not group.calibrated]

    def totals(self) -> dict[str, Agreement]:
        """Of main readings: all, those that something was chosen by, and the others, which are predictions proper."""
        main = [outcome for outcome in self.outcomes if outcome.row.main]
        return {
            "all": agreed(main),
            "calibrated": agreed([outcome for outcome in main if outcome.chosen]),
            "predicted": agreed([outcome for outcome in main if not outcome.chosen]),
        }

    def totals_by_set(self) -> dict[str, Agreement]:
        """Of main readings."""
        return {
            name: agreed([outcome for outcome in outcomes if outcome.row.main])
            for name, outcomes in self.by_set().items()
        }

    def by_set(self) -> dict[str, list[Outcome]]:
        """Outcomes of each set that has some, in the order of SETS."""
        found = {name: [outcome for outcome in self.outcomes if outcome.row.set == name] for name in SETS}
        return {name: outcomes for name, outcomes in found.items() if outcomes}


def agreed(outcomes: Sequence[Outcome]) -> Agreement:
    return agreement([outcome.pair for outcome in outcomes])


def _judged(group: Group, outcomes: Sequence[Outcome]) -> Judged:
    found = agreed(outcomes)
    return Judged(
        group=group,
        agreement=found,
        broken=tuple(str(limit) for limit in group.limits if not limit.holds(found)),
        unexplained=tuple(
            outcome
            for outcome in outcomes
            if group.explained and outcome.pair.factor and not outcome.pair.near and outcome.cause is None
        ),
    )


def as_json(validation: Validation) -> Json:
    """The contract of docs/cli.md, 'The JSON of validate'."""
    return {
        "arch": validation.arch,
        "rows": [_row(outcome) for outcome in validation.outcomes],
        "totals": to_json(validation.totals()),
        "totals_by_set": to_json(validation.totals_by_set()),
        "band": BAND,
        "groups": [_group(judged) for judged in validation.groups()],
        "broken": len(validation.broken) + sum(judged.failed for judged in validation.groups()),
        "pending": [
            {"id": pending.target.id, "quantity": pending.target.quantity, "reason": pending.reason}
            for pending in validation.pending
        ],
        "assumed": to_json(validation.assumed),
    }


def _group(judged: Judged) -> Json:
    limits = judged.group.limits
    return {
        "name": judged.group.name,
        "limits": [
            {
                "limit": str(limit),
                "value": to_json(limit.value(judged.agreement)),
                "holds": str(limit) not in judged.broken,
            }
            for limit in limits
        ],
        "unexplained": to_json(sorted({outcome.target.id for outcome in judged.unexplained})),
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
        "factor": outcome.pair.factor,
        "cause": outcome.cause,
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
