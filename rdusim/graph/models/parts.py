"""What decoders are made of, kernel by kernel as eager PyTorch runs them (transformers 4.38 to 4.47).

Labels: b sequence, s query token, c key (context) token, n key of the whole cache, p cached key, k hidden, g group of
heads that share keys, r query head of a group, d element of a head, h half of a head, f feed-forward, v vocabulary,
m column of the mask, l last token. Views cost nothing and are no operators: linears have head labels directly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log
from typing import Final

from rdusim.dtypes import DType
from rdusim.graph.build import GraphBuilder, Value
from rdusim.graph.settings import Settings
from rdusim.graph.types import Phase, Role, RunShape, Scalar

ACTIVATIONS = ("silu", "gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "quick_gelu", "relu")
HIDDEN = -3.3895e38  # smallest finite bf16: what a masked score becomes


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Keys of one attention: `past` are cached, `band` of `past` + queries are seen by a query."""

    past: int
    total: int
    band: int
    window: int | None

    @property
    def label(self) -> str:
        """Label of the key axis before attention: c, unless a query sees only a band of it."""
        return "c" if self.band == self.total else "n"

    @property
    def attributes(self) -> dict[str, Scalar]:
        """Of the two products of attention."""
        attributes: dict[str, Scalar] = {"causal": True}
        if self.window is not None:
            attributes["window"] = self.window
        if self.band < self.total:
            attributes |= {"banded": ("c",), "query": "s"}
        return attributes


def keys_of(shape: RunShape, window: int | None) -> Keys:
    """What a step attends to. A sliding window keeps at most window - 1 earlier keys in the cache."""
    past = shape.context_tokens - shape.query_tokens
    if window is not None:
        past = min(past, window - 1)
    total = past + shape.query_tokens
    # Training computes all scores and hides those outside the window: no gradient is summed over bands.
    band = total if window is None or shape.phase is Phase.TRAIN else min(total, window)
    return Keys(past=past, total=total, band=band, window=window)


def check_positions(settings: Settings, learned: int, shape: RunShape) -> None:
    """Positions that were learned end somewhere."""
    if shape.context_tokens > learned:
        message = f"the model has learned {learned} positions, the run needs {shape.context_tokens}"
        settings.wrong("max_position_embeddings", message, "shorten the context")


def extents(
    shape: RunShape, keys: Keys, *, hidden: int, groups: int, queries: int, head: int, ffn: int, vocabulary: int
) -> dict[str, int]:
    """Extents of the labels above."""
    return {
        "b": shape.batch, "s": shape.query_tokens, "c": keys.band, "n": keys.total, "p": keys.past, "m": keys.band + 1,
        "k": hidden, "g": groups, "r": queries, "d": head, "h": head // 2, "f": ffn, "v": vocabulary, "l": 1,
    }  # fmt: skip


def embedding(b: GraphBuilder, name: str, tokens: Value, table: Value, parallel: tuple[str, ...] = ()) -> Value:
    return b.op("embedding", name, [table, tokens], "b s k", parallel=parallel)


def rms_norm(
    b: GraphBuilder,
    name: str,
    x: Value,
    eps: float,
    count: int,
    axis: str = "k",
    role: Role = Role.ACTIVATION,
    *,
    around_one: bool = False,
) -> Value:
    """x / sqrt(mean(x^2) + eps) * weight, in fp32 between two casts; mean over the `count` elements of `axis`.

    `around_one`: times 1 + weight, before the last cast (Gemma).
    """
    with b.module(name):
        wide = b.cast(f"{name}.upcast", x, "fp32")
        square = b.op("pow", f"{name}.pow", [wide], attributes={"scalar": 2})
        rest = " ".join(label for label in x.dims if label != axis)
        mean = b.op("mean", f"{name}.mean", [square], rest, attributes={"count": count})
        variance = b.op("add", f"{name}.add_eps", [mean], attributes={"scalar": eps})
        scale = b.op("rsqrt", f"{name}.rsqrt", [variance])
        normal, weight = b.op("mul", f"{name}.scale", [wide, scale]), b.weight(f"{name}.weight", axis)
        if around_one:
            assert role is Role.ACTIVATION
            weight = b.cast(f"{name}.weight_upcast", weight, "fp32")
            weight = b.op("add", f"{name}.add_one", [weight], attributes={"scalar": 1.0})
            return b.cast(f"{name}.downcast", b.op("mul", f"{name}.mul_weight", [normal, weight]), x.dtype)
        return b.op("mul", f"{name}.mul_weight", [b.cast(f"{name}.downcast", normal, x.dtype), weight], role=role)


def layer_norm(b: GraphBuilder, name: str, x: Value, eps: float) -> Value:
    inputs = [x, b.weight(f"{name}.weight", "k"), b.weight(f"{name}.bias", "k")]
    return b.op("layer_norm", name, inputs, attributes={"axis": "k", "eps": eps})


