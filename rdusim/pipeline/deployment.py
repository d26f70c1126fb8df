"""A scenario made ready: machine and step costs, requests, experts, and what of a node's memory is whose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol, cast

from rdusim.baselines.gpu.costs import GpuCosts
from rdusim.baselines.gpu.load import FOLDER, load_gpu
from rdusim.dtypes import DType
from rdusim.errors import Problem, ServeError
from rdusim.pipeline.cost_tables import Span, few_points
from rdusim.pipeline.model_sizes import kv_bytes_per_token, least_prompt, weight_bytes
from rdusim.pipeline.rdu_costs import RduCosts
from rdusim.pipeline.request import RunRequest
from rdusim.pipeline.scenario import COE
from rdusim.pipeline.scenario_load import draw_requests
from rdusim.pipeline.scenario_options import coe_settings, experts_of, near_bytes
from rdusim.pipeline.scenario_types import Machine, Scenario
from rdusim.pipeline.step_store import StepStore, default_folder
from rdusim.report.serving import NodeUse
from rdusim.serve.coe import Grouping, NodeMemory, footprint, kv_need, nodes_needed
from rdusim.serve.costs import Table
from rdusim.serve.expert_cache import POLICIES, ExpertCache
from rdusim.serve.kv_cache import KvMemory
from rdusim.serve.types import Expert, Requests, StepCosts
from rdusim.units import Bytes, show

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Observe = Callable[[str], None]
AFFINITY: Final = "affinity"


class NodeCosts(StepCosts, Protocol):
    """Step costs of a machine, which also has memory."""

    def capacity(self, tier: str) -> Bytes | None:
        """Bytes of a tier over the whole node; None if that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """All that a run takes. `think`: of a closed loop. `region`: bytes of the nearest tier for experts.

    `least_nodes`: fewer cannot hold the experts, dispatched as they are.
    """

    scenario: Scenario
    requests: Requests
    think: NDArray[np.float64] | None
    experts: tuple[Expert, ...]
    costs: Table
    near: str
    sockets: int
    region: Bytes
    kv: KvMemory | None
    memory: NodeUse
    least_nodes: int = 1


def deploy(
    scenario: Scenario, *, seed: int | None = None, observe: Observe | None = None, any_nodes: bool = False
) -> Deployment:
    """Draw the requests, weigh the models, measure their steps. Raises an RdusimError for what cannot be.

    `any_nodes`: more nodes may be taken than the scenario has, where that is what the experts need.
    """
    machine = scenario.machine
    experts = experts_of(scenario, lambda model: weight_bytes(model, machine.dtype))
    requests, think = draw_requests(scenario, seed)
    _check_prompts(scenario, requests)
    costs, near, sockets, store = node_costs(machine, _models(scenario), observe)
    region, kv, memory, least = _memory(scenario, experts, costs, near, any_nodes)
    if any_nodes:
        scenario = replace(scenario, nodes=max(scenario.nodes, least))
    if scenario.scheduler.name == COE and kv is not None:
        _check_kv(scenario, requests, experts, kv)
    table = few_points(costs, spans(scenario, requests), cheap=is_gpu(machine))
    store.save()
    return Deployment(
        scenario=scenario,
        requests=requests,
        think=think,
        experts=experts,
        costs=table,
        near=near,
        sockets=sockets,
        region=region,
        kv=kv,
        memory=memory,
        least_nodes=least,
    )


def node_costs(
    machine: Machine, models: Mapping[str, str], observe: Observe | None = None
) -> tuple[NodeCosts, str, int, StepStore]:
    """Step costs of a node, the name of its nearest tier, how many sockets or GPUs it has, and what keeps its steps."""
    store = StepStore(default_folder())
    if is_gpu(machine):
        gpus = load_gpu(machine.arch, machine.overrides)
        found = GpuCosts(gpus, models, gpus=machine.sockets, dtype=cast("DType", machine.dtype))
        return found, "hbm", found.gpus, store
    request = RunRequest(
        model="",
        arch=machine.arch,
        sockets=machine.sockets,
        parallel=machine.parallel,
        dtype=machine.dtype,
        kernel_looping=machine.kernel_looping,
        overrides=machine.overrides,
    )
    costs = RduCosts(request, models, store=store, observe=observe)
    return costs, costs.near, costs.sockets, store


def is_gpu(machine: Machine) -> bool:
    """Whether it is a node of GPUs."""
    return machine.arch.startswith(f"{FOLDER}/")


def _models(scenario: Scenario) -> dict[str, str]:
    """Every model of the scenario under its own name."""
    router = (scenario.router.model,) if scenario.router.model is not None else ()
    return {model: model for model in (*(entry.model for entry in scenario.experts), *router)}


def spans(scenario: Scenario, requests: Requests) -> dict[str, Span]:
    """What requests ask of each model at most: of experts and of the router."""
    entry, total = scenario.scheduler, requests.prompt_tokens + requests.output_tokens
    alone = entry.name == COE and entry.grouping is Grouping.PAIRS
    least, most = int(requests.prompt_tokens.min()), int(requests.prompt_tokens.max())
    sequences = 1 if alone else max(entry.batch, *entry.batches, 1)
    contexts = least + 1, max(int(total.max()) - 1, least + 1)
    padded = entry.prompts or (least, most)
    # Pieces of prompts, and sequences that start again, are of any length.
    shortest = 1 if entry.name == "chunked" else min(padded[0], least)
    one = Span(
        prompts=sequences,
        tokens=(shortest, max(padded[-1], most)),
        sequences=sequences,
        contexts=contexts,
    )
    found = {expert.model: replace(one, least=least_prompt(expert.model)) for expert in scenario.experts}
    if (router := scenario.router.model) is not None:
        tokens = scenario.router.output_tokens
        asked = Span(
            prompts=entry.batch,
            tokens=(least, most),
            sequences=entry.batch if tokens > 1 else 1,
            contexts=(least + 1, most + max(tokens - 1, 1)),
        )
        found[router] = found[router] | asked if router in found else asked
    return found


