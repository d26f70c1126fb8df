"""Multi-head latent attention: keys and values of all heads come out of one small latent, which alone is cached.

DeepSeek-V2, arXiv 2405.04434, section 2.1. Decode works on the latents themselves: the weights that would decompress
them stand with the queries and behind the mix instead ("absorbed", as in DeepSeek's inference/model.py). Prefill and
training decompress. Labels besides those of `parts`: q rank of queries, z rank of keys and values, nope elements of a
head without position, d those with, full both, value elements of a value, joint = z + d.
"""

from __future__ import annotations

from dataclasses import dataclass

from rdusim.graph.build import GraphBuilder, Value
from rdusim.graph.models import parts
from rdusim.graph.models.parts import Keys
from rdusim.graph.settings import Settings
from rdusim.graph.types import Phase

MASK = "attention.mask"


@dataclass(frozen=True, slots=True, kw_only=True)
class Latent:
    """Ranks and head sizes. `query_rank` None: queries come straight from the input. `rotary`: scale of the tables."""

    query_rank: int | None
    rank: int
    nope: int
    rope: int
    value: int
    eps: float
    scale: float
    rotary: float
    bias: bool


def read(settings: Settings, eps: float) -> Latent:
    """Problems are collected in `settings`, not raised."""
    nope, rope = settings.size("qk_nope_head_dim"), settings.size("qk_rope_head_dim")
    if rope % 2:
        settings.wrong("qk_rope_head_dim", f"{rope} is odd: rotary positions turn pairs of elements")
    scaling = settings.table("rope_parameters") or settings.table("rope_scaling")
    stretch = parts.yarn_scale(scaling.get("factor"), scaling.get("mscale_all_dim"))
    return Latent(
        query_rank=settings.optional_size("q_lora_rank"),
        rank=settings.size("kv_lora_rank"),
        nope=nope,
        rope=rope,
        value=settings.size("v_head_dim"),
        eps=eps,
        scale=(nope + rope) ** -0.5 * stretch**2,
        rotary=parts.rotary_factor(scaling),
        bias=settings.flag("attention_bias", False),
    )


def extents(latent: Latent) -> dict[str, int]:
    """Extents of the labels above."""
    return {
        "q": latent.query_rank or 1, "z": latent.rank, "nope": latent.nope, "d": latent.rope, "h": latent.rope // 2,
        "full": latent.nope + latent.rope, "value": latent.value, "joint": latent.rank + latent.rope,
    }  # fmt: skip


def attention(b: GraphBuilder, latent: Latent, x: Value, positions: Value, keys: Keys) -> Value:
    """The attention of one layer."""
    tables = parts.rotary_tables(b, positions, latent.rotary)
    nope, turned = _queries(b, latent, x, tables)
    compressed, rope = _cached(b, latent, x, tables, keys)
    attend = _absorbed if b.shape.phase is Phase.DECODE else _decompressed
    mixed = attend(b, latent, (nope, turned), (compressed, rope), keys)
    bias = "k" if latent.bias else None
    return b.linear("attention.o_proj", mixed, "g value k", "b s k", bias=bias, partial=True)


Pair = tuple[Value, Value]  # without position, with position


def _queries(b: GraphBuilder, latent: Latent, x: Value, tables: Pair) -> Pair:
    if latent.query_rank is None:
        q = b.linear("attention.q_proj", x, "k g full", "b s g full", parallel=("g",))
    else:
        low = b.linear("attention.q_a_proj", x, "k q", "b s q", bias="q" if latent.bias else None)
        low = parts.rms_norm(b, "attention.q_a_norm", low, latent.eps, latent.query_rank, "q")
        q = b.linear("attention.q_b_proj", low, "q g full", "b s g full", parallel=("g",))
    nope = b.op("slice", "attention.q_nope", [q], "b s g nope", attributes={"axis": "full", "start": 0})
    rope = b.op("slice", "attention.q_rope", [q], "b s g d", attributes={"axis": "full", "start": latent.nope})
    return nope, parts.rotate(b, "attention.q_rotary", _halves(b, "attention.q_rotary", rope), tables)