def rotary_factor(scaling: Mapping[str, object]) -> float:
    """By how much yarn scales rotated queries and keys: 0.1 ln(factor) + 1 (YaRN, arXiv 2309.00071, section 3.4).

    With `mscale` and `mscale_all_dim` the ratio of both (transformers' modeling_rope_utils).
    """
    if scaling.get("rope_type", scaling.get("type")) != "yarn":
        return 1.0
    given, factor = scaling.get("attention_factor"), scaling.get("factor", 1.0)
    if isinstance(given, int | float):
        return float(given)
    return yarn_scale(factor, scaling.get("mscale") or 1.0) / (
        yarn_scale(factor, each) if (each := scaling.get("mscale_all_dim")) and scaling.get("mscale") else 1.0
    )


def yarn_scale(factor: object, weight: object) -> float:
    """0.1 weight ln(factor) + 1; 1 where the context is not stretched."""
    if not isinstance(factor, int | float) or not isinstance(weight, int | float) or factor <= 1.0:
        return 1.0
    return 0.1 * weight * log(factor) + 1.0


def rotary_tables(b: GraphBuilder, positions: Value, factor: float = 1.0) -> tuple[Value, Value]:
    """Cosines and sines of the positions times the inverse frequencies, times a factor; every layer makes its own."""
    with b.module("rotary"):
        frequencies = b.constant("rotary.inv_freq", "h", "fp32")
        place = b.cast("rotary.positions", positions, "fp32")
        # An outer product: PyTorch launches a matmul that contracts nothing.
        angle = b.op("mul", "rotary.angle", [frequencies, place], "b h s")
        angle = b.op("transpose", "rotary.transpose", [angle], "b s h")
        angle = b.op("cat", "rotary.cat", [angle, angle], "b s d", attributes={"concat": "d"})
        cos, sin = b.op("cos", "rotary.cos", [angle]), b.op("sin", "rotary.sin", [angle])
        if factor != 1.0:
            cos = b.op("mul", "rotary.cos_scale", [cos], attributes={"scalar": factor})
            sin = b.op("mul", "rotary.sin_scale", [sin], attributes={"scalar": factor})
        return b.cast("rotary.cos_cast", cos, b.dtype), b.cast("rotary.sin_cast", sin, b.dtype)


def rotate(b: GraphBuilder, name: str, x: Value, tables: tuple[Value, Value], role: Role = Role.ACTIVATION) -> Value:
    """x * cos + rotate_half(x) * sin."""
    cos, sin = tables
    halved = " ".join(label if label != "d" else "h" for label in x.dims)
    with b.module(name):
        straight = b.op("mul", f"{name}.mul_cos", [x, cos])
        first = b.op("slice", f"{name}.first_half", [x], halved, attributes={"axis": "d", "start": 0})
        second = b.op("slice", f"{name}.second_half", [x], halved, attributes={"axis": "d", "start": b.extents["h"]})
        second = b.op("neg", f"{name}.neg", [second])
        turned = b.op("cat", f"{name}.cat", [second, first], " ".join(x.dims), attributes={"concat": "d"})
        turned = b.op("mul", f"{name}.mul_sin", [turned, sin])
        return b.op("add", f"{name}.add", [straight, turned], role=role)


def heads_first(b: GraphBuilder, name: str, x: Value, out: str, role: Role = Role.ACTIVATION) -> Value:
    """[b, s, heads, d] -> [b, heads, s, d]."""
    return b.op("transpose", f"{name}.heads", [x], out, role=role)


def entry_role(shape: RunShape) -> Role:
    """Role of a step's own keys and values: they go to the cache, except in training."""
    return Role.ACTIVATION if shape.phase is Phase.TRAIN else Role.KV_CACHE


def cached(b: GraphBuilder, name: str, new: Value, keys: Keys) -> Value:
    """All keys (or values): the cached past and this step's, by appending in place."""
    if not keys.past:
        return new.labelled(f"b g {keys.label} d")
    past = b.past(f"{name}_past", "b g p d")
    return b.op("kv_append", f"{name}_append", [past, new], f"b g {keys.label} d", attributes={"concat": keys.label})


def repeat_kv(b: GraphBuilder, name: str, x: Value, repeats: int) -> Value:
    """Copies keys (or values) for every query head of their group."""
    if repeats == 1:
        return x
    b_, g, keys, d = x.dims
    return b.op("expand", name, [x], f"{b_} {g} r {keys} {d}")


def transposed(b: GraphBuilder, name: str, x: Value) -> Value:
    """[.., keys, d] -> [.., d, keys]."""
    return b.op("transpose", name, [x], " ".join((*x.dims[:-2], "d", x.dims[-2])))


def banded(x: Value, keys: Keys) -> Value:
    """Keys as the products of attention see them: along c."""
    return x.labelled(" ".join("c" if label == keys.label else label for label in x.dims))


def mask_slice(b: GraphBuilder, name: str, dtype: DType) -> Value:
    """The columns of the model's causal mask [query, key] that this layer's keys need."""
    mask = b.constant(name, "s m", dtype)
    return b.op("slice", "attention.mask_slice", [mask], "s c", attributes={"axis": "m", "start": 0})


