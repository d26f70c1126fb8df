"""Mixtures of experts and latent attention against formulas written out token by token, and the routing's numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import ceil, log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rdusim.errors import GraphError
from rdusim.graph.load import load_graph
from rdusim.graph.models.layers import Kind, groups, named
from rdusim.graph.ops import bytes_in, macs
from rdusim.graph.routing import places, shares
from rdusim.graph.types import Phase, RunShape
from tests.graph.tiny_models import DEEPSEEK, GPT_OSS, MIXTRAL, QWEN3_MOE, YARN, prefill, run, weights, write

Array = NDArray[Any]
TOKENS = 6


def step(queries: int, batch: int = 1, **more: Any) -> RunShape:
    phase = Phase.DECODE if queries == 1 else Phase.PREFILL
    context = 64 if queries == 1 else queries
    return RunShape(phase=phase, batch=batch, query_tokens=queries, context_tokens=context, **more)


def rms(x: Array, weight: Array) -> Array:
    result: Array = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * weight
    return result


def sigmoid(x: Array) -> Array:
    result: Array = 1 / (1 + np.exp(-x))
    return result


def silu(x: Array) -> Array:
    return x * sigmoid(x)


def softmax(x: Array) -> Array:
    grown = np.exp(x - x.max(-1, keepdims=True))
    result: Array = grown / grown.sum(-1, keepdims=True)
    return result


def turned(x: Array, frequencies: Array, *, interleaved: bool = False) -> Array:
    """x[position, d] as complex numbers of its pairs, turned; real and imaginary parts one behind the other."""
    half = x.shape[-1] // 2
    pairs = x[:, 0::2] + 1j * x[:, 1::2] if interleaved else x[:, :half] + 1j * x[:, half:]
    found = pairs * np.exp(1j * np.arange(len(x))[:, None] * frequencies)
    return np.concatenate([found.real, found.imag], axis=-1)


def plain(head: int, theta: float = 10000.0) -> Array:
    result: Array = theta ** (-np.arange(0, head, 2) / head)
    return result


def yarn(head: int, theta: float, scaling: Mapping[str, Any]) -> Array:
    """As DeepSeek's inference/model.py: precompute_freqs_cis."""
    base, learned = plain(head, theta), scaling["original_max_position_embeddings"]
    low, high = (
        head * np.log(learned / (turns * 2 * np.pi)) / (2 * np.log(theta))
        for turns in (scaling["beta_fast"], scaling["beta_slow"])
    )
    if scaling.get("truncate", True):
        low, high = np.floor(low), np.ceil(high)
    low, high = max(low, 0), min(high, head - 1)
    smooth = 1 - np.clip((np.arange(head // 2) - low) / (high - low), 0, 1)
    result: Array = base / scaling["factor"] * (1 - smooth) + base * smooth
    return result


def heads(w: Mapping[str, Array], y: Array, frequencies: Array, *, factor: float = 1.0, window: int = 99) -> Array:
    """Grouped-query attention of one sequence, head by head, with whatever biases, norms and sinks there are."""
    length, total = len(y), np.zeros_like(y)
    _, groups_, repeats, d = w["attention.q_proj"].shape
    distance = np.arange(length)[:, None] - np.arange(length)
    seen = (distance >= 0) & (distance < window)
    for group in range(groups_):
        k = y @ w["attention.k_proj"][:, group] + w.get("attention.k_proj.bias", np.zeros((groups_, d)))[group]
        v = y @ w["attention.v_proj"][:, group] + w.get("attention.v_proj.bias", np.zeros((groups_, d)))[group]
        k = turned(rms(k, w["attention.k_norm"]) if "attention.k_norm" in w else k, frequencies) * factor
        for of_group in range(repeats):
            q = y @ w["attention.q_proj"][:, group, of_group]
            q = q + (w["attention.q_proj.bias"][group, of_group] if "attention.q_proj.bias" in w else 0)
            q = turned(rms(q, w["attention.q_norm"]) if "attention.q_norm" in w else q, frequencies) * factor
            grown = np.where(seen, np.exp(q @ k.T / np.sqrt(d)), 0.0)
            sink = np.exp(w["attention.sinks"][group, of_group]) if "attention.sinks" in w else 0.0
            mixed = grown / (grown.sum(-1, keepdims=True) + sink) @ v
            total = total + mixed @ w["attention.o_proj"][group, of_group]
    return total + w.get("attention.o_proj.bias", np.zeros(y.shape[-1]))


def expert(w: Mapping[str, Array], at: int, x: Array) -> Array:
    gate, up, down = (w[f"experts.{name}_proj"][at] for name in ("gate", "up", "down"))
    result: Array = (silu(x @ gate) * (x @ up)) @ down
    return result


def feed_forward(w: Mapping[str, Array], x: Array) -> Array:
    result: Array = (silu(x @ w["mlp.gate_proj"]) * (x @ w["mlp.up_proj"])) @ w["mlp.down_proj"]
    return result


def layer_weights(
    values: Mapping[str, Array], block: str, layer: int | None = None, part: str = ""
) -> dict[str, Array]:
    """Weights of one layer by their names within it."""
    start = f"{block}/{part}"
    return {
        key.removeprefix(start).removesuffix(".weight"): value if layer is None else value[layer]
        for key, value in values.items()
        if key.startswith(start)
    }


def compared(folder: Path, config: dict[str, Any]) -> tuple[dict[str, Array], Array, Array]:
    """Random weights of a tiny model, its embedded tokens, and the logits that the graph gives."""
    path, rng = write(folder, config), np.random.default_rng(4)
    tokens = rng.integers(0, 29, size=(1, TOKENS))
    values = weights(load_graph(path, prefill(TOKENS, batch=1)), rng)
    _, results = run(path, prefill(TOKENS, batch=1), values, tokens)
    return values, values["embedding/embed_tokens.weight"][tokens[0]], results["head/lm_head"][0, 0]


def same(values: Mapping[str, Array], x: Array, logits: Array) -> None:
    wanted = rms(x, values["head/norm.weight"])[-1] @ values["head/lm_head.weight"].T
    np.testing.assert_allclose(logits, wanted, rtol=1e-5, atol=1e-7)


def test_mixtral_equals_its_formulas(tmp_path: Path) -> None:
    values, x, logits = compared(tmp_path, MIXTRAL)
    for layer in range(2):
        w = layer_weights(values, "decoder", layer)
        x = x + heads(w, rms(x, w["input_norm"]), plain(8))
        y = rms(x, w["post_attention_norm"])
        scores = y @ w["router"]
        for token in range(TOKENS):
            best = sorted(range(5), key=lambda at: -scores[token, at])[:2]
            for share, at in zip(softmax(scores[token, best]), best, strict=True):
                x[token] = x[token] + share * expert(w, at, y[token])
    same(values, x, logits)


def test_qwen3_moe_equals_its_formulas(tmp_path: Path) -> None:
    values, x, logits = compared(tmp_path, QWEN3_MOE)
    for layer in range(4):
        w = layer_weights(values, "decoder_dense") if layer == 0 else layer_weights(values, "decoder", layer - 1)
        x = x + heads(w, rms(x, w["input_norm"]), plain(8))
        y = rms(x, w["post_attention_norm"])
        if layer == 0:
            x = x + feed_forward(w, y)
            continue
        scores = softmax(y @ w["router"])
        for token in range(TOKENS):
            best = np.argsort(-scores[token])[:3]
            for at in best:
                x[token] = x[token] + scores[token, at] / scores[token, best].sum() * expert(w, at, y[token])
    same(values, x, logits)


def test_gpt_oss_equals_its_formulas(tmp_path: Path) -> None:
    """GptOssExperts and eager_attention_forward of modeling_gpt_oss.py; a block is a pair of layers."""
    values, x, logits = compared(tmp_path, GPT_OSS)
    for layer in range(4):
        w = layer_weights(values, "decoder", layer // 2, "full." if layer % 2 else "sliding.")
        frequencies, factor = yarn(8, 500.0, GPT_OSS["rope_scaling"]), 0.1 * log(4.0) + 1.0
        x = x + heads(w, rms(x, w["input_norm"]), frequencies, factor=factor, window=99 if layer % 2 else 3)
        y = rms(x, w["post_attention_norm"])
        scores = y @ w["router"] + w["router.bias"]
        for token in range(TOKENS):
            best = np.argsort(-scores[token])[:2]
            for share, at in zip(softmax(scores[token, best]), best, strict=True):
                both = (
                    np.einsum("k,kju->ju", y[token], w["experts.gate_up_proj"][at]) + w["experts.gate_up_proj.bias"][at]
                )
                gate, up = np.minimum(both[:, 0], 0.8), np.clip(both[:, 1], -0.8, 0.8)
                inner = (up + 1) * gate * sigmoid(1.702 * gate)
                made = inner @ w["experts.down_proj"][at] + w["experts.down_proj.bias"][at]
                x[token] = x[token] + share * made
    same(values, x, logits)


def latent_attention(w: Mapping[str, Array], y: Array) -> Array:
    """MLA of DeepSeek's inference/model.py, attn_impl naive."""
    scaling, total = DEEPSEEK["rope_scaling"], np.zeros_like(y)
    frequencies = yarn(8, 10000.0, scaling)
    factor = (0.1 * 0.7 * log(4.0) + 1) / (0.1 * log(4.0) + 1)
    low = rms(y @ w["attention.q_a_proj"], w["attention.q_a_norm"])
    joint = y @ w["attention.kv_a_proj"]
    compressed, rope = (
        rms(joint[:, :10], w["attention.kv_a_norm"]),
        turned(joint[:, 10:], frequencies, interleaved=True),
    )
    for head in range(4):
        q = low @ w["attention.q_b_proj"][:, head]
        k = compressed @ w["attention.kv_b_key"][:, head]
        scores = q[:, :6] @ k.T + turned(q[:, 6:], frequencies, interleaved=True) @ rope.T * factor**2
        scores = scores * 14**-0.5 * (0.1 * log(4.0) + 1) ** 2
        mixed = softmax(np.where(np.tril(np.ones((TOKENS, TOKENS))) > 0, scores, -np.inf))
        total = total + mixed @ (compressed @ w["attention.kv_b_value"][:, head]) @ w["attention.o_proj"][head]
    return total


def test_deepseek_equals_the_formulas_of_its_paper(tmp_path: Path) -> None:
    values, x, logits = compared(tmp_path, DEEPSEEK)
    for layer in range(3):
        w = layer_weights(values, "decoder_dense") if layer == 0 else layer_weights(values, "decoder", layer - 1)
        x = x + latent_attention(w, rms(x, w["input_norm"]))
        y = rms(x, w["post_attention_norm"])
        x = x + feed_forward(w, y)
        if layer == 0:
            continue
        scores = sigmoid(np.einsum("sk,kuy->suy", y, w["router"]))
        for token in range(TOKENS):
            biased = scores[token] + w["router.bias"]
            allowed = np.argsort(-np.sort(biased, axis=1)[:, -2:].sum(1))[:2]
            flat = [(biased[group, member], 2 * group + member) for group in allowed for member in range(2)]
            best = [at for _, at in sorted(flat, reverse=True)[:3]]
            taken = scores[token].reshape(-1)[best]
            for at, score in zip(best, taken, strict=True):
                x[token] = x[token] + 2.5 * score / taken.sum() * expert(w, at, y[token])
    same(values, x, logits)


@pytest.mark.parametrize(
    ("name", "active"),
    [
        ("mixtral-8x7b", 12.9e9),
        ("qwen3-30b-a3b", 3.3e9),
        ("qwen3-235b-a22b", 22e9),
        ("deepseek-v3", 37e9),
        ("gpt-oss-120b", 5.1e9 + 201088 * 2880),  # its model card leaves the embedding out
        ("gpt-oss-20b", 3.6e9 + 201088 * 2880),
    ],
)
def test_a_token_meets_the_published_number_of_parameters(name: str, active: float) -> None:
    assert load_graph(name, step(1)).active_parameters == pytest.approx(active, rel=0.02)


def test_decode_reads_the_experts_that_are_hit_and_prefill_all() -> None:
    for shape, experts in ((step(1), 8), (step(1, batch=16), 82), (step(2048), 128)):
        graph = load_graph("qwen3-30b-a3b", shape)
        gate = graph.by_name["decoder/experts.gate_proj"]
        rows = gate.dims["e"] * gate.dims["t"] * 2048
        assert gate.dims["e"] == experts
        assert bytes_in(gate, graph) == 2 * (experts * 2048 * 768 + rows) + 4 * experts
        assert macs(gate) == rows * 768
        assert graph.tensors["decoder/experts.gate_proj.weight"].shape == (128, 2048, 768)


@given(
    experts=st.integers(2, 64),
    chosen=st.integers(1, 8),
    tokens=st.integers(1, 300),
    skew=st.floats(0.0, 3.0),
    groups_=st.sampled_from([1, 2, 4]),
)
def test_places_hold_what_routing_can_give(experts: int, chosen: int, tokens: int, skew: float, groups_: int) -> None:
    experts, chosen = experts * groups_, min(chosen, experts)
    shape = step(tokens, routing_skew=skew, expert_groups=groups_)
    room, full = places(shape, experts, chosen), places(replace(shape, full_routing=True), experts, chosen)
    assert sum(shares(experts, chosen, skew)) == pytest.approx(chosen)
    assert 1 <= room.active <= full.active == experts // groups_
    assert 1 <= room.slots <= full.slots == tokens
    assert room.active * room.slots * groups_ >= min(tokens * chosen, tokens * groups_) - 1e-6
    assert room.active <= tokens * chosen
    if groups_ == 1:
        assert places(replace(shape, batch=2), experts, chosen).active >= room.active >= min(chosen, experts)


def test_the_first_token_hits_exactly_the_experts_that_it_chooses() -> None:
    for skew in (0.0, 0.7, 2.0):
        room = places(step(1, routing_skew=skew), 128, 8)
        assert (room.active, room.slots) == (8, 1)


@pytest.mark.parametrize("skew", [0.0, 0.8, 1.5])
def test_expected_hits_are_those_of_tokens_that_draw(skew: float) -> None:
    """Successive sampling without replacement, as a race of exponential clocks."""
    experts, chosen, tokens, rng = 64, 4, 24, np.random.default_rng(0)
    popular = np.arange(1, experts + 1, dtype=float) ** -skew
    hits, loads = [], np.zeros(experts)
    for _ in range(300):
        arrival = rng.exponential(size=(tokens, experts)) / popular
        drawn = np.argpartition(arrival, chosen, axis=1)[:, :chosen]
        hits.append(len(np.unique(drawn)))
        loads += np.bincount(drawn.reshape(-1), minlength=experts)
    expected = places(step(tokens, routing_skew=skew), experts, chosen).active
    assert expected == pytest.approx(np.mean(hits), rel=0.03, abs=1.0)
    assert shares(experts, chosen, skew)[0] == pytest.approx(loads[0] / 300 / tokens, rel=0.05)


@pytest.mark.parametrize("tokens", [1, 4, 64])
def test_the_busiest_of_groups_has_about_as_much_as_in_a_trial(tokens: int) -> None:
    experts, chosen, groups_, rng = 256, 8, 8, np.random.default_rng(1)
    most_hit, most_rows = [], []
    for _ in range(400):
        drawn = np.argsort(rng.random((tokens, experts)), axis=1)[:, :chosen]
        hit = np.unique(drawn)
        most_hit.append(np.bincount(hit % groups_, minlength=groups_).max())
        most_rows.append(np.bincount(drawn.reshape(-1) % groups_, minlength=groups_).max())
    room = places(step(tokens, expert_groups=groups_), experts, chosen)
    assert room.active == pytest.approx(np.mean(most_hit), rel=0.12, abs=1.0)
    assert room.active * room.slots == pytest.approx(np.mean(most_rows), rel=0.2, abs=room.active)


def test_skew_leaves_fewer_experts_with_more_tokens_each() -> None:
    rooms = [places(step(1, batch=32, routing_skew=skew), 128, 8) for skew in (0.0, 0.5, 1.0, 2.0)]
    assert [room.active for room in rooms] == sorted((room.active for room in rooms), reverse=True)
    assert [room.slots for room in rooms] == sorted(room.slots for room in rooms)


def test_a_step_with_expected_places_drops_only_what_has_none(tmp_path: Path) -> None:
    path, rng = write(tmp_path, MIXTRAL), np.random.default_rng(0)
    values, tokens = weights(load_graph(path, prefill(4)), rng), rng.integers(0, 29, size=(2, 4))
    whole, some = (run(path, replace(prefill(4), full_routing=full), values, tokens)[1] for full in (True, False))
    slots = ceil(2 * 4 * 2 / 5)
    assert load_graph(path, replace(prefill(4), full_routing=False)).by_name["decoder/experts.route"].dims["t"] == slots
    assert whole["head/lm_head"].shape == some["head/lm_head"].shape
    assert np.isfinite(some["head/lm_head"]).all()


def test_groups_of_sockets_put_an_axis_in_front_and_change_no_number(tmp_path: Path) -> None:
    config = MIXTRAL | {"num_local_experts": 4}
    path, rng = write(tmp_path, config), np.random.default_rng(0)
    values, tokens = weights(load_graph(path, prefill(4)), rng), rng.integers(0, 29, size=(2, 4))
    _, whole = run(path, prefill(4), values, tokens)
    shape = replace(prefill(4), expert_groups=2)
    shapes = {name: tensor.shape for name, tensor in load_graph(path, shape).tensors.items()}
    cut = {
        name: value.reshape(2, *shapes[name]) if ".experts" in name or "/experts" in name else value
        for name, value in values.items()
    }
    _, found = run(path, shape, cut, tokens)
    np.testing.assert_allclose(found["head/lm_head"], whole["head/lm_head"], rtol=1e-9)
    graph = load_graph(path, shape)
    touching = [operator.kind for operator in graph.operators if operator.attributes.get("experts") == ("x",)]
    assert touching == ["route", "dispatch", "expert_linear", "expert_linear", "expert_linear", "combine"]


def test_groups_that_do_not_divide_the_experts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="3 groups do not divide 8 experts"):
        load_graph("mixtral-8x7b", step(1, expert_groups=3))
    with pytest.raises(GraphError, match="llama-2-7b has no experts"):
        load_graph("llama-2-7b", step(1, routing_skew=0.5))
    with pytest.raises(GraphError, match="-1 is no exponent"):
        load_graph("mixtral-8x7b", step(1, routing_skew=-1.0))


@pytest.mark.parametrize(
    ("config", "change", "message"),
    [
        (MIXTRAL, {"num_experts_per_tok": 9}, "9 of 5 experts"),
        (DEEPSEEK, {"n_group": 3}, "3 does not divide n_routed_experts = 8"),
        (DEEPSEEK, {"topk_group": 5}, "5 of 4 groups"),
        (DEEPSEEK, {"topk_group": 1}, "hold fewer than num_experts_per_tok"),
        (DEEPSEEK, {"scoring_func": "softmax"}, "is not known"),
        (DEEPSEEK, {"qk_rope_head_dim": 7}, "7 is odd"),
        (GPT_OSS, {"layer_types": ["full_attention"]}, "1 layers"),
        (GPT_OSS, {"layer_types": ["full"] * 4}, "is out of range"),
        (QWEN3_MOE, {"mlp_only_layers": [-1]}, "list of whole numbers"),
    ],
)
def test_configs_that_make_no_sense_are_refused(
    config: dict[str, Any], change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(GraphError, match=message):
        load_graph(write(tmp_path, config | change), prefill(4))


def test_layers_become_the_fewest_blocks_that_keep_their_order() -> None:
    a, b = Kind(name="a"), Kind(name="b")
    assert groups([a] * 5) == [((a,), 5)]
    assert groups([a, b] * 3) == [((a, b), 3)]
    assert groups([a] * 3 + [b] * 9) == [((a,), 3), ((b,), 9)]
    assert groups([a, a, b] * 2 + [a]) == [((a, a, b), 2), ((a,), 1)]
    assert [name for name, _, _ in named(groups([a] * 3 + [b] * 9 + [a]))] == ["decoder_a", "decoder", "decoder_a_2"]
    assert len(load_graph("deepseek-v3", step(1)).blocks) == 4
    assert YARN["rope_type"] == "yarn"
