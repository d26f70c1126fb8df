"""What moves a figure, and how far: one field of the machine at a time, down and up. Made by explore/sensitivity.py."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log
from typing import Final

from rdusim.report.export import Json, to_json
from rdusim.report.types import Setting

LEAST: Final = 0.001  # of the figure: what moves it by less has no bar
COLUMNS: Final = (
    "headline", "metric", "base", "parameter", "value", "assumed", "compiled_again", "low", "high", "metric_low",
    "metric_high", "swing", "swing_share", "elasticity", "problem",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """A parameter at one end of its range, as written and in SI units, and the figure there."""

    text: str
    value: float
    metric: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Influence:
    """One field of the machine. `text`: its value as written; `note`: the source, or `assumed` and why.

    `ranged`: the ends are a range of doubt that was given. `compiled_again`: another value is another program. An end
    that could not be run is None, and `problem` says why.
    """

    path: str
    text: str
    value: float
    note: str
    base: float
    low: End | None = None
    high: End | None = None
    ranged: bool = False
    compiled_again: bool = False
    problem: str | None = None

    @property
    def assumed(self) -> bool:
        return self.note.startswith("assumed")

    @property
    def swing(self) -> float:
        """The largest less the smallest figure, that of the machine as it is included."""
        seen = [self.base, *(end.metric for end in (self.low, self.high) if end is not None)]
        return max(seen) - min(seen)

    @property
    def elasticity(self) -> float | None:
        """d ln(figure) / d ln(value) between the ends: percent of the one for a percent of the other."""
        middle = End(text=self.text, value=self.value, metric=self.base)
        low, high = self.low or middle, self.high or middle
        numbers = (low.value, high.value, low.metric, high.metric)
        if min(numbers) <= 0.0 or low.value == high.value:
            return None
        return log(high.metric / low.metric) / log(high.value / low.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """A figure at `base`, and what every parameter does to it, the largest swing first.

    `by`: the share of its value that a parameter is moved by. `refused`: fields of which no other value could be run.
    `remapped`: programs were compiled for every machine, not only where the structure of the machine changes. Where
    they were not, `again` is the rate that moves the figure most, compiled for its values: what a compiler that knows
    them makes of it.
    """

    name: str
    setting: Setting
    metric: str
    base: float
    by: float
    remapped: bool
    parameters: tuple[Influence, ...]
    refused: tuple[Influence, ...] = ()
    again: Influence | None = None

    def shown(self) -> tuple[Influence, ...]:
        """Those with a bar."""
        return tuple(each for each in self.parameters if each.swing > LEAST * abs(self.base))


def as_json(found: Sensitivity) -> dict[str, Json]:
    """The contract of docs/cli.md."""
    return {
        "name": found.name,
        "metric": found.metric,
        "base": found.base,
        "by": found.by,
        "remapped": found.remapped,
        "setting": to_json(found.setting),
        "parameters": [_json(each, found.base) for each in found.parameters],
        **({} if found.again is None else {"largest_rate_remapped": _json(found.again, found.base)}),
        "refused": [
            {"path": each.path, "value": each.text, "assumed": each.assumed, "problem": each.problem}
            for each in found.refused
        ],
    }


def _json(each: Influence, base: float) -> dict[str, Json]:
    values: dict[str, Json] = {
        "path": each.path,
        "value": each.text,
        "assumed": each.assumed,
        "ranged": each.ranged,
        "compiled_again": each.compiled_again,
        "swing": each.swing,
        "swing_share": each.swing / abs(base) if base else None,
        "elasticity": each.elasticity,
        "low": to_json(each.low),
        "high": to_json(each.high),
        "problem": each.problem,
        "note": each.note,
    }
    return {key: value for key, value in values.items() if value is not None}


def compiled_anew(found: Sensitivity) -> str:
    """In words, what becomes of the largest rate when the compiler knows its values; nothing if none was kept."""
    kept = next((each for each in found.parameters if not each.compiled_again), None)
    if found.remapped or kept is None:
        return ""
    told = "the program is kept for bandwidths, latencies and costs; with --remap the compiler chooses again"
    if found.again is None or found.again.low is found.again.high is None:
        return told
    ends = [(name, end) for name, end in (("low", found.again.low), ("high", found.again.high)) if end is not None]
    changes = [f"{_percent(end.metric, found.base)} at {name}" for name, end in ends]
    elasticity = found.again.elasticity
    return f"{told}: {found.again.path} then has {', '.join(changes)}" + (
        "" if elasticity is None else f", elasticity {elasticity:+.2f}"
    )


def _percent(metric: float, base: float) -> str:
    return f"{100.0 * (metric - base) / abs(base):+.1f}%" if base else f"{metric:+.3g}"


def table(found: Sequence[Sensitivity]) -> bytes:
    """All parameters of all headlines as CSV, those that could not be varied at the end of each."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for each in found:
        writer.writerows(_row(each, parameter) for parameter in (*each.parameters, *each.refused))
    return text.getvalue().encode()


def _row(found: Sensitivity, each: Influence) -> Iterator[str]:
    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.6g}"

    def flag(value: bool) -> str:
        return "yes" if value else ""

    yield from (found.name, found.metric, number(found.base), each.path, each.text)
    yield from (flag(each.assumed), flag(each.compiled_again))
    yield from ("" if end is None else end.text for end in (each.low, each.high))
    yield from (number(None if end is None else end.metric) for end in (each.low, each.high))
    varied = each.low is not None or each.high is not None
    yield number(each.swing if varied else None)
    yield number(each.swing / abs(found.base) if varied and found.base else None)
    yield number(each.elasticity if varied else None)
    yield each.problem or ""