def softmax(b: GraphBuilder, scores: Value, *, upcast: bool) -> Value:
    wide = b.cast("attention.softmax_upcast", scores, "fp32") if upcast else scores
    probabilities = b.op("softmax", "attention.softmax", [wide], attributes={"axis": "c"})
    return b.cast("attention.softmax_downcast", probabilities, scores.dtype)


def softmax_with_sinks(b: GraphBuilder, scores: Value) -> Value:
    """Softmax with one more score per head, learned, whose share goes nowhere (gpt-oss)."""
    dims = " ".join(scores.dims)
    wide, alone = dims.removesuffix("c") + "m", dims.removesuffix("c") + "l"
    sinks = b.op("expand", "attention.sinks_expand", [b.weight("attention.sinks", "g r")], alone)
    every = b.op("cat", "attention.sinks_cat", [scores, sinks], wide, attributes={"concat": "m"})
    largest = b.op("max", "attention.largest", [every], " ".join(scores.dims[:-1]))
    every = b.op("sub", "attention.sub_largest", [every, largest])
    shares = b.op("softmax", "attention.softmax", [every], attributes={"axis": "m"})
    return b.op("slice", "attention.drop_sink", [shares], dims, attributes={"axis": "m", "start": 0})


def weighted_values(b: GraphBuilder, probabilities: Value, values: Value, keys: Keys) -> Value:
    """Probabilities times values, with the heads put back behind the tokens."""
    attributes = keys.attributes
    mixed = b.op("matmul", "attention.mix", [probabilities, banded(values, keys)], "b g r s d", attributes=attributes)
    return b.op("transpose", "attention.merge_heads", [mixed], "b s g r d")


def activation(b: GraphBuilder, name: str, x: Value, kind: str) -> Value:
    """One kernel, but for `gelu_new` and `quick_gelu`, which transformers writes out in Python."""
    if kind in WRITTEN_OUT:
        return WRITTEN_OUT[kind](b, name, x)
    return b.op({"gelu_pytorch_tanh": "gelu_tanh", "gelu_fast": "gelu_tanh"}.get(kind, kind), name, [x])


def gelu_new(b: GraphBuilder, name: str, x: Value) -> Value:
    """0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), NewGELUActivation."""
    with b.module(name):
        half = b.op("mul", f"{name}.half", [x], attributes={"scalar": 0.5})
        cube = b.op("pow", f"{name}.pow", [x], attributes={"scalar": 3})
        cube = b.op("mul", f"{name}.mul_cube", [cube], attributes={"scalar": 0.044715})
        inner = b.op("add", f"{name}.add_cube", [x, cube])
        inner = b.op("mul", f"{name}.mul_inner", [inner], attributes={"scalar": 0.7978845608028654})
        inner = b.op("tanh", f"{name}.tanh", [inner])
        inner = b.op("add", f"{name}.add_one", [inner], attributes={"scalar": 1.0})
        return b.op("mul", f"{name}.mul", [half, inner])


def quick_gelu(b: GraphBuilder, name: str, x: Value) -> Value:
    """x sigmoid(1.702 x), QuickGELUActivation."""
    share = b.op("mul", f"{name}.mul_inner", [x], attributes={"scalar": 1.702})
    return b.op("mul", f"{name}.mul", [x, b.op("sigmoid", f"{name}.sigmoid", [share])])


WRITTEN_OUT: Final = {"gelu_new": gelu_new, "quick_gelu": quick_gelu}


def softcapped(b: GraphBuilder, name: str, x: Value, cap: float, role: Role = Role.ACTIVATION) -> Value:
    """cap tanh(x / cap): no value reaches the cap."""
    x = b.op("div", f"{name}.div", [x], attributes={"scalar": cap})
    x = b.op("tanh", f"{name}.tanh", [x])
    return b.op("mul", f"{name}.mul", [x], attributes={"scalar": cap}, role=role)


def head(b: GraphBuilder, x: Value, table: Value | None, cap: float | None = None) -> Value:
    """Logits from the final hidden state and, outside training, the greedy next token. `table`: tied embeddings."""
    token = "s"
    training = b.shape.phase is Phase.TRAIN
    if b.shape.query_tokens > 1 and b.shape.phase is Phase.PREFILL:
        last: dict[str, Scalar] = {"axis": "s", "start": b.shape.query_tokens - 1}
        x, token = b.op("slice", "last_token", [x], "b l k", attributes=last), "l"
    weight = table if table is not None else b.weight("lm_head.weight", "v k")
    narrow, role = b.dtype != "fp32", Role.OUTPUT if training else Role.ACTIVATION
    inner = Role.ACTIVATION if narrow else role
    plain = inner if cap is None else Role.ACTIVATION
    logits = b.op("linear", "lm_head", [x, weight], f"b {token} v", parallel=("v",), role=plain)
    if cap is not None:
        logits = softcapped(b, "softcap", logits, cap, inner)
    if narrow:
        logits = b.op("cast", "logits", [logits], dtype="fp32", role=role, attributes={"to": "fp32"})
    if training:
        return logits
    return b.op("argmax", "next_token", [logits], f"b {token}", dtype="int32", role=Role.OUTPUT)
