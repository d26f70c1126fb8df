"""Facts about lowered programs: collectives, stages, flows, sections, budgets."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from math import prod
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdusim.arch.load import load_arch
from rdusim.arch.types import Arch
from rdusim.cli import main
from rdusim.errors import LowerError, OptionError
from rdusim.graph.build import GraphBuilder
from rdusim.graph.load import load_graph
from rdusim.graph.ops import SPECS
from rdusim.graph.types import Block, Compute, OperatorGraph, Phase, Role, RunShape
from rdusim.program.cluster import Group, alone, cluster
from rdusim.program.lower import lower
from rdusim.program.shard import divisors_that_fit, shard
from rdusim.program.sketch import sketch
from rdusim.program.tile import WHOLE, cuts, find_flows
from rdusim.program.types import Fusion, LowerOptions, Parallelism, Program
from rdusim.program.width import Demand, demand, exact, rough
from rdusim.timing import pcu as pcu_timing
from rdusim.timing.work import SimdWork, SystolicWork

GOLDEN = Path(__file__).with_name("toy_mlp_lower.txt")
DECODE = RunShape(phase=Phase.DECODE, batch=1, query_tokens=1, context_tokens=4096)
PREFILL = RunShape(phase=Phase.PREFILL, batch=1, query_tokens=4096, context_tokens=4096)
UNFUSED = LowerOptions(fusion=Fusion.UNFUSED)
MODULES = LowerOptions(fusion=Fusion.MODULES)


@cache
def machine(name: str) -> Arch:
    return load_arch(name)


@cache
def graph(name: str, shape: RunShape = DECODE) -> OperatorGraph:
    return load_graph(name, shape)


@cache
def lowered(name: str, shape: RunShape = DECODE, options: LowerOptions = LowerOptions(), on: str = "sn40l") -> Program:  # noqa: B008
    return lower(graph(name, shape), machine(on), options)


def block_of(of: OperatorGraph, name: str) -> Block:
    return next(block for block in of.blocks if block.name == name)


# Sharding


def test_a_7b_decoder_layer_on_eight_sockets_has_two_all_reduces_of_its_hidden_state() -> None:
    cut = shard(graph("llama-2-7b"), 8)
    decoder = [cut.by_name[name] for name in block_of(cut, "decoder").operators]
    found = [operator for operator in decoder if SPECS[operator.kind].compute is Compute.COLLECTIVE]
    assert [(operator.kind, prod(operator.dims.values())) for operator in found] == [("all_reduce", 4096)] * 2
    makers = [cut.producer[operator.inputs[0].tensor] for operator in found]
    assert makers == ["decoder/attention.o_proj", "decoder/mlp.down_proj"]


def test_key_heads_fewer_than_sockets_are_kept_by_several() -> None:
    """Llama-2-70B: 8 key heads over 16 sockets. Each keeps one, whole; the 64 query heads are cut further."""
    full, cut = graph("llama-2-70b"), shard(graph("llama-2-70b"), 16)
    assert full.tensors["decoder/attention.k_proj.weight"].shape == (8192, 8, 128)
    assert cut.tensors["decoder/attention.k_proj.weight"].shape == (8192, 1, 128)
    assert full.tensors["decoder/attention.q_proj.weight"].shape == (8192, 8, 8, 128)
    assert cut.tensors["decoder/attention.q_proj.weight"].shape == (8192, 1, 4, 128)


def test_a_socket_runs_its_share_of_the_work() -> None:
    program = lowered("llama-2-7b")
    done = sum(section.flops * section.repeats for section in program.sections)
    assert program.flops / 8 <= done <= 1.05 * program.flops / 8  # norms are done by every socket


def test_sockets_that_do_not_divide_are_refused() -> None:
    with pytest.raises(OptionError, match="3 ways do not divide 8 sockets: choose one of 1, 2, 4, 8"):
        lower(graph("llama-2-7b"), machine("sn40l"), LowerOptions(parallelism=Parallelism(tp=3)))
    with pytest.raises(LowerError, match="tp=7 does not divide g=32"):
        lower(graph("llama-2-7b"), machine("sn40l"), LowerOptions(sockets=7, parallelism=Parallelism(tp=7)))


def test_without_a_wish_the_most_sockets_that_fit_are_used() -> None:
    assert lower(graph("llama-2-7b"), machine("sn40l"), LowerOptions(sockets=6)).parallelism == Parallelism(tp=2)


# Stages


@pytest.mark.parametrize("name", ["llama-2-7b", "llama-2-70b", "falcon-40b", "bloom-176b", "mistral-7b", "monarch-fft"])
@pytest.mark.parametrize("shape", [DECODE, PREFILL], ids=["decode", "prefill"])
@pytest.mark.parametrize("grouping", [cluster, alone])
def test_every_operator_is_in_one_stage_and_data_goes_to_later_stages(
    name: str, shape: RunShape, grouping: Callable[[OperatorGraph, Iterable[str]], tuple[Group, ...]]
) -> None:
    cut = shard(graph(name, shape), next(divisors_that_fit(graph(name, shape), 8)))
    for block in cut.blocks:
        groups = grouping(cut, block.operators)
        assert Counter(op.name for group in groups for op in group.operators) == Counter(block.operators)
        flows = find_flows(cut, [cut.by_name[name] for name in block.operators])
        for edge in sketch(cut, block, groups, flows).edges:
            assert -1 <= edge.source < edge.target
        for group in groups:
            kinds = Counter(SPECS[op.kind].compute for op in group.operators)
            assert kinds[Compute.SYSTOLIC] + kinds[Compute.COLLECTIVE] <= 1
            assert not (kinds[Compute.SYSTOLIC] + kinds[Compute.COLLECTIVE] and kinds[Compute.SIMD])


def test_stages_of_a_program_hold_the_operators_of_the_graph_once() -> None:
    for options in (LowerOptions(), UNFUSED):
        program = lowered("llama-2-7b", DECODE, options)
        made = Counter(name for section in program.sections for stage in section.stages for name in stage.operators)
        assert made == Counter(operator.name for operator in shard(graph("llama-2-7b"), 8).operators)


# Flows


def cut_extents(name: str, shape: RunShape, block: str) -> set[tuple[int, ...]]:
    """Extents of the flows along which the whole block can be cut."""
    cut = shard(graph(name, shape), 8)
    operators = [cut.by_name[name] for name in block_of(cut, block).operators]
    flows = find_flows(cut, operators)
    return {tuple(flows.extents[flow] for flow, _ in found.parts) for found in cuts(cut, flows, operators)}


def test_a_prompt_flows_token_by_token_and_a_batch_of_prompts_sequence_by_sequence() -> None:
    assert cut_extents("llama-2-7b", PREFILL, "decoder") == {(), (4096,)}
    several = RunShape(phase=Phase.PREFILL, batch=4, query_tokens=512, context_tokens=512)
    assert cut_extents("llama-2-7b", several, "decoder") == {(), (4,), (512,), (4, 512)}


def test_decode_flows_by_sequence_only() -> None:
    several = RunShape(phase=Phase.DECODE, batch=16, query_tokens=1, context_tokens=512)
    assert cut_extents("llama-2-7b", several, "decoder") == {(), (16,)}
    assert cut_extents("llama-2-7b", DECODE, "decoder") == {()}


def test_the_axis_of_a_softmax_is_never_cut() -> None:
    cut = shard(graph("llama-2-7b", PREFILL), 8)
    operators = [cut.by_name[name] for name in block_of(cut, "decoder").operators]
    flows = find_flows(cut, operators)
    (softmax,) = [operator for operator in operators if operator.kind == "softmax"]
    axis = flows.operators[softmax.name].labels[str(softmax.attributes["axis"])]
    for run in ([softmax], operators):
        assert all(axis not in dict(found.parts) for found in cuts(cut, flows, run))
    assert any(found.parts for found in cuts(cut, flows, [softmax]))


def test_monarch_flows_along_the_rows_that_both_products_keep() -> None:
    """gemm0 contracts k and gemm1 contracts j: i goes through all, and m is gemm1's own."""
    full = graph("monarch-fft")
    flows = find_flows(full, full.operators)
    first, second = flows.operators["gemm0"].labels, flows.operators["gemm1"].labels
    found = cuts(full, flows, full.operators)
    assert WHOLE in found
    assert first["i"] == second["i"] and first["j"] == second["j"]
    assert {flow for each in found for flow, _ in each.parts} == {first["i"], second["m"]}
    alone = {flow for each in cuts(full, flows, [full.by_name["gemm0"]]) for flow, _ in each.parts}
    assert alone == {first["i"], first["j"]}


