"""`rdusim serve`: from a scenario to its report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from rdusim.errors import OptionError, Problem
from rdusim.pipeline.deployment import AFFINITY, Deployment, Observe, deploy, is_gpu, with_nodes
from rdusim.pipeline.footprint_curves import footprint_curves
from rdusim.pipeline.model_sizes import positions
from rdusim.pipeline.scenario import COE
from rdusim.pipeline.scenario_options import coe_settings, serve_options
from rdusim.pipeline.scenario_types import Scenario
from rdusim.report.serving import Asked, FootprintCurve, ServeReport, TableUse, cache_use
from rdusim.serve.coe import serve_coe
from rdusim.serve.dispatch import DISPATCHERS
from rdusim.serve.expert_cache import POLICIES, ExpertCache
from rdusim.serve.find import Found, Trial, at_rate, find_max_rate, find_min_nodes
from rdusim.serve.metrics import kept_slo, measure
from rdusim.serve.serve import serve
from rdusim.serve.slo import Slo
from rdusim.serve.types import Requests, ServeResult

MAX_RATE: Final = "max-rate"
MIN_NODES: Final = "min-nodes"
WANTED: Final = (MAX_RATE, MIN_NODES)
_MOST_NODES: Final = 64
_RANGE: Final = 1000.0  # rates from a thousandth of the scenario's to a thousand times it
_TAKE_TURNS: Final = ("continuous", "chunked")
Progress = Callable[[float], None]


def simulate_serving(
    scenario: Scenario,
    *,
    find: str | None = None,
    slo: Slo | None = None,
    footprint: Sequence[str] = (),
    seed: int | None = None,
    observe: Observe | None = None,
    progress: Progress | None = None,
) -> ServeReport:
    """Serve the scenario's requests. `slo` goes before the scenario's; `footprint`: machines to compare, if any.

    `find`: search the largest rate or the fewest nodes that keep the SLO first; the report is then of that, or where
    none keeps it, of the scenario as it is. An interrupt gives a report that is marked as partial, during
    the search of the best run so far; KeyboardInterrupt if there is none. Raises RdusimError.
    """
    slo = slo if slo is not None else scenario.slo
    _check_find(scenario, find, slo)
    deployment = deploy(scenario, seed=seed, observe=observe, any_nodes=find == MIN_NODES)
    found, requests = None, deployment.requests
    if find is not None and slo is not None:
        runs = _Runs(find, slo)
        try:
            found = _found(deployment, find, slo, observe, runs)
        except KeyboardInterrupt:
            value, best = runs.best()
            deployment = with_nodes(deployment, int(value)) if find == MIN_NODES else deployment
            return _report(deployment, replace(best, partial=True), slo, find, runs.found(), (), seed)
        if found.value is not None and find == MAX_RATE:
            requests = at_rate(requests, found.value)
        elif found.value is not None:
            deployment = with_nodes(deployment, int(found.value))
    curves = footprint_curves(deployment, footprint, observe) if footprint else ()
    if observe is not None:
        observe("serving")
    result = serve_once(deployment, requests, progress=progress)
    return _report(deployment, result, slo, find, found, curves, seed)


def serve_once(deployment: Deployment, requests: Requests, *, progress: Progress | None = None) -> ServeResult:
    """One run, by the scheduler of the composition or by another."""
    scenario, policy = deployment.scenario, POLICIES[deployment.scenario.region.cache]
    if scenario.scheduler.name != COE:
        options = replace(serve_options(scenario, deployment.kv), near=deployment.near)
        costs, experts = deployment.costs, deployment.experts
        back = [costs.switch(each.weight_bytes, each.home_tier, deployment.near) for each in experts]

        def cache() -> ExpertCache:
            made = ExpertCache(experts, deployment.region, policy, back)
            if scenario.region.warm:
                made.warm(range(len(experts)))
            return made

        return serve(requests, experts, costs, options, cache=cache, think=deployment.think, observer=progress)
    assign = DISPATCHERS[scenario.dispatcher].assign
    several = scenario.nodes > 1 and assign is not None
    return serve_coe(
        requests,
        deployment.experts,
        deployment.costs,
        capacity=deployment.region,
        policy=policy,
        settings=replace(coe_settings(scenario), near=deployment.near),
        placement=assign(requests, len(deployment.experts), scenario.nodes) if several and assign else None,
        nodes=scenario.nodes,
        progress=(lambda done, total: progress(done / total)) if progress is not None else None,
    )


class _Runs:
    """Runs of a search as they are made, so that an interrupt leaves what is known."""

    def __init__(self, find: str, slo: Slo) -> None:
        self._find, self._slo = find, slo
        self._trials: list[Trial] = []
        self._kept: tuple[float, ServeResult] | None = None
        self._last: tuple[float, ServeResult] | None = None

    def add(self, value: float, result: ServeResult) -> ServeResult:
        """One more, which is given back."""
        if result.partial:
            self._last = self._last or (value, result)
            return result
        self._last = (value, result)
        self._trials.append(Trial(value=value, share=float(kept_slo(result, self._slo).mean())))
        if self._trials[-1].share >= self._slo.share:
            kept = self._kept
            better = kept is None or (value > kept[0] if self._find == MAX_RATE else value < kept[0])
            self._kept = (value, result) if better else kept
        return result

    def best(self) -> tuple[float, ServeResult]:
        """The best value that keeps the SLO, else the last one tried; KeyboardInterrupt if there was none."""
        if (found := self._kept or self._last) is None:
            raise KeyboardInterrupt
        return found

    def found(self) -> Found:
        """What the trials say that were made."""
        what = "requests/s" if self._find == MAX_RATE else "nodes"
        value = self._kept[0] if self._kept is not None else None
        said = (
            f"{value:.4g} {what} keep the SLO, the best so far" if value is not None else "nothing kept the SLO so far"
        )
        message = f"interrupted after {len(self._trials)} trials: {said}"
        return Found(value=value, trials=tuple(self._trials), missed={}, message=message)


def _found(deployment: Deployment, find: str, slo: Slo, observe: Observe | None, runs: _Runs) -> Found:
    def said(what: str) -> None:
        if observe is not None:
            observe(f"trying {what}")

    if find == MIN_NODES:

        def on(nodes: int) -> ServeResult:
            said(f"{nodes} nodes")
            return runs.add(nodes, serve_once(with_nodes(deployment, nodes), deployment.requests))

        least = deployment.least_nodes
        return find_min_nodes(on, slo, least=least, most=max(least, _MOST_NODES))
    requests = deployment.requests
    own = (len(requests) - 1) / max(float(requests.arrival[-1] - requests.arrival[0]), 1e-9)

    def at(rate: float) -> ServeResult:
        said(f"{rate:.4g} requests/s")
        return runs.add(rate, serve_once(deployment, at_rate(requests, rate)))

    return find_max_rate(at, slo, low=own / _RANGE, high=own * _RANGE)


def _check_find(scenario: Scenario, find: str | None, slo: Slo | None) -> None:
    problems = []
    if find is not None and find not in WANTED:
        problems.append(Problem(field="--find", message=f"{find!r} is not known", hint=f"one of {', '.join(WANTED)}"))
    elif find is not None and slo is None:
        hint = "--slo ttft=2s,tpot=50ms, or 'slo:' in the scenario"
        problems.append(Problem(field="--find", message="there is no SLO to keep", hint=hint))
    if find == MAX_RATE and scenario.arrivals is not None and scenario.arrivals.process == "closed":
        message = "the rate of a closed loop follows from its clients"
        problems.append(Problem(field="--find", message=message, hint="an open loop, or --find min-nodes"))
    if find == MIN_NODES and scenario.scheduler.name == COE and DISPATCHERS[scenario.dispatcher].assign is None:
        message = f"scheduler 'coe' cannot be dispatched by load, as {scenario.dispatcher!r} does"
        problems.append(Problem(field="--find", message=message, hint="dispatcher: affinity, or hash"))
    if problems:
        raise OptionError(*problems)


def _report(
    deployment: Deployment,
    result: ServeResult,
    slo: Slo | None,
    find: str | None,
    found: Found | None,
    curves: Sequence[FootprintCurve],
    seed: int | None,
) -> ServeReport:
    scenario = deployment.scenario
    interrupted = ("interrupted: a partial result, of what had happened until then",) if result.partial else ()
    return ServeReport(
        asked=_asked(deployment, scenario.seed if seed is None else seed),
        metrics=measure(result, slo, scenario.prices),
        cache=cache_use(result),
        memory=deployment.memory,
        tables=tuple(
            TableUse(shape=name, measured=table.measured, error_inside=table.inside, error_beyond=table.beyond)
            for name, table in deployment.costs.shapes.items()
        ),
        result=result,
        slo=slo,
        prices=scenario.prices,
        wanted=find,
        found=found,
        footprint=tuple(curves),
        notes=(*interrupted, *(note for note in result.notes if not result.partial), *_notes(deployment, result)),
    )


def _notes(deployment: Deployment, result: ServeResult) -> list[str]:
    """What an answer takes for granted."""
    scenario, several = deployment.scenario, len(deployment.experts) > 1
    name, notes = scenario.scheduler.name, []
    shapes = {expert.shape for expert in deployment.experts}
    if name != COE and deployment.kv is not None and len(shapes) > 1:
        notes.append("KV of every expert is counted with the largest bytes per token among them")
    if name in _TAKE_TURNS and several:
        notes.append(
            f"scheduler {name!r}: a running batch is of one expert, others wait for their turn even if they are in"
            " near memory; a runtime that mixes them would be faster"
        )
    if scenario.nodes > 1 and scenario.dispatcher == AFFINITY and several:
        notes.append(
            "dispatcher 'affinity' knows how often each expert will be asked for, over all requests; one that has to"
            " guess needs as many nodes or more"
        )
    notes += _beyond_positions(scenario, result.served.requests)
    if is_gpu(scenario.machine) and any(entry.home == "ddr" for entry in scenario.experts):
        notes.append("home 'ddr' of a node of GPUs is the memory of its host")
    if result.occupancy.kv_far_bytes.any():
        notes.append(
            "KV cache went to the far tier, which prompts enter as soon as the near one is full; to wait instead"
            " ('kv.far: 0 B') can be faster"
        )
    return notes


def _beyond_positions(scenario: Scenario, requests: Requests) -> list[str]:
    """Models that are asked for longer sequences than they have positions for."""
    longest = int((requests.prompt_tokens + requests.output_tokens).max())
    known = {model: positions(model) for model in dict.fromkeys(entry.model for entry in scenario.experts)}
    return [
        f"model {model!r} has {most:,} positions, the longest request takes {longest:,}: its answer would be worthless"
        for model, most in known.items()
        if most is not None and longest > most
    ]


def _asked(deployment: Deployment, seed: int) -> Asked:
    scenario = deployment.scenario
    entry = scenario.scheduler
    grouping = f", {entry.grouping.value}{', overlapped copies' if entry.overlap else ''}" if entry.name == COE else ""
    return Asked(
        scenario=scenario.name,
        about=scenario.about,
        machine=scenario.machine.arch,
        sockets=deployment.sockets,
        nodes=scenario.nodes,
        scheduler=entry.name + grouping,
        batch=entry.batch,
        experts=len(deployment.experts),
        router=scenario.router.model,
        routing=scenario.router.policy,
        cache=scenario.region.cache,
        load=_load(scenario),
        seed=seed,
    )


def _load(scenario: Scenario) -> str:
    if scenario.trace is not None:
        faster = f", {scenario.trace.speed:g} times as fast" if scenario.trace.speed != 1.0 else ""
        return f"trace {scenario.trace.file.name}{faster}"
    assert scenario.arrivals is not None
    numbers = ", ".join(f"{name} {value:g}" for name, value in scenario.arrivals.numbers.items())
    return f"{scenario.arrivals.process}{f' ({numbers})' if numbers else ''}"
