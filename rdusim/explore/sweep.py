"""The verb: an experiment becomes columns of figures. What was computed before is not computed again.

Points that share a compiled program run together (explore/batches.py). Every batch is in the store before the next one
is waited for, so an interrupted sweep goes on where it was. Order and figures depend on neither jobs nor backend.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields, replace
from time import perf_counter
from typing import Final

from rdusim.errors import OptionError
from rdusim.explore.axes import Request, at
from rdusim.explore.backends import Backend, Pool, open_backend
from rdusim.explore.base import check_base
from rdusim.explore.batches import batches_of, compiled_alike
from rdusim.explore.evaluate import BOUND
from rdusim.explore.experiment import Experiment
from rdusim.explore.goals import best_point, front, goal_problems, read_goal
from rdusim.explore.identity import Identity
from rdusim.explore.space import Space, space_of
from rdusim.explore.store import Outcome, Store
from rdusim.explore.tables import columns_of, is_pattern, shown_names, usual
from rdusim.explore.worker import run_batch
from rdusim.report.sweep import Best, Front, Goal, SweepAxis, SweepResult
from rdusim.report.types import Latency, Throughput
from rdusim.sim.causes import FIXED

SERIAL: Final = 2.0  # seconds of work below which other processes take longer to start than to help

Observe = Callable[[int, int], None]  # points done, of how many


@dataclass(slots=True)
class Counts:
    """What a sweep did: different points, those that were in the store, and those that were computed."""

    points: int = 0
    found: int = 0
    computed: int = 0


def sweep(
    experiment: Experiment,
    *,
    store: Store,
    backend: Backend | None = None,
    observe: Observe = lambda done, total: None,
    counts: Counts | None = None,
) -> SweepResult:
    """The result of an experiment; `counts` is told what had to be done.

    Raises OptionError for files that cannot be read, and axes, goals or a backend that make no sense, before the work.
    A point that cannot run is no error of the sweep: its reason stands in its row.
    """
    goals = _Goals.of(experiment)
    check_base(experiment.request, [each.path for each in experiment.wanted])
    space = space_of(
        experiment.request,
        experiment.wanted,
        zipped=experiment.zipped,
        samples=experiment.samples,
        sampling=experiment.sampling,
        seed=experiment.seed,
    )
    with open_backend(backend or Backend()) as pool:
        identity = Identity()
        requests = [at(experiment.request, space.at(number)) for number in range(len(space.points))]
        keys = [identity.key(request, remap=experiment.remap) for request in requests]
        different: dict[str, Request] = {}
        for key, request in zip(keys, requests, strict=True):
            different.setdefault(key, request)
        work = _Work(
            requests=different,
            outcomes=store.get(list(different)),
            store=store,
            remap=experiment.remap,
            files=identity.files,
            observe=observe,
            counts=counts if counts is not None else Counts(),
        )
        work.begin()
        _check(goals, work, space)
        _finish(work, pool)
    return _result(experiment, space, [work.outcomes[key] for key in keys], goals)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Goals:
    """Names as asked for, read; `named`: of figures that must be there; `patterns`: that one must match."""

    objectives: tuple[Goal, ...]
    pareto: tuple[Goal, ...]
    named: tuple[tuple[str, str], ...]
    patterns: tuple[str, ...]

    @classmethod
    def of(cls, experiment: Experiment) -> _Goals:
        """Raises OptionError for goals whose sense is not known, or a front of one."""
        axes = [each.path for each in experiment.wanted]
        objectives = tuple(read_goal(text, flag="--objective", axes=axes) for text in experiment.objectives)
        pareto = tuple(read_goal(text, flag="--pareto", axes=axes) for text in experiment.pareto)
        if len(pareto) == 1:
            raise OptionError("--pareto: a front has at least two goals (--objective finds the best of one)")
        return cls(
            objectives=objectives,
            pareto=pareto,
            named=(
                *(("--objective", goal.name) for goal in objectives),
                *(("--pareto", goal.name) for goal in pareto),
                *(("--metrics", name) for name in experiment.metrics if not is_pattern(name)),
            ),
            patterns=tuple(name for name in experiment.metrics if is_pattern(name)),
        )


@dataclass(slots=True, kw_only=True)
class _Work:
    """Different points of a sweep by key, and what is known of them so far."""

    requests: dict[str, Request]
    outcomes: dict[str, Outcome]
    store: Store
    remap: bool
    files: str
    observe: Observe
    counts: Counts = field(default_factory=Counts)

    def begin(self) -> None:
        self.counts.points, self.counts.found = len(self.requests), len(self.outcomes)
        self.observe(len(self.outcomes), len(self.requests))

    def keep(self, keys: Sequence[str], outcomes: Sequence[Outcome]) -> None:
        """What a batch found: on disk first."""
        made = list(zip(keys, outcomes, strict=True))
        self.store.put(made)
        self.outcomes.update(made)
        self.counts.computed += len(made)
        self.observe(len(self.outcomes), len(self.requests))

    def run_here(self, key: str) -> float:
        """Seconds that a point takes in this process."""
        start = perf_counter()
        self.keep([key], run_batch([self.requests[key]], remap=self.remap, files=self.files))
        return perf_counter() - start

    def groups(self) -> list[list[str]]:
        """Points left to do, those together that share what is compiled."""
        found: dict[Hashable, list[str]] = {}
        for key, request in self.requests.items():
            if key not in self.outcomes:
                found.setdefault(compiled_alike(request, remap=self.remap), []).append(key)
        return list(found.values())


def _check(goals: _Goals, work: _Work, space: Space) -> None:
    """Raises OptionError for names that no result has: what names there are, one point shows."""
    if not goals.named and not goals.patterns:
        return
    done = (outcome.metrics for outcome in work.outcomes.values())
    found = next((each for each in done if each is not None), None)
    for key in work.requests:
        if found is not None:
            break
        if key not in work.outcomes:
            work.run_here(key)
            found = work.outcomes[key].metrics
    if found is None:
        return  # nothing ran, so there is nothing to choose from
    tiers = {name.split(".")[1] for name in found if name.startswith("memory.")}
    known = {
        *found,
        *(axis.path for axis in space.axes),
        *(f"latency.{each.name}" for each in fields(Latency)),
        *(f"throughput.{each.name}" for each in fields(Throughput)),
        *(f"breakdown_seconds.{cause}" for cause in (*FIXED, *tiers)),
        BOUND,
    }
    unmatched = [("--metrics", each) for each in goals.patterns if not shown_names((each,), list(known), ())]
    if problems := goal_problems((*goals.named, *unmatched), known):
        raise OptionError(*problems)


def _finish(work: _Work, pool: Pool) -> None:
    """Run what is left: here while it is short, else by the pool."""
    groups = work.groups()
    if not groups:
        return
    # The first point of a group is compiled, the second is not: the two say what batches are worth.
    largest = max(groups, key=len)
    first = work.run_here(largest[0])
    point = work.run_here(largest[1]) if len(largest) > 1 else first
    compiling = max(0.0, first - point)
    groups = work.groups()
    left = sum(map(len, groups)) * point + len(groups) * compiling
    if left < SERIAL and not pool.away:
        pool = Pool(jobs=1, settings={})  # this process
    requests, keys = list(work.requests.values()), list(work.requests)
    number = {key: index for index, key in enumerate(keys)}
    numbered = [[number[key] for key in group] for group in groups]
    batches = batches_of(numbered, point=point, compiling=compiling, jobs=pool.jobs, here=pool.here)
    with closing(pool.run(batches, requests, remap=work.remap, files=work.files)) as done:
        for batch, outcomes in done:
            work.keep([keys[index] for index in batch], outcomes)


def _result(experiment: Experiment, space: Space, outcomes: Sequence[Outcome], goals: _Goals) -> SweepResult:
    rows = [space.at(number) for number in range(len(space.points))]
    metrics = columns_of(outcomes)
    wanted = [name for _, name in goals.named]
    patterns = experiment.metrics or usual([axis.path for axis in space.axes])
    result = SweepResult(
        title=experiment.title,
        axes=tuple(SweepAxis(path=axis.path, dimension=axis.dimension) for axis in space.axes),
        points={axis.path: tuple(row[place][1].shown for row in rows) for place, axis in enumerate(space.axes)},
        texts={axis.path: tuple(row[place][1].text for row in rows) for place, axis in enumerate(space.axes)},
        metrics=metrics,
        shown=shown_names(patterns, list(metrics), wanted),
        asked=shown_names(experiment.metrics, [*metrics, *(axis.path for axis in space.axes)], ()),
        errors=tuple(outcome.error for outcome in outcomes),
    )
    return _judged(result, goals)


def _judged(result: SweepResult, goals: _Goals) -> SweepResult:
    """With the best points and the front."""
    best = tuple(Best(goal=goal, point=best_point(goal, result.column(goal.name))) for goal in goals.objectives)
    if not goals.pareto:
        return replace(result, best=best)
    columns = [result.column(goal.name) for goal in goals.pareto]
    return replace(result, best=best, front=Front(goals=goals.pareto, member=front(goals.pareto, columns)))