# Sections


def test_a_7b_decoder_layer_is_one_section_found_by_the_search() -> None:
    program, socket = lowered("llama-2-7b"), machine("sn40l").socket
    decoder = [section for section in program.sections if section.name.startswith("decoder")]
    assert len(decoder) == 1
    assert 33 <= program.kernel_launches <= 35  # 32 layers + 1 to 3
    assert 0.80 <= max(decoder[0].pcus / socket.pcus, decoder[0].pmus / socket.pmus) <= 0.95
    assert len(lowered("llama-2-7b", DECODE, UNFUSED).sections) == len(shard(graph("llama-2-7b"), 8).operators)


def test_monarch_is_one_section_fused_and_four_unfused() -> None:
    assert len(lowered("monarch-fft").sections) == 1
    unfused = lowered("monarch-fft", DECODE, UNFUSED)
    assert [section.stages[0].operators for section in unfused.sections] == [
        ("gemm0",), ("mul",), ("transpose",), ("gemm1",),
    ]  # fmt: skip


def test_an_embedding_on_one_socket_reads_the_rows_that_it_gathers_and_not_its_table() -> None:
    program = lower(graph("llama-3.2-1b"), machine("sn40l"), LowerOptions(sockets=1))
    (load,) = (load for load in program.sections[0].loads if load.gathered)
    assert load.bytes == 2048 * 2  # one token's row of bf16


