"""Published results of a Composition of Experts: one batch on an idle node, copies, and what memories hold."""

from __future__ import annotations

from rdusim.baselines.gpu.costs import GpuCosts
from rdusim.baselines.gpu.load import AS_THE_PAPER, load_gpu
from rdusim.baselines.published import Case, Row
from rdusim.baselines.published_rows import MACHINE
from rdusim.pipeline.cost_tables import Span, few_points
from rdusim.pipeline.model_sizes import weight_bytes
from rdusim.pipeline.rdu_costs import RduCosts
from rdusim.pipeline.request import RunRequest
from rdusim.pipeline.stages import Cache
from rdusim.serve.coe import CurvePoint, NodeMemory, coe_latency, footprint, latency_curve, nodes_needed
from rdusim.serve.costs import Table
from rdusim.serve.types import Expert
from rdusim.units import Bytes

_FAR = "ddr"  # what a node of GPUs takes for its host


def coe_seconds(row: Row, gpu: str, cache: Cache) -> float:
    """Router on the batch, copies of as many experts, and each (prompt, expert) pair by itself. `gpu` "": the RDU."""
    case = row.case
    assert case is not None and case.batch and case.input_tokens and case.output_tokens, "a composition's row says all"
    return coe_latency(
        _cached_table(row, gpu, cache),
        _expert(case.model),
        router=case.model,
        prompt_tokens=case.input_tokens,
        output_tokens=case.output_tokens,
        batch=case.batch,
        copies=case.batch if row.copied else 0,
        router_tokens=row.router_tokens,
    ).total


def coe_point(row: Row, gpu: str, experts: int, cache: Cache, *, always_miss: bool) -> CurvePoint:
    """The same batch with so many experts on the node: one that does not fit the nearest tier may have to be copied."""
    case = row.case
    assert case is not None and case.batch and case.input_tokens and case.output_tokens, "a composition's row says all"
    (point,) = latency_curve(
        _cached_table(row, gpu, cache),
        _expert(case.model),
        _memory(case, gpu),
        (experts,),
        router=case.model,
        prompt_tokens=case.input_tokens,
        output_tokens=case.output_tokens,
        batch=case.batch,
        router_tokens=row.router_tokens,
        always_miss=always_miss,
    )
    return point


def coe_nodes(row: Row, gpu: str, experts: int, *, all_near: bool) -> int:
    """Nodes that hold so many experts, `all_near` in the tier that they run from."""
    assert row.case is not None, "a composition's row says all"
    return nodes_needed(_memory(row.case, gpu), [_expert(row.case.model)] * experts, all_near=all_near)


def switch_seconds(row: Row, gpu: str) -> float:
    """One expert from its home to the nearest tier."""
    assert row.case is not None, "a row of a copy needs a case"
    return _costs(row.case, gpu).switch(weight_bytes(row.case.model), _FAR, "hbm")


def experts_held(row: Row) -> float:
    """By capacity of the DDR alone: the router, as one of them, and programs take little of it."""
    assert row.case is not None, "a row of a capacity needs a case"
    memory, expert = _memory(row.case, ""), _expert(row.case.model)
    return footprint(memory, [expert] * (memory.home // expert.weight_bytes + 1)).held


def nodes_near(row: Row, experts: int) -> float:
    """Nodes of GPUs with so many experts in their HBM, and on each the router."""
    assert row.against is not None, "a row of another machine's nodes says what they hold"
    expert = _expert(row.against.model)
    gpus = GpuCosts(load_gpu(row.gpu, AS_THE_PAPER), {expert.shape: expert.shape})
    memory = NodeMemory(near=gpus.capacity("hbm"), near_reserved=expert.weight_bytes)
    return nodes_needed(memory, [expert] * experts, all_near=True)


def _memory(case: Case, gpu: str) -> NodeMemory:
    """Of a whole node; the router is in the nearest tier, and programs and caches take little of it."""
    costs = _costs(case, gpu)
    near, home = costs.capacity("hbm"), costs.capacity(_FAR)
    return NodeMemory(near=near or Bytes(0), near_reserved=_expert(case.model).weight_bytes, home=home or Bytes(0))


def _cached_table(row: Row, gpu: str, cache: Cache) -> Table:
    case = row.case
    assert case is not None, "a composition's row says all"
    return cache.get(lambda: _table(case, gpu, row.router_tokens), "composition", case, gpu, row.router_tokens)


def _table(case: Case, gpu: str, router_tokens: int) -> Table:
    batch, prompt, output = case.batch or 1, case.input_tokens or 1, case.output_tokens or 1
    span = Span(
        prompts=batch,
        tokens=(prompt, prompt),
        sequences=batch if router_tokens > 1 else 1,
        contexts=(prompt + 1, prompt + max(output, router_tokens) - 1),
    )
    return few_points(_costs(case, gpu), {case.model: span}, cheap=bool(gpu))


def _costs(case: Case, gpu: str) -> RduCosts | GpuCosts:
    if not gpu:
        return _rdu(case)
    return GpuCosts(load_gpu(gpu, AS_THE_PAPER), {case.model: case.model}, gpus=case.sockets)


def _rdu(case: Case) -> RduCosts:
    request = RunRequest(model=case.model, arch=MACHINE, sockets=case.sockets)
    return RduCosts(request, {case.model: case.model}, prefill_cuts=case.cut_after)


def _expert(model: str) -> Expert:
    return Expert(name=model, shape=model, weight_bytes=weight_bytes(model))
