"""From a scenario and the sizes of its models to what serving takes: experts, bytes of the nearest tier, options."""

from __future__ import annotations

from collections.abc import Callable

from rdusim.errors import Problem, ServeError
from rdusim.pipeline.model_sizes import kv_bytes_per_token
from rdusim.pipeline.scenario_types import Scenario
from rdusim.serve.coe import CoeSettings
from rdusim.serve.kv_cache import KvMemory
from rdusim.serve.options import ServeOptions
from rdusim.serve.types import Expert
from rdusim.units import Bytes, show


def experts_of(scenario: Scenario, weight_bytes: Callable[[str], Bytes]) -> tuple[Expert, ...]:
    """Every expert of the list; its shape is its model. `weight_bytes`: of a model in the machine's dtype.

    Raises ServeError where more is mutable than there is.
    """
    sizes = {entry.model: weight_bytes(entry.model) for entry in scenario.experts if entry.weights is None}
    problems = [
        Problem(
            message=f"{show(entry.mutable, 'size')} are mutable of weights of {show(sizes[entry.model], 'size')}",
            file=str(scenario.file),
            field=f"experts[{place}].mutable",
            hint="it is a part of the weights",
        )
        for place, entry in enumerate(scenario.experts)
        if entry.weights is None and entry.mutable > sizes[entry.model]
    ]
    if problems:
        raise ServeError(*problems)
    return tuple(
        Expert(
            name=name,
            shape=entry.model,
            weight_bytes=sizes[entry.model] if entry.weights is None else entry.weights,
            mutable_bytes=entry.mutable,
            home_tier=entry.home,
            pinned=entry.pinned,
        )
        for entry in scenario.experts
        for name in entry.names()
    )


def near_bytes(scenario: Scenario, capacity: Bytes, router: Bytes) -> tuple[Bytes, Bytes]:
    """Bytes of a node's nearest tier for experts, and for KV: what is given, and of one of them what is left.

    Raises ServeError if router, experts and KV together need more than there is.
    """
    region, kv = scenario.region.size, scenario.kv.near if scenario.kv is not None else Bytes(0)
    left = capacity - router - (region or 0) - (kv or 0)
    if left < 0 or (left == 0 and (region is None or kv is None)):
        parts = {"the router": router, "experts": region, "KV": kv}
        taken = ", ".join(f"{name} {show(size, 'size')}" for name, size in parts.items() if size)
        message = f"the nearest tier has {show(capacity, 'size')}; {taken} leave nothing"
        hint = "smaller sizes in 'hbm' and 'kv', or more sockets"
        raise ServeError(Problem(message=message, file=str(scenario.file), field="hbm.experts", hint=hint))
    return Bytes(left) if region is None else region, Bytes(left) if kv is None else kv


def coe_settings(scenario: Scenario) -> CoeSettings:
    """Of the scheduler `coe`."""
    entry, kv = scenario.scheduler, {}
    if scenario.kv is not None:
        router = (scenario.router.model,) if scenario.router.model is not None else ()
        models = dict.fromkeys((*(each.model for each in scenario.experts), *router))
        kv = {model: kv_bytes_per_token(model, scenario.machine.dtype) for model in models}
    return CoeSettings(
        batch=entry.batch,
        grouping=entry.grouping,
        overlap=entry.overlap,
        router=scenario.router.model,
        router_tokens=scenario.router.output_tokens,
        patience=entry.patience,
        warm=scenario.region.warm,
        network=scenario.network,
        kv_per_token=kv,
    )


def serve_options(scenario: Scenario, kv: KvMemory | None) -> ServeOptions:
    """Of the other schedulers."""
    entry = scenario.scheduler
    return ServeOptions(
        scheduler=entry.name,
        dispatcher=scenario.dispatcher,
        nodes=scenario.nodes,
        max_batch=entry.batch,
        decode_first=entry.decode_first,
        prefill_tokens=entry.prefill_tokens,
        chunk_tokens=entry.chunk_tokens,
        batches=entry.batches,
        prompts=entry.prompts,
        timeout=entry.timeout,
        patience=entry.patience,
        kv=kv,
        router=scenario.router.model,
        network=scenario.network,
    )
