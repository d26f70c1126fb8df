"""ViT and BERT: every token sees every other, nothing is cached, and there is no decode step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rdusim.errors import GraphError, OptionError
from rdusim.graph.catalog import describe
from rdusim.graph.evaluate import evaluate
from rdusim.graph.load import load_constants, load_graph
from rdusim.graph.types import OperatorGraph, Phase, Role, RunShape
from rdusim.pipeline import RunRequest, Stages
from rdusim.pipeline.model_sizes import kv_bytes_per_token, positions, weight_bytes
from tests.graph.formulas import convolution, encoder_attention, gelu, images, layer_norm, of_layer
from tests.graph.tiny_models import ENCODERS, Array, decode, prefill, weights, write

# transformers 5.23 on the meta device
PARAMETERS = {"bert-base": 109_514_298, "bert-large": 335_174_458, "vit-base": 86_567_656}


def at(model: str, tokens: int, phase: Phase = Phase.PREFILL, batch: int = 2) -> OperatorGraph:
    return load_graph(model, RunShape(phase=phase, batch=batch, query_tokens=tokens, context_tokens=tokens))


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_those_that_transformers_builds(name: str) -> None:
    assert describe(name).parameters == PARAMETERS[name]
    assert weight_bytes(name) == describe(name).weight_bytes == 2 * PARAMETERS[name]
    assert kv_bytes_per_token(name) == describe(name).kv_bytes_per_token == 0


def test_shapes_are_those_of_the_papers() -> None:
    vit, bert = at("vit-base", 197), at("bert-large", 384)
    shape = {name: vit.tensors[name].shape for name in ("pixel_values", "encoder/attention.scores", "head/classifier")}
    assert list(shape.values()) == [(2, 196, 768), (2, 12, 197, 197), (2, 1, 1000)]
    shape = {name: bert.tensors[name].shape for name in ("embedding/norm", "encoder/mlp.fc1", "head/decoder")}
    assert list(shape.values()) == [(2, 384, 1024), (2, 384, 4096), (2, 384, 30522)]
    for graph in (vit, bert):
        assert not [name for name, tensor in graph.tensors.items() if tensor.role is Role.KV_CACHE]
        assert [tensor.role for tensor in graph.tensors.values()].count(Role.OUTPUT) == 1
    assert [(block.name, block.repeats) for block in bert.blocks] == [("embedding", 1), ("encoder", 24), ("head", 1)]


def test_macs_of_a_text_are_weights_and_attention() -> None:
    tokens, layers, hidden = 512, 24, 1024
    per_token = layers * 12 * hidden * hidden + hidden * hidden + 30522 * hidden + 2 * layers * tokens * hidden
    assert describe("bert-large").macs_per_token == per_token


def evaluated(path: Path, tokens: int, inputs: dict[str, Array]) -> Array:
    graph = load_graph(path, prefill(tokens))
    results = evaluate(graph, inputs | load_constants(path, prefill(tokens)))
    return results[graph.operators[-1].outputs[0].tensor]


def test_vit_equals_the_formulas_of_its_paper(tmp_path: Path) -> None:
    path, rng = write(tmp_path, ENCODERS["vit"]), np.random.default_rng(0)
    values = weights(load_graph(path, prefill(5)), rng)
    pixels, patches = images(2, rng)
    found = evaluated(path, 5, values | {"pixel_values": patches})
    for sequence in range(2):
        cut = convolution(values["embedding/patch_embedding.weight"], pixels[sequence])
        cut = cut + values["embedding/patch_embedding.bias"]
        x = np.concatenate([values["embedding/class_embedding"][None], cut]) + values["embedding/position_embeddings"]
        for layer in range(2):
            w = of_layer(values, "encoder", layer)
            x = x + encoder_attention(w, layer_norm(x, w["norm_1.weight"], w["norm_1.bias"], 1e-5))
            y = layer_norm(x, w["norm_2.weight"], w["norm_2.bias"], 1e-5) @ w["mlp.fc1.weight"] + w["mlp.fc1.bias"]
            x = x + gelu(y) @ w["mlp.fc2.weight"] + w["mlp.fc2.bias"]
        x = layer_norm(x, values["head/layernorm.weight"], values["head/layernorm.bias"], 1e-5)[0]
        logits = values["head/classifier.weight"] @ x + values["head/classifier.bias"]
        np.testing.assert_allclose(found[sequence, 0], logits, rtol=1e-9)


def test_bert_equals_the_formulas_of_its_paper_on_padded_texts(tmp_path: Path) -> None:
    """A text of 3 and one of 6 tokens: what the first is padded with changes none of its logits."""
    path, rng, lengths = write(tmp_path, ENCODERS["bert"]), np.random.default_rng(0), (3, 6)
    values = weights(load_graph(path, prefill(6)), rng)
    tokens, types = rng.integers(0, 32, size=(2, 6)), rng.integers(0, 2, size=(2, 6))
    shown = np.arange(6)[None, :] < np.array(lengths)[:, None]
    found = evaluated(path, 6, values | {"input_ids": tokens, "token_type_ids": types, "attention_mask": shown})
    named = {name.partition("/")[2]: value for name, value in values.items() if not name.startswith("encoder")}
    for sequence, length in enumerate(lengths):
        x = named["word_embeddings.weight"][tokens[sequence, :length]] + named["position_embeddings.weight"][:length]
        x = x + named["token_type_embeddings.weight"][types[sequence, :length]]
        x = layer_norm(x, named["norm.weight"], named["norm.bias"])
        for layer in range(2):
            w = of_layer(values, "encoder", layer)
            x = layer_norm(x + encoder_attention(w, x), w["norm_1.weight"], w["norm_1.bias"])
            y = gelu(x @ w["mlp.fc1.weight"] + w["mlp.fc1.bias"]) @ w["mlp.fc2.weight"] + w["mlp.fc2.bias"]
            x = layer_norm(x + y, w["norm_2.weight"], w["norm_2.bias"])
        x = gelu(x @ named["transform.dense.weight"] + named["transform.dense.bias"])
        x = layer_norm(x, named["transform.norm.weight"], named["transform.norm.bias"])
        logits = x @ named["word_embeddings.weight"].T + named["decoder.bias"]
        np.testing.assert_allclose(found[sequence, :length], logits, rtol=1e-9)


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_has_no_step_with_a_past(name: str, tmp_path: Path) -> None:
    path = write(tmp_path, ENCODERS[name])
    chunk = RunShape(phase=Phase.PREFILL, batch=1, query_tokens=2, context_tokens=5)
    for shape in (decode(5), chunk):
        with pytest.raises(GraphError, match=r"phase: .* is an encoder: .* no decode step \(prefill or train\)"):
            load_graph(path, shape)


@pytest.mark.parametrize("phase", ["decode", "generate"])
def test_a_request_for_tokens_one_after_the_other_is_refused_with_a_way_out(phase: str) -> None:
    with pytest.raises(OptionError, match=r"^--phase: bert-base is an encoder: .* \(prefill or train\)$"):
        Stages(RunRequest(model="bert-base", phase=phase))
    with pytest.raises(OptionError, match="--context-tokens: prefill starts without a context"):
        Stages(RunRequest(model="bert-base", context_tokens=5))
    with pytest.raises(OptionError, match="--draft: bert-base is an encoder and makes no tokens"):
        Stages(RunRequest(model="llama-2-7b", draft="bert-base"))


@pytest.mark.parametrize(("model", "tokens"), [("vit-base", 197), ("bert-base", 512)])
def test_a_run_goes_over_all_tokens_by_default_and_has_no_first_one(model: str, tokens: int) -> None:
    report = Stages(RunRequest(model=model, batch=2)).report()
    assert report.setting.phase == "forward" and report.setting.input_tokens == positions(model) == tokens
    assert report.latency.time_to_first_token_seconds is None
    rate = report.throughput.tokens_per_second
    assert rate == pytest.approx(2 * tokens / report.latency.total_seconds)
    assert Stages(RunRequest(model=model, phase="prefill", batch=2)).report().latency == report.latency


def test_a_run_over_more_or_other_tokens_than_there_are_is_refused() -> None:
    with pytest.raises(GraphError, match="--input-tokens: vit-base: an image is 197 tokens, not 100"):
        Stages(RunRequest(model="vit-base", input_tokens=100)).report()
    with pytest.raises(GraphError, match="learned 512 positions, the run needs 513"):
        at("bert-base", 513)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"architectures": ["BertForQuestionAnswering"]},
            r"architectures: .* is out of range \(a list of BertForMaskedLM\)",
        ),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type: .* is not known"),
    ],
)
def test_other_heads_and_positions_are_refused(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=said):
        load_graph(write(tmp_path, ENCODERS["bert"] | changes), prefill(4))