LAYER = ("input_norm", "attention.rotary", "attention.attend", "post_attention_norm")  # of more than one operator each


@pytest.mark.parametrize("shape", [DECODE, PREFILL], ids=["decode", "prefill"])
def test_a_kernel_a_module_never_spans_two_modules(shape: RunShape) -> None:
    local = shard(graph("llama-2-7b", shape), 8)
    sections = lowered("llama-2-7b", shape, MODULES).sections
    calls = []
    for section in sections:
        members = [local.by_name[name] for stage in section.stages for name in stage.operators]
        found = {operator.call for operator in members if SPECS[operator.kind].compute is not Compute.MOVE}
        assert len(found) <= 1, section.name
        calls += [call.removeprefix("decoder/") for call in found if call.startswith("decoder/")]
    assert set(LAYER) <= set(calls)
    assert calls.count("attention.attend") == 1  # scores, mask, softmax and mix are one kernel


def test_a_sum_over_sockets_is_part_of_the_layer_that_it_completes() -> None:
    sections = lowered("llama-2-7b", PREFILL, MODULES).sections
    (down,) = (section for section in sections if any("down_proj" in stage.name for stage in section.stages))
    assert [stage.compute for stage in down.stages] == [Compute.SYSTOLIC, Compute.COLLECTIVE]


@pytest.mark.parametrize("name", ["llama-2-7b", "bloom-176b", "deepseek-v3", "falcon-40b"])
def test_modules_are_between_operators_and_what_the_search_finds(name: str) -> None:
    counts = [lowered(name, DECODE, options).kernel_launches for options in (LowerOptions(), MODULES, UNFUSED)]
    assert counts == sorted(counts)
    assert len(set(counts)) == 3


def test_a_section_ends_where_the_user_says() -> None:
    program = lowered("monarch-fft", DECODE, LowerOptions(cut_after=("gemm0",)))
    assert [tuple(op for stage in section.stages for op in stage.operators) for section in program.sections] == [
        ("gemm0",),
        ("mul", "transpose", "gemm1"),
    ]
    with pytest.raises(OptionError, match=r"no operator 'gemm': did you mean 'gemm[01]'"):
        lower(graph("monarch-fft"), machine("sn40l"), LowerOptions(cut_after=("gemm",)))


