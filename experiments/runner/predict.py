"""What the simulator says to each row of an experiment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Final

from rdusim.baselines.published import Case, Row
from rdusim.errors import Problem, RdusimError
from rdusim.explore.evaluate import Metric, metrics
from rdusim.pipeline import Cache, RunRequest, answer
from rdusim.pipeline.validate import predictor
from rdusim.pipeline.validate_coe import coe_nodes, coe_point
from rdusim.report.types import Report
from runner.rows import factor, request_of
from runner.types import Asked, ByExperts, Composition, Experiment, ExperimentError, Outcome, Published, Ran, said

_RUNS: Final = (
    "prefill",
    "decode",
    "generate",
    "train",
    None,
)  # phases that `rdusim run` has; others are of compositions
Observe = Callable[[str], None]


def predict(experiment: Experiment, cache: Cache, observe: Observe) -> tuple[Outcome, ...]:
    """One outcome for each row, in order; a row that cannot be run says why and does not stop the rest.

    Raises ExperimentError where the experiment asks for a figure that no report has.
    """
    simulator = _Simulator(cache)
    found = []
    for number, asked in enumerate(experiment.asked, start=1):
        observe(f"{experiment.name}, {number} of {len(experiment.asked)}: {said(asked.x)}, {asked.series}")
        try:
            found.append(simulator.outcome(asked, experiment))
        except ExperimentError:
            raise
        except RdusimError as error:
            found.append(Outcome(asked=asked, value=None, problem=error.problems[0].message))
    return tuple(found)


class _Simulator:
    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.predict_row = predictor(cache)

    def outcome(self, asked: Asked, experiment: Experiment) -> Outcome:
        match asked.ask:
            case Ran(request=request, against=against):
                report = self.report(request)
                other = self.report(against) if against is not None else None
                value = self._figure(asked, asked.ask.measure, report, experiment)
                if other is not None:
                    value = self._figure(asked, asked.ask.measure, other, experiment) / value
                return Outcome(asked=asked, value=value / factor(asked.unit), report=report, against=other)
            case Composition():
                return self._composition(asked, asked.ask)
            case Published(row=row):
                value = self.predict_row(row) / factor(asked.unit)
                if not experiment.also:
                    return Outcome(asked=asked, value=value)
                return Outcome(
                    asked=asked, value=value, report=self._of(row, row.case), against=self._of(row, row.against)
                )

    def _composition(self, asked: Asked, ask: Composition) -> Outcome:
        if ask.measure is not ByExperts.SECONDS:
            near = ask.measure is ByExperts.NODES_NEAR
            return Outcome(asked=asked, value=float(coe_nodes(ask.row, ask.row.gpu, ask.experts, all_near=near)))
        point = coe_point(ask.row, ask.row.gpu, ask.experts, self.cache, always_miss=not ask.uniform)
        if point.latency is None:
            return Outcome(asked=asked, value=None, problem=f"{ask.experts} experts do not fit one node")
        return Outcome(asked=asked, value=point.latency.total / factor(asked.unit))

    def report(self, request: RunRequest) -> Report:
        """Of runs that differ in nothing but who asks for them, one."""
        return self.cache.get(lambda: answer(request, cache=self.cache), "report", request)

    def _of(self, row: Row, case: Case | None) -> Report | None:
        if case is None or row.gpu or case.phase not in _RUNS:
            return None
        return self.report(request_of(case))

    def _figure(self, asked: Asked, name: str, report: Report, experiment: Experiment) -> float:
        value = figure(name, report)
        if isinstance(value, int | float):
            return float(value)
        near = get_close_matches(name, figures(report), n=1)
        hint = f"did you mean {near[0]}?" if near else "the names are those of `rdusim run --json`"
        problem = "is no number" if value is not None else "is no figure of this run's report"
        raise ExperimentError(
            Problem(
                message=f"{name!r} {problem}", file=str(experiment.file), line=asked.line, field="measure", hint=hint
            )
        )


def figure(name: str, report: Report) -> Metric | None:
    """A figure by its name, or the sum of several (`alone.pcu + alone.p2p`); None if the report has none of them."""
    known = figures(report)
    parts = [part.strip() for part in name.split("+")]
    if len(parts) == 1:
        return known.get(name)
    found = [value for part in parts if isinstance(value := known.get(part), int | float)]
    return sum(found) if found else None


def figures(report: Report) -> Mapping[str, Metric]:
    """As in the JSON of `rdusim run`, and further: `alone.X`, seconds that resource X needs over the run if nothing
    else holds it up; `bound`, what most of the time is given to; `bound_share`; `parallel`, how the model is cut.
    """
    found = metrics(report)
    for section in report.sections:
        for resource, seconds in section.bound_seconds.items():
            alone = found.get(f"alone.{resource}", 0.0)
            assert isinstance(alone, float)
            found[f"alone.{resource}"] = alone + section.repeats * seconds
    most = max(report.breakdown_seconds.values(), default=0.0)
    found["bound_share"] = most / report.latency.total_seconds
    ways = report.setting.parallelism.items()
    found["parallel"] = " ".join(f"{axis}={count}" for axis, count in ways if count > 1) or "tp=1"
    return found
