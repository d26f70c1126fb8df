"""`--parallel auto`: every legal plan over the sockets, bounded from below, the promising ones simulated.

A plan's bound is the roofline of what one socket then runs: arithmetic, or bytes that it must read. Plans are simulated
in the order of their bounds, until no bound is below the best time found and a few runners-up are known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

from rdusim.errors import OptionError, Problem, RdusimError
from rdusim.graph.types import Phase, RunShape
from rdusim.pipeline.request import GENERATE, RunRequest
from rdusim.pipeline.stages import Cache, Observe, Stages
from rdusim.program.distribute import distribute
from rdusim.program.partition import layer_costs, partition
from rdusim.program.types import Parallelism
from rdusim.report.types import PlanUse, Report

AXES = tuple(axis.name for axis in fields(Parallelism))
SIMULATED = 4  # plans at least, so that the best has company
LISTED = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    ways: Parallelism
    bound: float


def best_plan(request: RunRequest, *, cache: Cache, observe: Observe) -> Report:
    """The report of the plan that takes least time, the others in `plans`. Raises OptionError where none is legal."""
    probe = Stages(replace(request, parallel=None), cache=cache)
    found: list[tuple[Report, Parallelism]] = []
    refused: list[PlanUse] = []
    looked_at: set[Parallelism] = set()
    candidates, illegal = _candidates(request, probe, cache)
    for number, candidate in enumerate(candidates):
        best = min((report.latency.total_seconds for report, _ in found), default=float("inf"))
        if candidate.bound >= best and len(found) >= SIMULATED:
            break
        looked_at.add(candidate.ways)
        observe(f"plan {number + 1} of {len(candidates)}: {_text(candidate.ways)}")
        try:
            report = Stages(_asked(request, candidate.ways), cache=cache, observe=observe).report()
        except RdusimError as error:
            refused.append(PlanUse(parallelism=_ways(candidate.ways), refused=str(error).splitlines()[0]))
            continue
        found.append((report, candidate.ways))
    if not found:
        why = "; ".join(_reasons([*refused, *illegal])[:3])
        raise OptionError(Problem(field="--parallel", message=f"no plan for {probe.sockets} sockets is legal ({why})"))
    found.sort(key=lambda pair: pair[0].latency.total_seconds)
    plans = [
        PlanUse(parallelism=_ways(ways), total_seconds=report.latency.total_seconds, bound_by=_cause(report))
        for report, ways in found
    ]
    slower = [
        PlanUse(parallelism=_ways(candidate.ways), at_least_seconds=candidate.bound)
        for candidate in candidates
        if candidate.ways not in looked_at
    ]
    note = (
        f"{len(found)} plans simulated, {len(slower)} slower by their roofline, {len(refused) + len(illegal)} refused"
    )
    best_report = found[0][0]
    listed = (*plans, *slower, *refused, *illegal)[:LISTED]
    return replace(best_report, plans=listed, notes=(*best_report.notes, note))


def plans(sockets: int) -> Iterator[Parallelism]:
    """Every product of axes that is `sockets`, tensor parallelism first."""

    def rest(left: int, axes: tuple[str, ...], chosen: dict[str, int]) -> Iterator[dict[str, int]]:
        if len(axes) == 1:
            yield chosen | {axes[0]: left}
            return
        for ways in range(left, 0, -1):
            if left % ways == 0:
                yield from rest(left // ways, axes[1:], chosen | {axes[0]: ways})

    for chosen in rest(sockets, AXES, {}):
        yield Parallelism(**chosen)


def _candidates(request: RunRequest, probe: Stages, cache: Cache) -> tuple[list[_Candidate], list[PlanUse]]:
    """Legal plans by their bound, and what is wrong with the others that the model could run."""
    found, illegal = [], []
    for ways in plans(probe.sockets):
        asked = _asked(request, ways)
        try:
            found.append(_Candidate(ways=ways, bound=_bound(Stages(asked, cache=cache))))
        except RdusimError as error:
            illegal.append(PlanUse(parallelism=_ways(ways), refused=str(error).splitlines()[0]))
    found.sort(key=lambda candidate: candidate.bound)
    return found, illegal


def _bound(stages: Stages) -> float:
    """Seconds that a plan takes at least: all micro-batches of the slowest stage, or one through all stages."""
    plan = stages.plan
    ways = plan.parallelism or Parallelism()
    shape = plan.prefill() if plan.phase == GENERATE else stages.shape()
    if stages.in_passes():
        return _bound_of_step(stages, shape)
    costs = []
    for part in partition(stages.whole(shape), ways.pp, layer_costs(stages.whole(shape), stages.arch)):
        local = distribute(part.graph, replace(ways, dp=1) if plan.training is None else ways)
        each = layer_costs(local, stages.arch)
        costs.append(sum(each[block.name] * block.repeats for block in local.blocks))
    return max(plan.micro_batches * max(costs), sum(costs))


def _bound_of_step(stages: Stages, shape: RunShape) -> float:
    """Both ways of all micro-batches and one update, of a training step, by the stage that has most of them."""
    plan, costs = stages.plan, [0.0] * stages.plan.ways.pp
    for number, chunk in enumerate(stages.chunks(shape)):
        for part, times in (
            (chunk.forward, plan.micro_batches),
            (chunk.backward, plan.micro_batches),
            (chunk.update, 1),
        ):
            if part is not None:
                each = layer_costs(part.graph, stages.arch)
                seconds = sum(each[block.name] * block.repeats for block in part.graph.blocks)
                costs[number % plan.ways.pp] += times * seconds
    return max(costs)


def _asked(request: RunRequest, ways: Parallelism) -> RunRequest:
    asked = replace(request, parallel=_text(ways))
    if ways.pp > 1:
        return asked
    accumulates = request.phase == Phase.TRAIN
    count = request.micro_batches if accumulates else None
    return replace(asked, micro_batches=count, pipeline_schedule=None, pipeline_chunks=None)


def _text(ways: Parallelism) -> str:
    return ",".join(f"{axis}={getattr(ways, axis)}" for axis in AXES if getattr(ways, axis) > 1) or "tp=1"


def _ways(ways: Parallelism) -> dict[str, int]:
    return {axis: getattr(ways, axis) for axis in AXES}


def _said(plan: PlanUse) -> str:
    return " ".join(f"{axis}={count}" for axis, count in plan.parallelism.items() if count > 1) or "tp=1"


def _reasons(plans: Sequence[PlanUse]) -> list[str]:
    """Why plans are refused, each reason once, with the plans that have it."""
    found: dict[str, list[str]] = {}
    for plan in plans:
        found.setdefault(plan.refused or "", []).append(_said(plan))
    return [
        f"{', '.join(ways[:2])}{f' and {len(ways) - 2} more' if len(ways) > 2 else ''}: {reason}"
        for reason, ways in found.items()
    ]


def _cause(report: Report) -> str:
    return next(iter(report.breakdown_seconds), "")
