"""LLaVA: an image goes through its tower and projector in front of the text, and only where the prompt begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rdusim.errors import GraphError
from rdusim.graph.catalog import describe, list_models
from rdusim.graph.load import load_graph
from rdusim.graph.ops import macs
from rdusim.graph.types import OperatorGraph, Phase, Role, RunShape
from rdusim.pipeline import RunRequest, Stages
from rdusim.pipeline.model_sizes import positions, weight_bytes
from tests.graph.formulas import convolution, encoder_attention, gelu, images, layer_norm, llama_logits, of_layer
from tests.graph.tiny_models import LLAMA, LLAVA, WITH_IMAGES, Array, decode, prefill, run, weights, write

MODEL = "llava-1.5-7b"
TOWER, NORM, PROJECTOR = 303_507_456, 2 * 1024, 20_979_712  # with 24 layers; of which the norm behind them
LAYER = 4 * (1024 * 1024 + 1024) + 2 * 2 * 1024 + 2 * 1024 * 4096 + 4096 + 1024


def at(phase: Phase, queries: int, context: int, batch: int = 1) -> OperatorGraph:
    return load_graph(MODEL, RunShape(phase=phase, batch=batch, query_tokens=queries, context_tokens=context))


def shapes(graph: OperatorGraph, *names: str) -> list[tuple[int, ...]]:
    return [graph.tensors[name].shape for name in names]


def test_shapes_are_those_of_an_image_and_its_text() -> None:
    graph = at(Phase.PREFILL, 4096, 4096, batch=2)
    assert shapes(graph, "pixel_values", "input_ids", "position_ids") == [(2, 576, 588), (2, 3520), (2, 4096)]
    assert shapes(graph, "vision_embedding/class_cat", "vision/attention.scores", "vision/mlp.fc1") == [
        (2, 577, 1024), (2, 16, 577, 577), (2, 577, 4096),
    ]  # fmt: skip
    assert shapes(graph, "projector/drop_class", "projector/linear_2", "embedding/embed_tokens") == [
        (2, 576, 1024), (2, 576, 4096), (2, 3520, 4096),
    ]  # fmt: skip
    assert shapes(graph, "embedding/merge_image", "decoder/attention.scores") == [
        (2, 4096, 4096),
        (2, 32, 1, 4096, 4096),
    ]
    assert [(block.name, block.repeats) for block in graph.blocks] == [
        ("vision_embedding", 1), ("vision", 23), ("projector", 1), ("embedding", 1), ("decoder", 32), ("head", 1),
    ]  # fmt: skip
    assert graph.tokens == 2 * 4096


def test_the_tower_and_the_projector_do_the_products_of_their_layers() -> None:
    graph = at(Phase.PREFILL, 1024, 1024)
    work = {b.name: b.repeats * sum(macs(graph.by_name[name]) for name in b.operators) for b in graph.blocks}
    assert work["vision_embedding"] == 576 * 588 * 1024
    assert work["vision"] == 23 * (577 * (4 * 1024 * 1024 + 2 * 1024 * 4096) + 2 * 577 * 577 * 1024)
    assert work["projector"] == 576 * (1024 * 4096 + 4096 * 4096)


def test_a_layer_of_the_tower_has_the_kernels_of_eager_pytorch() -> None:
    """Two norms, four linears (one bias apart), scale, five copies, two products, softmax, add; two linears (one bias
    apart), three kernels of QuickGELU, add."""
    graph = at(Phase.PREFILL, 1024, 1024)
    (block,) = [block for block in graph.blocks if block.name == "vision"]
    assert len(block.operators) == 2 + 5 + 1 + 5 + 2 + 1 + 1 + 3 + 3 + 1


def test_parameters_that_a_run_never_reads_are_counted_and_not_in_its_graph() -> None:
    prefill, decode = at(Phase.PREFILL, 1024, 1024), at(Phase.DECODE, 1, 1024)
    assert prefill.parameters == decode.parameters == 7_063_427_072
    assert prefill.unread_parameters == LAYER + NORM  # the 24th layer, and the norm behind it
    assert decode.unread_parameters == TOWER + PROJECTOR
    assert decode.active_parameters == 6_738_415_616 + 2 * 64 * 4096  # Llama 2 with 64 more words
    for graph in (prefill, decode):
        held = {name: tensor for name, tensor in graph.tensors.items() if tensor.role is Role.WEIGHT}
        repeats = {name: block.repeats for block in graph.blocks for name in held if name.startswith(f"{block.name}/")}
        read = sum(tensor.elements * repeats[name] for name, tensor in held.items())
        assert read == graph.parameters - graph.unread_parameters


def test_sizes_of_the_model_are_those_of_all_its_weights_and_of_its_language_model() -> None:
    assert weight_bytes(MODEL) == describe(MODEL).weight_bytes == 2 * 7_063_427_072
    assert positions(MODEL) == 4096
    (row,) = [row for row in list_models() if row.name == MODEL]
    assert (row.supported, row.layers, row.parameters) == (True, 32, 7_063_427_072)


@pytest.mark.parametrize(("phase", "queries"), [(Phase.DECODE, 1), (Phase.DECODE, 4), (Phase.PREFILL, 100)])
def test_behind_a_past_only_the_language_model_runs(phase: Phase, queries: int, tmp_path: Path) -> None:
    graph = at(phase, queries, 1024)
    config = LLAMA | {
        "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 32, "vocab_size": 32064,
    }  # fmt: skip
    shape = RunShape(phase=phase, batch=1, query_tokens=queries, context_tokens=1024)
    assert graph.operators == load_graph(write(tmp_path, config), shape).operators


@pytest.mark.parametrize(("queries", "refused"), [(1, True), (576, True), (577, False)])
def test_a_prompt_holds_its_image_and_some_text(queries: int, refused: bool) -> None:
    if not refused:
        assert shapes(at(Phase.PREFILL, queries, queries), "input_ids") == [(1, 1)]
        return
    with pytest.raises(GraphError, match=rf"an image of 576 tokens and at least one of text, not {queries} tokens"):
        at(Phase.PREFILL, queries, queries)


def test_a_prompt_that_is_too_short_is_a_mistake_of_its_option() -> None:
    with pytest.raises(GraphError, match=r"^--input-tokens: .* \(at least 577\)$"):
        Stages(RunRequest(model=MODEL, phase="prefill", input_tokens=300)).report()


def tower(values: dict[str, Array], pixels: Array, layers: int) -> Array:
    """CLIP's tower by its formulas: a convolution of stride 2, class token and positions, layers with QuickGELU."""
    grid = convolution(values["vision_embedding/patch_embedding.weight"], pixels)
    x = np.concatenate([values["vision_embedding/class_embedding"][None], grid])
    x = x + values["vision_embedding/position_embedding.weight"]
    x = layer_norm(x, *(values[f"vision_embedding/pre_layernorm.{part}"] for part in ("weight", "bias")))
    for layer in range(layers):
        w = of_layer(values, "vision", layer)
        x = x + encoder_attention(w, layer_norm(x, w["norm_1.weight"], w["norm_1.bias"]))
        y = layer_norm(x, w["norm_2.weight"], w["norm_2.bias"]) @ w["mlp.fc1.weight"] + w["mlp.fc1.bias"]
        x = x + (y / (1 + np.exp(-1.702 * y))) @ w["mlp.fc2.weight"] + w["mlp.fc2.bias"]
    return x


