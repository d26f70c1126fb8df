"""A training step as a program: what it keeps in memory, what sockets exchange, and that it computes the graph."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from rdusim.arch.load import load_arch
from rdusim.errors import MappingError
from rdusim.graph.backward import train
from rdusim.graph.evaluate import evaluate
from rdusim.graph.load import load_constants, load_graph
from rdusim.graph.ops import bytes_in, flops
from rdusim.graph.optimizer import RECOMPUTE, TrainOptions
from rdusim.graph.types import OperatorGraph, Phase, RunShape
from rdusim.mapping.map_onto import map_onto
from rdusim.mapping.types import MapOptions
from rdusim.program.lower import lower
from rdusim.program.shard import shard
from rdusim.program.types import Buffer, Fusion, LowerOptions, Parallelism, Program
from rdusim.sim.functional import execute
from rdusim.sim.functional.inputs import random_inputs
from rdusim.timing.work import SystolicWork
from tests.graph.tiny_models import TINY, write

SMALL = RunShape(phase=Phase.TRAIN, batch=2, query_tokens=6, context_tokens=6, dtype="fp32")


def llama(recompute: str = "none", tokens: int = 4096) -> OperatorGraph:
    shape = RunShape(phase=Phase.TRAIN, batch=1, query_tokens=tokens, context_tokens=tokens)
    return train(load_graph("llama-2-7b", shape), TrainOptions(recompute=recompute))


@cache
def llama_program(recompute: str = "none") -> Program:
    return lower(llama(recompute), load_arch("sn40l"))


def held(program: Program, role: str) -> int:
    return sum(buffer.size for buffer in program.buffers if buffer.role == role)


@pytest.mark.parametrize(
    ("name", "tp", "least_tiles", "fusion", "recompute"),
    [
        ("falcon-new", 2, 4, Fusion.FUSED, "none"),
        ("llama", 4, 1, Fusion.FUSED, "none"),  # fewer key heads than sockets: two hold a copy of each
        ("gpt2", 2, 4, Fusion.FUSED, "full"),
        ("falcon-alibi", 2, 1, Fusion.UNFUSED, "none"),
        ("bloom", 2, 1, Fusion.FUSED, "selective"),
    ],
)
def test_the_mapped_program_computes_the_gradients_and_the_updates_of_the_graph(
    name: str, tp: int, least_tiles: int, fusion: Fusion, recompute: str, tmp_path: Path
) -> None:
    path, arch = write(tmp_path, TINY[name] | {"vocab_size": 32}), load_arch("sn40l")
    graph = train(load_graph(path, SMALL), TrainOptions(recompute=recompute))
    inputs = random_inputs(graph, load_constants(path, SMALL), 0)
    options = LowerOptions(parallelism=Parallelism(tp=tp), least_tiles=least_tiles, fusion=fusion)
    ran = execute(map_onto(lower(graph, arch, options), arch, MapOptions()), graph, arch, inputs)
    wanted = evaluate(graph, inputs)
    assert ran.results.keys() == wanted.keys()
    for tensor, value in wanted.items():
        np.testing.assert_allclose(ran.results[tensor], value, rtol=1e-9, atol=1e-10, err_msg=tensor)


def test_sockets_reduce_each_sum_of_gradients_once() -> None:
    """Two in a layer's forward pass, two in its backward pass (Megatron-LM, figure 4), as in the paper."""
    local = shard(llama(), 8)
    reductions = Counter(
        block.name for block in local.blocks for name in block.operators if local.by_name[name].kind == "all_reduce"
    )
    assert reductions["decoder"] == reductions["decoder.backward"] == 2
    assert "decoder.optimizer" not in reductions
    assert not [operator.name for operator in local.operators if operator.kind == "all_gather"]


def test_sockets_that_cut_the_batch_reduce_every_gradient_behind_its_product() -> None:
    shape = RunShape(phase=Phase.TRAIN, batch=2, query_tokens=512, context_tokens=512)
    graph = train(load_graph("llama-3.2-1b", shape))
    program = lower(graph, load_arch("sn40l"), LowerOptions(sockets=2, parallelism=Parallelism(dp=2)))
    steps = [operator for operator in graph.operators if operator.kind == "adamw_step"]
    reduced = {
        tensor.removesuffix(".dp_reduced")
        for section in program.sections
        for stage in section.stages
        if stage.collective is not None
        for tensor in stage.made
    }
    assert {operator.inputs[0].tensor for operator in steps} <= reduced
    backward = [section for section in program.sections if section.name.startswith("decoder.backward")]
    fused = [s for s in backward if {stage.compute.value for stage in s.stages} >= {"systolic", "collective"}]
    assert fused  # the all-reduce of a gradient goes on while other gradients are computed


