"""A mixture of experts as a feed-forward: scores, choice, tokens to experts, the experts' products, and back.

Labels besides those of `parts`: o expert (u group of the router, y member of it), i choice of a token, x group of
sockets that share out the experts, w expert of a group, e active expert, t slot, j feed-forward of an expert.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rdusim.graph.build import GraphBuilder, Value
from rdusim.graph.models import parts
from rdusim.graph.routing import places
from rdusim.graph.settings import Settings
from rdusim.graph.types import RunShape, Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """`chosen` of `count` experts for each token, `width` wide. `scale`: of their weights, once they are normalised."""

    count: int
    chosen: int
    width: int
    act: str = "silu"
    normalised: bool = True
    scale: float = 1.0
    bias: bool = False
    limit: float = 0.0  # of what enters a clamped gate
    groups: int = 1  # of the router
    groups_chosen: int = 1


Router = Callable[[GraphBuilder, Mixture, Value], tuple[Value, Value]]  # x -> weights and indices [b, s, i]
Network = Callable[[GraphBuilder, Mixture, Value, Value], Value]  # rows of active experts, experts -> rows


def read(settings: Settings, shape: RunShape, *, count: str, width: str) -> Mixture:
    """The keys that the families share. Problems are collected in `settings`, not raised."""
    experts, chosen = settings.size(count), settings.size("num_experts_per_tok")
    if chosen > experts:
        settings.wrong("num_experts_per_tok", f"{chosen} of {experts} experts", f"at most {settings.key(count)}")
    if shape.expert_groups > 0 and experts % shape.expert_groups:
        hint = "choose a number of groups (ep) that does"
        settings.wrong(count, f"{shape.expert_groups} groups do not divide {experts} experts", hint)
    return Mixture(
        count=experts,
        chosen=min(chosen, experts),
        width=settings.size(width),
        act=settings.choice("hidden_act", "silu", parts.ACTIVATIONS),
    )


def extents(shape: RunShape, mixture: Mixture) -> dict[str, int]:
    """Extents of the labels above."""
    room = places(shape, mixture.count, mixture.chosen)
    return {
        "o": mixture.count, "u": mixture.groups, "y": mixture.count // mixture.groups, "i": mixture.chosen,
        "x": shape.expert_groups, "w": mixture.count // shape.expert_groups, "e": room.active, "t": room.slots,
        "j": mixture.width, "two": 2, "a": mixture.groups_chosen,
    }  # fmt: skip


def feed_forward(b: GraphBuilder, mixture: Mixture, x: Value, router: Router, network: Network | None = None) -> Value:
    """Each token's weighted sum of what its experts make of it."""
    weights, chosen = router(b, mixture, x)
    ahead, attributes = _ahead(b), _experts(b)
    ids, tokens, slots = b.several(
        "route",
        "experts.route",
        [chosen],
        {
            ".experts": (f"{ahead}e", "int32"),
            ".tokens": (f"{ahead}e t", "int32"),
            ".slots": ("b s i", "int32"),
        },
        attributes={**attributes, "members": mixture.count // b.shape.expert_groups},
    )
    rows = b.op("dispatch", "experts.dispatch", [x, tokens], f"{ahead}e t k", attributes=attributes)
    with b.slots(_filled(b, mixture)):
        made = (network or gated)(b, mixture, rows, ids)
    return b.op("combine", "experts.combine", [made, weights, slots], "b s k", dtype=x.dtype, attributes=attributes)


def top_then_softmax(b: GraphBuilder, mixture: Mixture, x: Value) -> tuple[Value, Value]:
    """Weights are the softmax over the scores of the chosen (Mixtral, arXiv 2401.04088, section 2.1; gpt-oss)."""
    logits = b.linear("router", x, "k o", "b s o", bias="o" if mixture.bias else None)
    best, chosen = top(b, "router.topk", logits, "b s i")
    weights = b.op("softmax", "router.softmax", [b.cast("router.upcast", best, "fp32")], attributes={"axis": "i"})
    return b.cast("router.downcast", weights, x.dtype), chosen


def softmax_then_top(b: GraphBuilder, mixture: Mixture, x: Value) -> tuple[Value, Value]:
    """Weights are the shares of the chosen among all experts, made to add up to 1 where `normalised` (Qwen3)."""
    logits = b.cast("router.upcast", b.linear("router", x, "k o", "b s o"), "fp32")
    best, chosen = top(b, "router.topk", b.op("softmax", "router.softmax", [logits], attributes={"axis": "o"}), "b s i")
    if mixture.normalised:
        best = b.op("div", "router.normalise", [best, b.op("sum", "router.sum", [best], "b s")])
    return b.cast("router.downcast", best, x.dtype), chosen


def group_limited(b: GraphBuilder, mixture: Mixture, x: Value) -> tuple[Value, Value]:
    """Sigmoid scores; a bias that balances loads counts for the choice only, which falls into the best groups.

    A group is as good as its two best experts together (DeepSeek-V3, arXiv 2412.19437, sections 2.1.2 and 3.2).
    """
    logits = b.cast("router.upcast", b.linear("router", x, "k u y", "b s u y"), "fp32")
    scores = b.op("sigmoid", "router.sigmoid", [logits])
    biased = b.op("add", "router.add_bias", [scores, b.weight("router.bias", "u y")])
    if mixture.groups > 1:
        pair, _ = top(b, "router.top_two", biased, "b s u two")
        _, groups = top(b, "router.groups", b.op("sum", "router.group_scores", [pair], "b s u"), "b s a")
        inside = b.op("members", "router.inside", [groups], "b s u", dtype="bool")
        biased = b.op(
            "where", "router.mask", [inside, biased], "b s u y", dtype="fp32", attributes={"scalar": parts.HIDDEN}
        )
    _, chosen = top(b, "router.topk", biased, "b s i")
    weights = b.op("take_places", "router.weights", [scores, chosen], "b s i")
    if mixture.normalised:
        total = b.op(
            "add", "router.add_eps", [b.op("sum", "router.sum", [weights], "b s")], attributes={"scalar": 1e-20}
        )
        weights = b.op("div", "router.normalise", [weights, total])
    weights = b.op("mul", "router.scale", [weights], attributes={"scalar": mixture.scale})
    return b.cast("router.downcast", weights, x.dtype), chosen


def top(b: GraphBuilder, name: str, x: Value, out: str) -> tuple[Value, Value]:
    """Largest values and their places."""
    values, places_ = b.several("topk", name, [x], {"": (out, x.dtype), ".places": (out, "int32")})
    return values, places_


def gated(b: GraphBuilder, mixture: Mixture, rows: Value, ids: Value) -> Value:
    """act(gate) * up, then down, of every active expert."""
    gate = linear(b, mixture, "experts.gate_proj", rows, ids, "k j", "j", parallel=("j",))
    gate = parts.activation(b, "experts.act", gate, mixture.act)
    up = linear(b, mixture, "experts.up_proj", rows, ids, "k j", "j", parallel=("j",))
    return linear(b, mixture, "experts.down_proj", b.op("mul", "experts.mul", [gate, up]), ids, "j k", "k")


def linear(
    b: GraphBuilder, mixture: Mixture, name: str, rows: Value, ids: Value, weight: str, out: str,
    parallel: tuple[str, ...] = (), *, biased: bool = False,
) -> Value:  # fmt: skip
    """Rows of each active expert times its own weight (labels `weight`); plus its own bias, an operator behind it."""
    ahead, used = _ahead(b), (mixture.chosen, mixture.count)
    table = b.weight(f"{name}.weight", f"{ahead}w {weight}", used=used)
    made = b.op(
        "expert_linear", name, [table, rows, ids], f"{ahead}e t {out}", dtype=b.dtype, parallel=parallel,
        attributes=_experts(b),
    )  # fmt: skip
    if not biased:
        return made
    bias = b.weight(f"{name}.bias", f"{ahead}w {out}", used=used)
    found = b.op("expert_rows", f"{name}.bias_rows", [bias, ids], f"{ahead}e {out}", attributes=_experts(b))
    return b.op("add", f"{name}.add_bias", [made, found])


def _ahead(b: GraphBuilder) -> str:
    return "x " if b.shape.expert_groups > 1 else ""


def _filled(b: GraphBuilder, mixture: Mixture) -> float:
    """Rows that the tokens need over the rows that all groups have slots for; the busiest group sets the latter."""
    rows = b.extents["x"] * b.extents["e"] * b.extents["t"]
    return b.shape.batch * b.shape.query_tokens * mixture.chosen / rows


def _experts(b: GraphBuilder) -> dict[str, Scalar]:
    """`experts`: the label that expert parallelism cuts."""
    return {"experts": ("x",)} if b.shape.expert_groups > 1 else {}