@pytest.mark.parametrize("name", WITH_IMAGES)
def test_llava_equals_the_formulas_of_its_parts(name: str, tmp_path: Path) -> None:
    path, rng = write(tmp_path, WITH_IMAGES[name]), np.random.default_rng(0)
    graph, full = load_graph(path, prefill(8)), name != "llava"
    values, (pixels, patches) = weights(graph, rng), images(2, rng)
    tokens = rng.integers(0, 29, size=(2, 8))
    _, results = run(path, prefill(8), values | {"pixel_values": patches}, tokens)
    for sequence in range(2):
        x = tower(values, pixels[sequence], 3 if full else 2)[0 if full else 1 :]
        bias = (0.0, 0.0) if full else [values[f"projector/linear_{which}.bias"] for which in (1, 2)]
        x = x @ values["projector/linear_1.weight"] + bias[0]
        x = np.maximum(x, 0.0) if full else gelu(x)
        x = x @ values["projector/linear_2.weight"] + bias[1]
        text = values["embedding/embed_tokens.weight"][tokens[sequence, len(x) :]]
        logits = llama_logits(values, np.concatenate([x, text]))
        np.testing.assert_allclose(results["head/lm_head"][sequence, 0], logits, rtol=1e-5)


@pytest.mark.parametrize("name", WITH_IMAGES)
def test_tokens_after_a_prompt_with_an_image_equal_a_longer_prompt(name: str, tmp_path: Path) -> None:
    path, rng = write(tmp_path, WITH_IMAGES[name]), np.random.default_rng(1)
    tokens = rng.integers(0, 29, size=(2, 9))
    values = weights(load_graph(path, prefill(6)), rng) | {"pixel_values": images(2, rng)[1]}
    _, begun = run(path, prefill(6), values, tokens)
    _, whole = run(path, prefill(7), values, tokens)
    _, stepped = run(path, decode(7), values, tokens, begun)
    np.testing.assert_allclose(stepped["head/lm_head"], whole["head/lm_head"], rtol=1e-9, atol=1e-9)
    chunk = RunShape(phase=Phase.PREFILL, batch=2, query_tokens=3, context_tokens=9, dtype="fp32")
    _, whole = run(path, prefill(9), values, tokens)
    _, stepped = run(path, chunk, values, tokens, begun)
    np.testing.assert_allclose(stepped["head/lm_head"], whole["head/lm_head"], rtol=1e-9, atol=1e-9)


