"""Every family's mapped program, executed tile by tile on all sockets, gives the numbers of its graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rdusim.graph.evaluate import evaluate
from rdusim.graph.fft_conv import flash_fft_conv
from rdusim.graph.load import load_graph, shipped_file
from rdusim.graph.types import RunShape
from tests.sim.functional_cases import DECODE, FAMILIES, ONCE, PREFILL, Case, case, chain, small, streams

SHAPES = {"prefill": PREFILL, "decode": DECODE}
ON = {"mixtral": (1, 2), "deepseek_v3": (2,), "qwen3": (4,), "qwen3_moe": (2,), "gpt_oss": (2,)}  # the others on all
ENDS = {"gpt_oss": "decoder/full.attention.mix"}  # an operator behind which a section ends
MACHINES = {1: ("toy", 2), 2: ("sn40l", 4), 4: ("sn40l", 4)}  # ways -> machine, least tiles


@pytest.mark.parametrize("phase", SHAPES)
@pytest.mark.parametrize(
    ("family", "ways"), [(family, ways) for family in FAMILIES for ways in ON.get(family, tuple(MACHINES))]
)
def test_the_mapped_program_computes_the_numbers_of_the_graph(
    family: str, phase: str, ways: int, tmp_path: Path
) -> None:
    """On `toy` a layer is several sections; on `sn40l` it is one through which tiles stream, or two where cut."""
    machine, tiles = MACHINES[ways]
    cut = (ENDS.get(family, "decoder/attention.mix"),) if ways == 2 else ()
    tried = small(family, SHAPES[phase], tmp_path, ways=ways, machine=machine, least_tiles=tiles, cut_after=cut)
    differs, counts = tried.check()
    assert differs == []
    if ways == 1:
        assert counts.sections >= 8 and counts.most_tiles > 1
    else:
        assert counts.transfers > 0
        assert phase == "decode" or counts.most_tiles >= 4


def test_keys_and_values_stream_into_attention_that_has_only_seen_what_came(tmp_path: Path) -> None:
    """One section for the layer, cut along the tokens of the prompt: kept buffers grow tile by tile."""
    tried = small("llama", PREFILL, tmp_path, machine="sn40l", least_tiles=8)
    kept = [stream for stream in streams(tried.mapping) if stream.resident and stream.tiles > 1]
    assert len(kept) == 2
    assert all(len(stream.held) < len(stream.axes) for stream in kept)
    assert tried.differs() == []


@pytest.mark.parametrize("window", [1, 3, 8])
def test_a_band_of_keys_is_cut_with_its_queries(window: int, tmp_path: Path) -> None:
    tried = small("mistral", PREFILL, tmp_path, machine="sn40l", least_tiles=8, sliding_window=window)
    assert tried.differs() == []


def test_layers_with_and_without_a_window_follow_each_other(tmp_path: Path) -> None:
    windowed = {"use_sliding_window": True, "sliding_window": 3, "num_hidden_layers": 4, "max_window_layers": 2}
    assert small("qwen2", PREFILL, tmp_path, machine="sn40l", **windowed).differs() == []


def test_a_mask_is_there_again_for_the_next_sequence(tmp_path: Path) -> None:
    """Sequences outside, tokens inside: the mask has a part for every tile of tokens and is gone through each time."""
    tried = small("llama", PREFILL, tmp_path, least_tiles=16)
    cut = [section for section in tried.mapping.program.sections if len(section.loops) == 2]
    masks = [load for section in cut for load in section.loads if load.buffer == "attention.mask"]
    assert masks
    assert all(load.prefetch >= load.tiles * load.tile_bytes for load in masks)
    assert tried.differs() == []


def test_the_arg_max_of_a_cut_vocabulary_is_the_index_in_the_whole_one(tmp_path: Path) -> None:
    """The largest value lies on the last socket, whose part is padded; padding never wins."""
    tried = small("gpt2", DECODE, tmp_path, ways=4, machine="sn40l", vocab_size=401)
    head = tried.graph.tensors["embedding/wte.weight"]
    for largest, bias in ((400, 1.0), (300, 1.0), (7, 1.0)):
        table = np.random.default_rng(1).normal(size=head.shape) * 0.01
        ran = Case(tried.graph, tried.arch, tried.mapping, {**tried.inputs, "embedding/wte.weight": table})
        hidden = evaluate(tried.graph, ran.inputs, ["head/ln_f"])["head/ln_f"]
        table[largest] = bias * hidden[0, 0]
        table[largest] *= 10.0
        assert ran.differs() == []
        assert evaluate(tried.graph, ran.inputs)["head/next_token"][0, 0] == largest


def test_negative_logits_never_lose_to_padding(tmp_path: Path) -> None:
    tried = small("gpt2", DECODE, tmp_path, ways=4, machine="sn40l", vocab_size=401)
    bias = {name: -np.abs(array) for name, array in tried.inputs.items() if name == "head/ln_f.bias"}
    table = np.abs(tried.inputs["embedding/wte.weight"])
    scale = tried.inputs["head/ln_f.weight"] * 1e-6
    ran = Case(tried.graph, tried.arch, tried.mapping, {
        **tried.inputs, **bias, "embedding/wte.weight": table, "head/ln_f.weight": scale,
    })  # fmt: skip
    assert (evaluate(tried.graph, ran.inputs, ["head/logits"])["head/logits"] < 0.0).all()
    assert ran.differs() == []


@pytest.mark.parametrize("ways", [1, 2, 4])
def test_the_toy_perceptron_computes_its_numbers(ways: int) -> None:
    assert case(load_graph("toy-mlp", ONCE), {}, ways).differs() == []


def test_a_small_monarch_fft_computes_its_numbers(tmp_path: Path) -> None:
    """A product, a scaling, a transposition folded into a buffer, a product: an eighth of the shipped one a side."""
    path = tmp_path / "monarch.yaml"
    text = shipped_file("monarch-fft").read_text().replace("1024]", "64]").replace("[1024,", "[64,")
    path.write_text(text.replace("128]", "16]").replace("[128,", "[16,"))
    tried = case(load_graph(path, ONCE), {}, machine="sn40l", least_tiles=4)
    differs, counts = tried.check()
    assert differs == [] and counts.most_tiles >= 4


def test_a_small_fft_convolution_computes_its_numbers(tmp_path: Path) -> None:
    """Gathers by index, and layouts that are folded into how buffers are read."""
    path = tmp_path / "fft.yaml"
    path.write_text(flash_fft_conv((4, 2, 4)))
    assert case(load_graph(path, ONCE), {}, machine="sn40l").differs() == []


def test_parts_meet_before_an_operator_that_needs_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "softmax.yaml"
    path.write_text(
        "schema: rdusim-graph/1\nname: softmax\n"
        "tensors:\n  x: {role: input, shape: [12, 16]}\n  w: {role: weight, shape: [16, 32]}\n"
        "  u: {role: weight, shape: [32, 16]}\n"
        "operators:\n  up:\n    do: linear x[b,k], w[k,f] -> h[b,f]\n    parallel: [f]\n"
        "  soft:\n    do: softmax h[b,f] -> s[b,f]\n    with: {axis: f}\n  down: linear s[b,f], u[f,k] -> y[b,k]\n"
    )
    tried = case(load_graph(path, ONCE), {}, ways=4, machine="sn40l", least_tiles=4)
    kinds = [stage.collective.kind for stage in tried.mapping.program.sections[0].stages if stage.collective]
    assert kinds == ["all_gather"]
    assert tried.differs() == []


@pytest.mark.parametrize("label", ["m", "n"])
def test_a_sum_is_scattered_and_read_in_parts(label: str, tmp_path: Path) -> None:
    path = tmp_path / "scattering.yaml"
    path.write_text(
        "schema: rdusim-graph/1\nname: scattering\n"
        "tensors:\n  x: {role: input, shape: [8, 16]}\n  w: {role: weight, shape: [16, 12]}\n"
        "operators:\n  up:\n    do: linear x[m,k], w[k,n] -> c[m,n]\n    parallel: [k]\n"
        f"    with: {{scatter: {label}}}\n  act: relu c[m,n] -> y[m,n]\n"
    )
    tried = case(load_graph(path, ONCE), {}, ways=4, machine="sn40l", least_tiles=2)
    kinds = [
        stage.collective.kind
        for section in tried.mapping.program.sections
        for stage in section.stages
        if stage.collective
    ]
    assert kinds == ["reduce_scatter"]
    assert tried.differs() == []


def test_an_unfused_program_goes_through_memory_and_gives_the_same_numbers(tmp_path: Path) -> None:
    shape = RunShape(phase=DECODE.phase, batch=1, query_tokens=1, context_tokens=5)
    fused = small("llama", shape, tmp_path, ways=2, machine="sn40l")
    unfused = small("llama", shape, tmp_path, ways=2, machine="sn40l", unfused=True)
    assert unfused.run().counts.sections > 5 * fused.run().counts.sections
    assert unfused.differs() == []


def test_the_chain_of_the_mutation_tests_is_right(tmp_path: Path) -> None:
    for ways in (1, 4):
        tried = chain(tmp_path, ways)
        assert tried.mapping.program.sections[0].tiles == 16
        assert any(stream.depth == 2 for stream in streams(tried.mapping))
        assert tried.differs() == []
