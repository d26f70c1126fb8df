from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from rdusim.dtypes import DType
from rdusim.errors import GraphError
from rdusim.graph.catalog import describe, list_models
from rdusim.graph.evaluate import own
from rdusim.graph.load import load_graph
from rdusim.graph.models import FAMILIES, tables
from rdusim.graph.ops import macs
from rdusim.graph.types import Access, OperatorGraph, Phase, Role, RunShape
from tests.graph.formulas import gemma2_logits, llama_logits
from tests.graph.tiny_models import GEMMA2, LLAMA, TINY, decode, prefill, run, weights, write

# transformers 5.23 on the meta device; sparsegpt has gpt-13b's shape, nobody published a count for either.
PARAMETERS = {
    "llama-2-7b": 6_738_415_616,
    "llama-2-13b": 13_015_864_320,
    "llama-2-70b": 68_976_648_192,
    "llama-3-8b": 8_030_261_248,
    "llama-3-70b": 70_553_706_496,
    "llama-3.1-8b": 8_030_261_248,
    "llama-3.1-70b": 70_553_706_496,
    "llama-3.1-405b": 405_853_388_800,
    "llama-3.2-1b": 1_235_814_400,
    "mistral-7b": 7_241_732_096,
    "qwen2.5-7b": 7_615_616_512,
    "qwen2.5-72b": 72_706_203_648,
    "qwen3-0.6b": 596_049_920,
    "qwen3-8b": 8_190_735_360,
    "qwen3-32b": 32_762_123_264,
    "mixtral-8x7b": 46_702_792_704,
    "qwen3-30b-a3b": 30_532_122_624,
    "qwen3-235b-a22b": 235_093_634_560,
    "deepseek-v3": 671_026_419_200,
    "gpt-oss-20b": 20_914_757_184,
    "gpt-oss-120b": 116_829_156_672,
    "bloom-176b": 176_247_271_424,
    "falcon-40b": 41_303_293_952,
    "gpt2": 124_439_808,
    "gpt2-xl": 1_557_611_200,
    "llava-1.5-7b": 7_063_427_072,
    "phi-3-mini": 3_821_079_552,
    "gemma-2-9b": 9_241_705_984,
    "gemma-2-27b": 27_227_128_320,
}


def step(phase: Phase, queries: int, context: int, batch: int = 1) -> RunShape:
    return RunShape(phase=phase, batch=batch, query_tokens=queries, context_tokens=context)


def layer_operators(name: str, shape: RunShape) -> int:
    return next(len(block.operators) for block in load_graph(name, shape).blocks if block.repeats > 1)


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_those_that_transformers_builds(name: str) -> None:
    graph = load_graph(name, step(Phase.DECODE, 1, 16))
    assert graph.parameters == PARAMETERS[name]
    repeats = own(graph)
    counted = sum(
        tensor.elements * repeats.get(name, 1) for name, tensor in graph.tensors.items() if tensor.role is Role.WEIGHT
    )
    assert counted == graph.parameters - graph.unread_parameters


@pytest.mark.parametrize(
    ("name", "in_decode", "in_prefill"),
    [
        ("llama-2-7b", 64, 62),
        ("llama-3.1-8b", 66, 64),
        ("bloom-176b", 34, 32),
        ("falcon-40b", 49, 47),
        ("gpt2", 34, 32),
        ("phi-3-mini", 66, 64),
        ("gemma-2-9b", 186, 182),  # of a layer with a window and one without
    ],
)
def test_a_layer_has_the_kernels_of_eager_pytorch(name: str, in_decode: int, in_prefill: int) -> None:
    assert layer_operators(name, step(Phase.DECODE, 1, 64)) == in_decode
    assert layer_operators(name, step(Phase.PREFILL, 64, 64)) == in_prefill