def changed(part: str, **changes: Any) -> dict[str, Any]:
    return LLAVA | {part: {key: value for key, value in (LLAVA[part] | changes).items() if value is not None}}


def test_a_nested_config_takes_the_defaults_of_its_class(tmp_path: Path) -> None:
    """CLIPVisionConfig: a feed-forward of 3072 and QuickGELU; LlamaConfig: a feed-forward of 11008, a key head each."""
    text = changed("text_config", intermediate_size=None, num_key_value_heads=None)["text_config"]
    config = changed("vision_config", intermediate_size=None) | {"text_config": text}
    graph = load_graph(write(tmp_path, config), prefill(8))
    assert graph.tensors["vision/mlp.fc1.weight"].shape == (24, 3072)
    assert graph.tensors["decoder/mlp.up_proj.weight"].shape == (32, 11008)
    assert graph.tensors["decoder/attention.k_proj.weight"].shape == (32, 4, 8)
    alias = {key: value for key, value in text.items() if key != "hidden_size"} | {"n_embd": 32}
    again = load_graph(write(tmp_path, config | {"text_config": alias}), prefill(8))
    assert again.operators == graph.operators  # a key in another spelling is no key left out


def test_all_mistakes_of_nested_configs_are_reported_with_their_places(tmp_path: Path) -> None:
    config = changed("vision_config", hidden_size=25, num_hidden_layers=2, patch_size=3)
    config |= {"text_config": LLAMA | {"hidden_size": -1}, "vision_feature_layer": -4}
    path = write(tmp_path, config)
    with pytest.raises(GraphError) as caught:
        load_graph(path, prefill(8))
    lines = path.read_text().splitlines()
    found = {problem.field: problem for problem in caught.value.problems}
    for field, said in {
        "text_config.hidden_size": "-1 is not a size",
        "vision_config.num_attention_heads": "4 does not divide hidden_size = 25",
        "vision_config.patch_size": "3 does not divide image_size = 4",
        "vision_feature_layer": "-4 is none of the 2 layers of vision_config",
    }.items():
        assert said in found[field].message
        assert f'"{field.rpartition(".")[2]}"' in lines[(found[field].line or 0) - 1]
    assert lines.index('    "hidden_size": -1,') + 1 == found["text_config.hidden_size"].line


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (LLAVA | {"text_config": LLAMA | {"model_type": "mistral"}}, 'text_config.model_type: "mistral" is not known'),
        (changed("vision_config", model_type="siglip_vision_model"), "vision_config.model_type: .* is not known"),
        (LLAVA | {"vision_config": None}, "vision_config: is missing"),
        (LLAVA | {"vision_feature_layer": [-2, -5]}, r"vision_feature_layer: \[-2, -5\] is out of range"),
        (LLAVA | {"vision_feature_select_strategy": "cls"}, '"cls" is not known'),
    ],
)
def test_what_is_not_supported_is_refused(config: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=said):
        load_graph(write(tmp_path, config), prefill(8))