@pytest.mark.parametrize("name", ["llama-2-7b", "llama-2-70b", "bloom-176b", "monarch-fft"])
def test_sections_stay_within_what_a_compiler_can_fill(name: str) -> None:
    socket = machine("sn40l").socket
    for options in (LowerOptions(), UNFUSED):
        for section in lowered(name, DECODE, options).sections:
            assert section.pcus <= socket.pcus * socket.placeable
            assert section.pmus <= socket.pmus * socket.placeable
            assert section.agcu_streams <= socket.agcus * socket.tile.agcu.streams
            for stage in section.stages:
                assert stage.sram <= stage.pmus * socket.tile.pmu.capacity


def test_what_no_section_can_hold_is_said_with_the_way_out() -> None:
    """A softmax needs its whole axis: 1 Mi elements of bf16, in 512 KiB of SRAM."""
    with pytest.raises(LowerError) as error:
        lower(wide_softmax(), machine("toy"), LowerOptions())
    said = str(error.value)
    assert "no section can hold 'x/soft': it keeps up to 2 MiB" in said
    assert "has 512 KiB of SRAM to fill" in said and "use more sockets" in said


def wide_softmax() -> OperatorGraph:
    b = GraphBuilder("wide", RunShape(phase=Phase.PREFILL, batch=1, query_tokens=1, context_tokens=1), {"i": 1 << 20})
    with b.block("x"):
        b.op("softmax", "soft", [b.input("in", "i", "bf16")], attributes={"axis": "i"}, role=Role.OUTPUT)
    return b.finish()


# Widths

works = st.lists(
    st.builds(
        SystolicWork,
        batch=st.integers(1, 4), m=st.integers(1, 64), n=st.integers(1, 512), k=st.integers(1, 512),
        dtype=st.just("bf16"),
    )
    | st.builds(
        SimdWork,
        elements=st.integers(1, 5000), operations=st.integers(1, 10), tails=st.integers(0, 3),
        passes=st.integers(1, 3),
        reduction=st.booleans(), dtype=st.just("bf16"),
    )
    | st.none(),
    min_size=1,
    max_size=8,
)  # fmt: skip


def demands_of(found: list[SystolicWork | SimdWork | None]) -> list[Demand]:
    return [demand((work,) if work else (), machine("sn40l").socket.tile.pcu) for work in found]


@given(found=works, tiles=st.integers(1, 64), pcus=st.integers(1, 500))
def test_widths_are_within_the_budget_and_their_bounds(
    found: list[SystolicWork | SimdWork | None], tiles: int, pcus: int
) -> None:
    demands = demands_of(found)
    unit = machine("sn40l").socket.tile.pcu
    widths = exact(demands, tiles, pcus, unit, lambda _: True)
    real = rough(demands, tiles, pcus)
    if sum(each.least for each in demands) > pcus:
        assert widths is None and real is None
        return
    assert widths is not None and real is not None
    assert sum(widths) <= pcus and real.sum() <= pcus * (1 + 1e-5)
    for each, width in zip(demands, widths, strict=True):
        assert each.least <= width <= max(each.least, each.most)
        if each.work and width > each.least:  # no PCU is there for nothing
            work = each.work[0]
            assert pcu_timing.interval(work, width - 1, unit) > pcu_timing.interval(work, width, unit)


@given(found=works, tiles=st.integers(1, 64), most=st.integers(1, 500))
def test_widths_respect_what_else_must_fit(found: list[SystolicWork | SimdWork | None], tiles: int, most: int) -> None:
    demands = demands_of(found)
    widths = exact(demands, tiles, 500, machine("sn40l").socket.tile.pcu, lambda tried: sum(tried) <= most)
    assert widths is None or sum(widths) <= most


# Text


def test_lowering_of_toy_mlp_reads_as_agreed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """UPDATE_GOLDEN=1 writes the text instead."""
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit):
        main(["explain", "toy-mlp", "--arch", "toy", "--after", "lower"])
    text = "\n".join(line.rstrip() for line in capsys.readouterr().out.splitlines()) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()
