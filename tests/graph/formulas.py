"""Models as their papers write them, a sequence at a time: what graphs are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from math import erf

import numpy as np

from tests.graph.tiny_models import Array


def llama_logits(values: Mapping[str, Array], x: Array, layers: int = 2, groups: int = 2, queries: int = 2) -> Array:
    """Of the last of the embedded tokens x[s, k], with the weights of a graph of `tiny_models.LLAMA`."""
    count, head = len(x), values["decoder/attention.q_proj.weight"].shape[-1]
    for layer in range(layers):
        w = of_layer(values, "decoder", layer)
        y, heads = _rms(x, w["input_norm.weight"]), []
        for group, of_group in np.ndindex(groups, queries):
            q = _rotated(y @ w["attention.q_proj.weight"][:, group, of_group])
            k, v = _rotated(y @ w["attention.k_proj.weight"][:, group]), y @ w["attention.v_proj.weight"][:, group]
            scores = np.where(np.tril(np.ones((count, count))) > 0, q @ k.T / np.sqrt(head), -np.inf)
            heads.append(softmax(scores) @ v @ w["attention.o_proj.weight"][group, of_group])
        x = x + sum(heads)
        y = _rms(x, w["post_attention_norm.weight"])
        gate = y @ w["mlp.gate_proj.weight"]
        x = x + (gate / (1 + np.exp(-gate)) * (y @ w["mlp.up_proj.weight"])) @ w["mlp.down_proj.weight"]
    logits: Array = _rms(x, values["head/norm.weight"])[-1] @ values["head/lm_head.weight"].T
    return logits


def gemma2_logits(
    values: Mapping[str, Array], tokens: Array, *, window: int, scalar: float, caps: tuple[float, float]
) -> Array:
    """Of the last token, with the weights of a graph of `tiny_models.GEMMA2`; of two layers the first has a window."""
    count, table = len(tokens), values["embedding/embed_tokens.weight"]
    x = table[tokens] * table.shape[1] ** 0.5
    behind = np.arange(count)[:, None] - np.arange(count)[None, :]
    for layer in range(2 * len(values["decoder/sliding.input_norm.weight"])):
        kind = "full" if layer % 2 else "sliding"
        w = {name.removeprefix(f"{kind}."): value for name, value in of_layer(values, "decoder", layer // 2).items()}
        y, made = _rms(x, 1.0 + w["input_norm.weight"]), np.zeros_like(x)
        for group, of_group in np.ndindex(2, 2):
            q = _rotated(y @ w["attention.q_proj.weight"][:, group, of_group])
            k, v = _rotated(y @ w["attention.k_proj.weight"][:, group]), y @ w["attention.v_proj.weight"][:, group]
            scores = caps[0] * np.tanh(q @ k.T / scalar**0.5 / caps[0])
            seen = (behind >= 0) & (behind < (count if layer % 2 else window))
            made += softmax(np.where(seen, scores, -np.inf)) @ v @ w["attention.o_proj.weight"][group, of_group]
        x = x + _rms(made, 1.0 + w["post_attention_norm.weight"])
        y = _rms(x, 1.0 + w["pre_feedforward_norm.weight"])
        gate = y @ w["mlp.gate_proj.weight"]
        gate = 0.5 * gate * (1.0 + np.tanh((2.0 / np.pi) ** 0.5 * (gate + 0.044715 * gate**3)))
        made = (gate * (y @ w["mlp.up_proj.weight"])) @ w["mlp.down_proj.weight"]
        x = x + _rms(made, 1.0 + w["post_feedforward_norm.weight"])
    logits: Array = caps[1] * np.tanh(_rms(x, 1.0 + values["head/norm.weight"])[-1] @ table.T / caps[1])
    return logits


def encoder_attention(w: Mapping[str, Array], x: Array) -> Array:
    """All tokens to all tokens, head by head, with biases."""
    heads, total = w["attention.q_proj.weight"].shape[1], w["attention.out_proj.bias"]
    for head in range(heads):
        q, k, v = (x @ w[f"attention.{n}_proj.weight"][:, head] + w[f"attention.{n}_proj.bias"][head] for n in "qkv")
        total = total + softmax(q @ k.T / np.sqrt(q.shape[-1])) @ v @ w["attention.out_proj.weight"][head]
    return total


def images(batch: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Random images [b, channel, row, column] of 4 x 4 points, and the same patch by patch, of 2 x 2."""
    pixels = rng.normal(size=(batch, 3, 4, 4))
    cut = [pixels[:, :, row : row + 2, column : column + 2] for row in (0, 2) for column in (0, 2)]
    return pixels, np.stack([patch.reshape(batch, 12) for patch in cut], axis=1)


def convolution(weight: Array, pixels: Array) -> Array:
    """Of one such image with kernels of 2 x 2 and stride 2, one position behind the other."""
    kernels = weight.T.reshape(-1, 3, 2, 2)
    grid = [
        [(kernel * pixels[:, row : row + 2, column : column + 2]).sum() for kernel in kernels]
        for row in (0, 2)
        for column in (0, 2)
    ]
    return np.array(grid)


def gelu(x: Array) -> Array:
    """x times the normal distribution's probability of less than x."""
    result: Array = x * 0.5 * (1.0 + np.vectorize(erf)(x / np.sqrt(2.0)))
    return result


def layer_norm(x: Array, weight: Array, bias: Array, eps: float = 1e-5) -> Array:
    result: Array = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps) * weight + bias
    return result


def of_layer(values: Mapping[str, Array], block: str, layer: int) -> dict[str, Array]:
    """Weights of one repeat of a block, without the block's name."""
    return {key.removeprefix(f"{block}/"): value[layer] for key, value in values.items() if key.startswith(f"{block}/")}


def softmax(scores: Array) -> Array:
    shares: Array = np.exp(scores - scores.max(-1, keepdims=True))
    result: Array = shares / shares.sum(-1, keepdims=True)
    return result


def _rms(x: Array, weight: Array) -> Array:
    result: Array = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * weight
    return result


def _rotated(x: Array) -> Array:
    """Pairs (i, i + half) of x[position, d] turned as complex numbers."""
    half = x.shape[-1] // 2
    angle = np.arange(len(x))[:, None] * 10000.0 ** (-np.arange(half) / half)
    turned = (x[:, :half] + 1j * x[:, half:]) * np.exp(1j * angle)
    return np.concatenate([turned.real, turned.imag], axis=-1)