def test_saved_tensors_live_from_the_forward_to_the_backward_pass_once_per_layer() -> None:
    program = llama_program()
    layers = [index for index, section in enumerate(program.sections) if section.name.split(".")[0] == "decoder"]
    backward = [index for index, section in enumerate(program.sections) if section.name.startswith("decoder.backward")]
    kept: dict[str, Buffer] = {buffer.name: buffer for buffer in program.buffers if buffer.role == "saved"}
    assert kept
    for buffer in kept.values():
        assert buffer.repeats == 32
        assert buffer.first_use == layers[0]
        assert backward[0] <= buffer.last_use <= backward[-1]
        assert not buffer.resident
    assert all(buffer.resident for buffer in program.buffers if buffer.role == "optimizer")


def test_memory_holds_twelve_bytes_of_state_a_weight_and_updates_in_place() -> None:
    graph = llama()
    program = lower(graph, load_arch("sn40l"))
    weights = held(program, "weight")
    assert held(program, "gradient") == weights  # both bf16
    assert held(program, "optimizer") == 6 * weights
    assert not [buffer.name for buffer in program.buffers if buffer.name.endswith(".updated")]


def test_recomputation_trades_memory_for_work() -> None:
    stored, selective, full = (llama_program(recompute) for recompute in RECOMPUTE)
    assert held(full, "saved") < held(selective, "saved") < held(stored, "saved")
    assert stored.flops == selective.flops == full.flops  # of the model: what is done again is not counted

    def done(program: Program) -> float:
        return sum(section.flops * section.repeats for section in program.sections)

    assert done(full) > done(selective) > done(stored)


def test_state_larger_than_all_tiers_is_refused_with_its_size() -> None:
    shape = RunShape(phase=Phase.TRAIN, batch=1, query_tokens=512, context_tokens=512)
    arch = load_arch("sn40l")
    program = lower(train(load_graph("llama-3.1-405b", shape)), arch, LowerOptions(sockets=1))
    with pytest.raises(MappingError, match=r"optimizer 4\.\d+ TiB"):
        map_onto(program, arch, MapOptions())


def test_a_sparse_weight_costs_its_share_of_work_and_bytes_in_all_three_products() -> None:
    """87.5%: an eighth of the values, and a bit for every element, so 0.375 bytes instead of 2."""
    shape = RunShape(phase=Phase.TRAIN, batch=1, query_tokens=256, context_tokens=256)
    dense, sparse = (train(load_graph(name, shape)) for name in ("gpt-13b", "sparsegpt-13b"))
    layer = "decoder.backward/mlp.c_fc.gradient"
    for name in ("decoder/mlp.c_fc", f"{layer}_0", f"{layer}_weight"):
        assert flops(sparse.by_name[name]) == flops(dense.by_name[name]) / 8
    weight, gradient = "decoder/mlp.c_fc.weight", f"{layer}_weight"
    for tensor in (weight, gradient):
        assert sparse.tensors[tensor].bytes == 0.1875 * dense.tensors[tensor].bytes
    saved = dense.tensors[weight].bytes - sparse.tensors[weight].bytes
    forward = "decoder/mlp.c_fc"
    assert bytes_in(dense.by_name[forward], dense) - bytes_in(sparse.by_name[forward], sparse) == saved


def test_a_systolic_array_takes_steps_for_the_values_of_a_sparse_weight_alone() -> None:
    shape = RunShape(phase=Phase.TRAIN, batch=1, query_tokens=256, context_tokens=256)
    arch, steps = load_arch("sn40l"), []
    for name in ("gpt-13b", "sparsegpt-13b"):
        program = lower(train(load_graph(name, shape)), arch, LowerOptions(fusion=Fusion.UNFUSED))
        works = {stage.name: (stage.work, stage.tiles) for section in program.sections for stage in section.stages}
        (work,), tiles = works["decoder/mlp.c_proj"]
        assert isinstance(work, SystolicWork)
        steps.append(tiles * work.batch * work.m * work.n * work.k)
    assert steps[1] == steps[0] / 8
