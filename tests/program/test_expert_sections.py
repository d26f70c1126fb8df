"""Mixtures of experts as programs: what is read when, what is summed where."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from rdusim.arch.load import load_arch
from rdusim.graph.load import load_graph
from rdusim.graph.ops import flops
from rdusim.graph.types import Phase, RunShape
from rdusim.mapping.map_onto import map_onto
from rdusim.mapping.types import Mapping
from rdusim.program.lower import lower, model_flops, needed_flops
from rdusim.program.shard import shard
from rdusim.program.types import LowerOptions, Parallelism, Section
from rdusim.sim.simulate import simulate
from rdusim.sim.trace import SimulateOptions
from rdusim.timing.work import SystolicWork

DECODE = RunShape(phase=Phase.DECODE, batch=4, query_tokens=1, context_tokens=1024)
PREFILL = RunShape(phase=Phase.PREFILL, batch=1, query_tokens=4096, context_tokens=4096)
ARCH = load_arch("sn40l")


@cache
def mapped(name: str, shape: RunShape = DECODE) -> Mapping:
    options = LowerOptions(parallelism=Parallelism(tp=8))
    return map_onto(lower(load_graph(name, shape), ARCH, options), ARCH)


def layer(name: str, shape: RunShape = DECODE) -> list[Section]:
    return [section for section in mapped(name, shape).program.sections if section.name.split(".")[0] == "decoder"]


def test_a_layer_with_experts_decodes_in_one_section() -> None:
    (section,) = layer("qwen3-30b-a3b")
    assert section.repeats == 48


def test_of_the_experts_only_those_that_are_hit_are_read_after_the_router_has_chosen() -> None:
    (section,) = layer("qwen3-30b-a3b")
    hit = load_graph("qwen3-30b-a3b", DECODE).by_name["decoder/experts.route"].dims["e"]
    gathered = [load for load in section.loads if load.buffer.startswith("decoder/experts.")]
    assert len(gathered) == 3
    assert {load.bytes for load in gathered} == {2 * hit * 2048 * 768 // 8}
    assert {load.after for load in gathered} == {"decoder/experts.route"}
    assert all(load.gathered and load.contiguous == 2 * 2048 * 768 // 8 and not load.moving for load in gathered)
    assert {load.after for load in section.loads if load not in gathered} == {""}
    sizes = {buffer.name: buffer.size for buffer in mapped("qwen3-30b-a3b").program.buffers}
    assert sizes["decoder/experts.gate_proj.weight"] == 2 * 48 * 128 * 2048 * 768 // 8


def test_a_product_for_every_expert_that_is_hit() -> None:
    (section,) = layer("qwen3-30b-a3b")
    dims = load_graph("qwen3-30b-a3b", DECODE).by_name["decoder/experts.gate_proj"].dims
    (stage,) = (stage for stage in section.stages if stage.name == "decoder/experts.gate_proj")
    assert stage.work == (SystolicWork(batch=dims["e"], m=dims["t"], n=768 // 8, k=2048, dtype="bf16"),)


@pytest.mark.parametrize("engine", ["steady", "discrete"])
def test_weights_that_wait_for_the_router_cost_time(engine: str) -> None:
    mapping = mapped("mixtral-8x7b")

    def ahead(section: Section) -> Section:
        return replace(section, loads=tuple(replace(load, after="") for load in section.loads))

    program = replace(mapping.program, sections=tuple(ahead(each) for each in mapping.program.sections))
    sections = tuple(replace(each, section=ahead(each.section)) for each in mapping.sections)
    early = replace(mapping, program=program, sections=sections)
    waits, runs = (simulate(each, ARCH, SimulateOptions(engine=engine)).cycles for each in (mapping, early))
    assert runs < waits < 1.4 * runs


def test_engines_agree_on_a_step_whose_weights_wait_for_the_router() -> None:
    one, other = (
        simulate(mapped("mixtral-8x7b"), ARCH, SimulateOptions(engine=engine)).cycles
        for engine in ("steady", "discrete")
    )
    assert one == pytest.approx(other, rel=0.05)


@pytest.mark.parametrize(("name", "sums"), [("mixtral-8x7b", 2), ("deepseek-v3", 2), ("qwen3-30b-a3b", 2)])
def test_partial_sums_of_experts_and_shared_expert_are_reduced_once(name: str, sums: int) -> None:
    graph = shard(load_graph(name, DECODE), 8)
    reduced = [
        operator
        for operator in graph.operators
        if operator.kind == "all_reduce" and operator.name.startswith("decoder/")
    ]
    assert len(reduced) == sums
    hidden = load_graph(name, DECODE).by_name["decoder/experts.combine"].dims["k"]
    assert {graph.tensors[operator.outputs[0].tensor].shape for operator in reduced} == {(4, 1, hidden)}


@pytest.mark.parametrize("name", ["mixtral-8x7b", "gpt-oss-20b", "deepseek-v3"])
@pytest.mark.parametrize("shape", [DECODE, PREFILL])
def test_flops_that_a_model_needs_know_nothing_of_slots(name: str, shape: RunShape) -> None:
    """Those of the tokens: not of the busiest group's slots, nor of room for every case."""
    needed = model_flops(load_graph(name, shape))
    for other in (
        replace(shape, expert_groups=8),
        replace(shape, routing_skew=3.0, expert_groups=8),
        replace(shape, full_routing=True),
    ):
        graph = load_graph(name, other)
        assert model_flops(graph) == pytest.approx(needed, rel=1e-9)
    graph = load_graph(name, replace(shape, routing_skew=3.0, expert_groups=8))
    assert sum(b.repeats * flops(graph.by_name[each]) for b in graph.blocks for each in b.operators) > needed


def test_mixtrals_experts_need_the_products_of_two_of_them_for_each_token() -> None:
    graph = load_graph("mixtral-8x7b", replace(PREFILL, routing_skew=1.0, expert_groups=4))
    products = [operator for operator in graph.operators if operator.kind == "expert_linear"]
    tokens = PREFILL.batch * PREFILL.query_tokens
    assert [needed_flops(each) for each in products] == [2.0 * 2 * tokens * 4096 * 14336] * 3


def test_prefill_goes_through_the_experts_in_tiles_of_experts() -> None:
    sections = layer("qwen3-30b-a3b", PREFILL)
    (one,) = (section for section in sections if any(stage.name.endswith("gate_proj") for stage in section.stages))
    assert one.tiles > 1
    (load,) = (load for load in one.loads if load.buffer == "decoder/experts.gate_proj.weight")
    assert (load.tiles, load.bytes) == (one.tiles, 2 * 128 * 2048 * 768 // 8)
    assert load.after == ""