def _memory(
    scenario: Scenario, experts: tuple[Expert, ...], costs: NodeCosts, near: str, any_nodes: bool
) -> tuple[Bytes, KvMemory | None, NodeUse, int]:
    """Bytes for experts and for KV in the nearest tier, room for all experts where they live, the least nodes."""
    dtype, entry = scenario.machine.dtype, scenario.kv
    router = weight_bytes(scenario.router.model, dtype) if scenario.router.model is not None else Bytes(0)
    capacity = costs.capacity(near)
    assert capacity is not None, "a machine knows its nearest tier"
    region, kv_near = near_bytes(scenario, capacity, router)
    kv = None
    if entry is not None:
        kv = KvMemory(
            bytes_per_token=Bytes(max(kv_bytes_per_token(each.model, dtype) for each in scenario.experts)),
            near=kv_near,
            far=entry.far,
            block_tokens=entry.block_tokens,
            admission=entry.admission,
        )
    homes = {expert.home_tier for expert in experts}
    known = [costs.capacity(home) for home in sorted(homes)]
    home = None if len(known) > 1 or known[0] is None else known[0]
    node = NodeMemory(
        near=capacity,
        near_reserved=Bytes(capacity - region),
        home=home or Bytes(0),
        home_reserved=entry.far if entry is not None else Bytes(0),
    )
    _check_sizes(scenario, experts, region)
    ExpertCache(experts, region, POLICIES[scenario.region.cache])  # refuses what does not fit beside pinned ones
    least = 1 if home is None else _least_nodes(scenario, experts, node, any_nodes)
    use = NodeUse(
        capacity_bytes=capacity,
        router_bytes=router,
        expert_bytes=region,
        kv_bytes=kv_near,
        home_bytes=sum(expert.weight_bytes for expert in experts),
        home_capacity_bytes=home,
        resident_experts=footprint(node, experts).resident,
    )
    return region, kv, use, least


def _check_sizes(scenario: Scenario, experts: tuple[Expert, ...], region: Bytes) -> None:
    """No expert is larger than the region; one problem for each entry of the list."""
    problems, first = [], 0
    for place, entry in enumerate(scenario.experts):
        size, first = experts[first].weight_bytes, first + entry.count
        if size > region:
            message = f"an expert of {show(size, 'size')} does not fit the {show(region, 'size')} that experts have"
            hint = "more sockets, less memory for router and KV, or a narrower dtype"
            field = f"experts[{place}]"
            problems.append(Problem(message=message, file=str(scenario.file), field=field, hint=hint))
    if problems:
        raise ServeError(*problems)


def _check_prompts(scenario: Scenario, requests: Requests) -> None:
    """Every model makes tokens, from prompts as long as those it can read; and none is cut where one has an image."""
    problems, shortest = [], int(requests.prompt_tokens.min())
    for model in _models(scenario):
        least = least_prompt(model)
        file, hint = str(scenario.file), f"of at least {least} tokens"
        if least == 0:
            message = f"{model} is an encoder: it makes no tokens"
            problems.append(Problem(message=message, file=file, field="experts", hint="a model with a decode step"))
        elif shortest < least:
            message = f"a prompt has {shortest} tokens, {model} reads prompts of {least} tokens or more"
            problems.append(Problem(message=message, file=file, field="lengths.prompt_tokens", hint=hint))
        elif least > 1 and scenario.scheduler.name == "chunked":
            message = f"pieces of a prompt may be short, {model} reads {least} tokens or more at once"
            problems.append(Problem(message=message, file=file, field="scheduler.name", hint="continuous"))
    if problems:
        raise ServeError(*problems)


def _check_kv(scenario: Scenario, requests: Requests, experts: tuple[Expert, ...], kv: KvMemory) -> None:
    """What a batch of the composition holds at once stays in the nearest tier: nothing is spilled or put off."""
    if (needed := kv_need(requests, experts, coe_settings(scenario))) <= kv.near:
        return
    room = show(kv.near, "size")
    message = f"the longest batch takes {show(needed, 'size')} of KV cache, the nearest tier has {room} for it"
    mib = -(-needed // 2**20)
    hint = f"near: {mib} MiB, a smaller scheduler.batch, grouping: pairs, or scheduler continuous, which lets them wait"
    raise ServeError(Problem(message=message, file=str(scenario.file), field="kv.near", hint=hint))


def _least_nodes(scenario: Scenario, experts: tuple[Expert, ...], node: NodeMemory, any_nodes: bool) -> int:
    """Nodes that hold the experts: with affinity each lives on one node, else all on every node."""
    shared = scenario.dispatcher == AFFINITY
    held = scenario.nodes if shared else 1
    if (needed := nodes_needed(node, experts)) > held and not (shared and any_nodes):
        total = show(sum(expert.weight_bytes for expert in experts), "size")
        room = show(max(node.store, node.region), "size")
        message = f"{len(experts):,} experts take {total}, a node holds {room}"
        hint = f"nodes: {needed} with dispatcher: affinity, fewer experts, or a narrower dtype"
        raise ServeError(Problem(message=message, file=str(scenario.file), field="experts", hint=hint))
    return needed if shared else 1


def with_nodes(deployment: Deployment, nodes: int) -> Deployment:
    """The same on another number of nodes."""
    return replace(deployment, scenario=replace(deployment.scenario, nodes=nodes))