def _cached(b: GraphBuilder, latent: Latent, x: Value, tables: Pair, keys: Keys) -> Pair:
    """Latents and rotated keys of all positions, the cached ones and this step's."""
    joint = b.linear("attention.kv_a_proj", x, "k joint", "b s joint", bias="joint" if latent.bias else None)
    low = b.op("slice", "attention.latent", [joint], "b s z", attributes={"axis": "joint", "start": 0})
    rope = b.op("slice", "attention.k_rope", [joint], "b s d", attributes={"axis": "joint", "start": latent.rank})
    entry = parts.entry_role(b.shape)
    low = parts.rms_norm(b, "attention.kv_a_norm", low, latent.eps, latent.rank, "z", entry)
    rope = parts.rotate(b, "attention.k_rotary", _halves(b, "attention.k_rotary", rope), tables, entry)
    return _appended(b, "attention.latent", low, keys, "z"), _appended(b, "attention.k_rope", rope, keys, "d")


def _appended(b: GraphBuilder, name: str, new: Value, keys: Keys, label: str) -> Value:
    if not keys.past:
        return new.labelled(f"b c {label}")
    past = b.past(f"{name}_past", f"b p {label}")
    return b.op("kv_append", f"{name}_append", [past, new], f"b c {label}", attributes={"concat": "c"})


def _halves(b: GraphBuilder, name: str, x: Value) -> Value:
    """Even elements in front of odd ones: pairs to turn lie next to each other in DeepSeek's weights."""
    half = " ".join(label if label != "d" else "h" for label in x.dims)
    even, odd = (
        b.op("slice", f"{name}.{which}", [x], half, attributes={"axis": "d", "start": start, "step": 2})
        for start, which in enumerate(("even", "odd"))
    )
    return b.op("cat", f"{name}.halves", [even, odd], " ".join(x.dims), attributes={"concat": "d"})


def _absorbed(b: GraphBuilder, latent: Latent, query: Pair, key: Pair, keys: Keys) -> Value:
    """Scores and mix over latents, which all heads share."""
    (nope, turned), (compressed, rope), attributes = query, key, keys.attributes
    low = b.linear("attention.kv_b_key", nope, "z g nope", "b s g z", parallel=("g",))
    with b.module("attention.attend"):
        scores = b.op("matmul", "attention.scores_nope", [low, compressed], "b s g c", attributes=attributes)
        placed = b.op("matmul", "attention.scores_rope", [turned, rope], "b s g c", attributes=attributes)
        shares = _shares(b, latent, b.op("add", "attention.scores", [scores, placed]))
        mixed = b.op("matmul", "attention.mix", [shares, compressed], "b s g z", attributes=attributes)
    return b.linear("attention.kv_b_value", mixed, "z g value", "b s g value", parallel=("g",))


def _decompressed(b: GraphBuilder, latent: Latent, query: Pair, key: Pair, keys: Keys) -> Value:
    """Keys and values of every head, then attention as usual."""
    (nope, turned), (compressed, rope), attributes = query, key, keys.attributes
    k = b.linear("attention.kv_b_key", compressed, "z g nope", "b c g nope", parallel=("g",))
    v = b.linear("attention.kv_b_value", compressed, "z g value", "b c g value", parallel=("g",))
    with b.module("attention.attend"):
        spread = b.op("expand", "attention.k_rope_heads", [rope], "b c g d")
        k = b.op("cat", "attention.k_cat", [k, spread], "b c g full", attributes={"concat": "full"})
        q = b.op("cat", "attention.q_cat", [nope, turned], "b s g full", attributes={"concat": "full"})
        scores = b.op("matmul", "attention.scores", [q, k], "b s g c", attributes=attributes)
        return b.op("matmul", "attention.mix", [_shares(b, latent, scores), v], "b s g value", attributes=attributes)


def _shares(b: GraphBuilder, latent: Latent, scores: Value) -> Value:
    scores = b.op("mul", "attention.scale", [scores], attributes={"scalar": latent.scale})
    scores = b.op("add", "attention.add_mask", [scores, parts.mask_slice(b, MASK, b.dtype)])
    return parts.softmax(b, scores, upcast=True)