def test_every_family_file_is_in_the_table() -> None:
    folder = Path(__file__).parents[2] / "rdusim/graph/models"
    shared = {"__init__", "parts", "tables", "experts", "latent", "layers", "mixed", "encoder", "vision"}
    assert {path.stem for path in folder.glob("*.py")} - shared == set(FAMILIES)


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("length", [1, 2, 6])
def test_a_decode_step_after_prefill_equals_a_longer_prefill(name: str, length: int, tmp_path: Path) -> None:
    path, rng = write(tmp_path, TINY[name]), np.random.default_rng(length)
    tokens = rng.integers(0, 29, size=(2, length + 1))
    values = weights(load_graph(path, prefill(length)), rng)
    _, whole = run(path, prefill(length + 1), values, tokens)
    _, begun = run(path, prefill(length), values, tokens)
    _, stepped = run(path, decode(length + 1), values, tokens, begun)
    np.testing.assert_allclose(stepped["head/lm_head"], whole["head/lm_head"], rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(stepped["head/next_token"], whole["head/next_token"])


@pytest.mark.parametrize("name", ["llama", "mistral", "qwen2-windowed", "gpt-oss", "deepseek-v3", "bloom"])
def test_several_new_tokens_at_once_equal_a_longer_prefill(name: str, tmp_path: Path) -> None:
    path, rng = write(tmp_path, TINY[name]), np.random.default_rng(3)
    tokens = rng.integers(0, 29, size=(2, 7))
    values = weights(load_graph(path, prefill(4)), rng)
    _, whole = run(path, prefill(7), values, tokens)
    _, begun = run(path, prefill(4), values, tokens)
    chunk = RunShape(phase=Phase.PREFILL, batch=2, query_tokens=3, context_tokens=7, dtype="fp32", full_routing=True)
    _, stepped = run(path, chunk, values, tokens, begun)
    np.testing.assert_allclose(stepped["head/lm_head"], whole["head/lm_head"], rtol=1e-9, atol=1e-9)


def test_llama_equals_the_formulas_of_its_paper(tmp_path: Path) -> None:
    path, rng = write(tmp_path, LLAMA), np.random.default_rng(0)
    tokens = rng.integers(0, 29, size=(1, 5))
    values = weights(load_graph(path, prefill(5, batch=1)), rng)
    _, results = run(path, prefill(5, batch=1), values, tokens)
    logits = llama_logits(values, values["embedding/embed_tokens.weight"][tokens[0]])
    np.testing.assert_allclose(results["head/lm_head"][0, 0], logits, rtol=1e-5)


def test_phi3_is_llama_with_its_projections_joined(tmp_path: Path) -> None:
    """Of each group the queries, the key and the value; and gate in front of up."""
    rng, tokens = np.random.default_rng(0), np.random.default_rng(1).integers(0, 29, size=(2, 6))
    apart, joined = write(tmp_path, LLAMA), tmp_path / "phi3"
    values = weights(load_graph(apart, prefill(6)), rng)
    _, wanted = run(apart, prefill(6), values, tokens)
    joined.mkdir()
    q, k, v = (values[f"decoder/attention.{kind}_proj.weight"] for kind in "qkv")
    halves = [values[f"decoder/mlp.{which}_proj.weight"] for which in ("gate", "up")]
    values["decoder/attention.qkv_proj.weight"] = np.concatenate([q, k[:, :, :, None], v[:, :, :, None]], axis=3)
    values["decoder/mlp.gate_up_proj.weight"] = np.stack(halves, axis=2)
    _, found = run(write(joined, TINY["phi3"]), prefill(6), values, tokens)
    np.testing.assert_allclose(found["head/lm_head"], wanted["head/lm_head"], rtol=1e-12)


def test_gemma2_equals_its_formulas(tmp_path: Path) -> None:
    path, rng = write(tmp_path, GEMMA2), np.random.default_rng(0)
    tokens = rng.integers(0, 29, size=(2, 6))
    values = weights(load_graph(path, prefill(6)), rng)
    results = run(path, prefill(6), values, tokens)[1]["head/softcap.mul"]
    for sequence in range(2):
        logits = gemma2_logits(values, tokens[sequence], window=3, scalar=12, caps=(2.0, 1.5))
        np.testing.assert_allclose(results[sequence, 0], logits, rtol=1e-5)
    assert np.abs(results).max() < 1.5


def test_alibi_slopes_are_those_of_the_paper() -> None:
    np.testing.assert_allclose(tables.alibi_slopes(8), [2.0 ** -(i + 1) for i in range(8)])
    np.testing.assert_allclose(tables.alibi_slopes(6), [2**-2, 2**-4, 2**-6, 2**-8, 2**-1, 2**-3])


def test_the_cache_of_a_sliding_window_stops_growing() -> None:
    near, far = (load_graph("mistral-7b", step(Phase.DECODE, 1, context)) for context in (4096, 30000))
    assert near.tensors["decoder/attention.k_past"].shape == far.tensors["decoder/attention.k_past"].shape
    long = load_graph("mistral-7b", step(Phase.PREFILL, 8192, 8192))
    scores = long.by_name["decoder/attention.scores"]
    assert scores.dims["c"] == 4096
    assert scores.attributes["banded"] == ("c",)
    assert long.tensors["decoder/attention.k_transpose"].shape[-1] == 8192


def test_macs_of_a_decode_step_are_weights_and_attention() -> None:
    graph = load_graph("llama-2-7b", step(Phase.DECODE, 1, 4096, batch=3))
    total = sum(b.repeats * sum(macs(graph.by_name[name]) for name in b.operators) for b in graph.blocks)
    not_multiplied = 32000 * 4096 + 65 * 4096  # the embedding table and the norms
    assert total == 3 * (graph.parameters - not_multiplied + 32 * 2 * 4096 * 4096)


def _dtype_of(graph: OperatorGraph, name: str) -> str:
    return graph.tensors[name].dtype


def test_the_dtype_of_the_run_is_that_of_weights_and_activations() -> None:
    dtypes: tuple[DType, ...] = ("bf16", "fp8", "int8", "fp32")
    for dtype in dtypes:
        shape = RunShape(phase=Phase.DECODE, batch=1, query_tokens=1, context_tokens=8, dtype=dtype)
        graph = load_graph("llama-2-7b", shape)
        assert _dtype_of(graph, "decoder/mlp.up_proj.weight") == dtype
        assert _dtype_of(graph, "decoder/mlp.residual") == dtype
        assert _dtype_of(graph, "decoder/attention.k_past") == dtype
        assert _dtype_of(graph, "decoder/attention.softmax") == "fp32"
    # PyTorch launches nothing for a cast to the same format.
    assert not [operator for operator in graph.operators if operator.name.endswith(("upcast", "downcast"))]


def test_operands_are_read_as_the_machine_needs_them() -> None:
    graph = load_graph("llama-3.1-8b", step(Phase.DECODE, 1, 64))
    q_proj, scores = graph.by_name["decoder/attention.q_proj"], graph.by_name["decoder/attention.scores"]
    assert [operand.access for operand in q_proj.inputs] == [Access.STREAMED, Access.RESIDENT]
    assert [operand.access for operand in scores.inputs] == [Access.STREAMED, Access.RESIDENT]
    assert graph.by_name["embedding/embed_tokens"].inputs[0].access is Access.GATHERED
    assert q_proj.parallel == ("g", "r")
    assert graph.by_name["head/lm_head"].parallel == ("v",)
    new = [name for name, tensor in graph.tensors.items() if tensor.role is Role.KV_CACHE and name in graph.producer]
    assert new == ["decoder/attention.v.heads", "decoder/attention.k_rotary.add"]


def test_training_has_no_cache_and_all_logits() -> None:
    graph = load_graph("llama-3.2-1b", step(Phase.TRAIN, 32, 32, batch=2))
    assert not [name for name, tensor in graph.tensors.items() if tensor.role is Role.KV_CACHE]
    (logits,) = (tensor for tensor in graph.tensors.values() if tensor.role is Role.OUTPUT)
    assert logits.shape == (2, 32, 128256)
    assert graph.tokens == 64


def test_a_biased_output_projection_adds_its_bias_behind_the_partial_sums() -> None:
    graph = load_graph("bloom-176b", step(Phase.DECODE, 1, 8))
    assert len(graph.by_name["decoder/attention.dense"].inputs) == 2
    assert graph.by_name["decoder/attention.dense.add_bias"].kind == "add"
    assert len(graph.by_name["decoder/attention.query_key_value"].inputs) == 3


def test_sparsity_of_weights_is_noted_on_the_layers_that_have_it() -> None:
    graph = load_graph("sparsegpt-13b", step(Phase.DECODE, 1, 8))
    sparse = [operator.name for operator in graph.operators if "sparsity" in operator.attributes]
    assert sparse == [f"decoder/{name}" for name in ("attention.c_attn", "attention.c_proj", "mlp.c_fc", "mlp.c_proj")]


def test_both_spellings_of_transformers_mean_the_same(tmp_path: Path) -> None:
    old = LLAMA | {"torch_dtype": "bfloat16", "rope_theta": 500.0, "rope_scaling": None}
    new = LLAMA | {"dtype": "bfloat16", "rope_parameters": {"rope_theta": 500.0, "rope_type": "default"}}
    first, second = (load_graph(write(tmp_path, config), decode(4)) for config in (old, new))
    assert first.operators == second.operators
    assert first.tensors == second.tensors


def test_the_list_says_what_is_supported() -> None:
    rows = {row.name: row for row in list_models()}
    assert rows["llama-2-7b"].parameters == 6_738_415_616
    assert rows["llama-2-7b"].layers == 32
    assert "supported: bert, bloom, deepseek_v3, falcon" in str(rows["gemma-3-4b"].problem)
    assert rows["gemma-3-4b"].layers == 34
    assert rows["gpt-oss-20b"].layers == 24
    assert rows["monarch-fft"].supported


def test_a_model_can_be_described() -> None:
    summary = describe("llama-2-7b")
    assert summary.weight_bytes == 2 * 6_738_415_616
    assert summary.kv_bytes_per_token == 2 * 2 * 32 * 4096
    assert summary.blocks[1] == ("decoder", 64, 32)


def test_the_largest_model_loads_in_milliseconds() -> None:
    begin = time.process_time()
    load_graph("llama-3.1-405b", step(Phase.DECODE, 1, 4096))
    assert time.process_time() - begin < 0.03


def errors(path: Path | str, shape: RunShape | None = None) -> str:
    with pytest.raises(GraphError) as caught:
        load_graph(path, shape or decode(4))
    return str(caught.value)


def test_a_config_with_many_mistakes_reports_them_all(tmp_path: Path) -> None:
    config = LLAMA | {"num_attention_heads": 5, "vocab_size": -3, "hidden_act": "swash", "tie_word_embeddings": 1}
    del config["num_hidden_layers"]
    lines = errors(write(tmp_path, config)).splitlines()
    assert len(lines) == 6
    for line in lines:
        assert line.startswith(f"{tmp_path}/config.json")
    text = "\n".join(lines)
    assert "num_hidden_layers: is missing" in text
    assert "5 does not divide hidden_size = 32" in text
    assert "2 does not divide num_attention_heads = 5" in text
    assert "config.json:7:3: vocab_size: -3 is not a size" in text
    assert '"swash" is not known' in text
    assert "1 is not a flag" in text


def test_a_truncated_config_names_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{\n  "model_type": "llama",\n  "hidden_size": 40')
    assert f"{path}:3:20: no valid JSON: Expecting ',' delimiter (the file ends too early" in errors(path)
    path.write_text('{\n  "model_type": "lla')
    assert f"{path}:2:17: no valid JSON: Unterminated string starting at (the file ends too early" in errors(path)
    path.write_text("[1, 2]")
    assert "mapping of keys" in errors(path)


def test_an_unknown_family_is_one_line_with_the_known_ones(tmp_path: Path) -> None:
    message = errors("whisper-tiny")
    assert f"'whisper' is not supported yet; supported: {', '.join(sorted(FAMILIES))}" in message
    assert "\n" not in message
    assert "model_type: is missing" in errors(write(tmp_path, {"hidden_size": 3}))


def test_an_unknown_name_suggests_the_nearest() -> None:
    assert "did you mean 'llama-3.1-8b'?" in errors("lama-3.1-8b")
    assert "did you mean 'gpt2'?" in errors("gpt-2")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 0}, "batch: 0 is not a size"),
        ({"query_tokens": 0}, "query_tokens: 0 is not a size"),
        ({"context_tokens": 0}, "context_tokens: 0 is not a size"),
        ({"query_tokens": 9}, "9 query tokens do not fit in a context of 8"),
        ({"phase": Phase.TRAIN}, "training has no cached context"),
    ],
)
def test_a_run_of_nothing_is_refused(changes: dict[str, object], message: str) -> None:
    values: dict[str, object] = {"phase": Phase.DECODE, "batch": 1, "query_tokens": 1, "context_tokens": 8, **changes}
    assert message in errors("gpt2", RunShape(**values))  # type: ignore[arg-type]


def test_learned_positions_end_somewhere_and_rotary_ones_do_not() -> None:
    assert "learned 1024 positions, the run needs 1025" in errors("gpt2", step(Phase.DECODE, 1, 1025))
    load_graph("llama-2-7b", step(Phase.DECODE, 1, 100_000))


def test_shipped_configs_are_json_mappings_with_a_model_type() -> None:
    for path in (Path(__file__).parents[2] / "graphs").glob("*/config.json"):
        assert "model_type" in json.loads(path.read_text()), path
