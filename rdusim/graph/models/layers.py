"""A decoder whose layers are of several kinds: runs of equal layers, or of equal groups of layers, become blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rdusim.graph.build import GraphBuilder, Value
from rdusim.graph.models import parts
from rdusim.graph.settings import Settings

LONGEST = 4  # layers of a group that repeats
NAMES = {"sliding_attention": "sliding", "full_attention": "full"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What tells one layer from another. `window`: keys that a query sees, None: all."""

    name: str = ""
    window: int | None = None
    mixture: bool = False


Layer = Callable[[GraphBuilder, Kind, Value, Value], Value]  # (builder, kind, x, positions) -> x


def decoder(b: GraphBuilder, kinds: Sequence[Kind], layer: Layer, *, eps: float, hidden: int, tied: bool) -> None:
    """Embedding, the layers in their order, final norm and head."""
    tokens, positions = b.input("input_ids", "b s", "int32"), b.input("position_ids", "b s", "int32")
    with b.block("embedding"):
        table = b.weight("embed_tokens.weight", "v k")
        x = parts.embedding(b, "embed_tokens", tokens, table, parallel=("v",))
    x = blocks(b, kinds, layer, x, positions)
    with b.block("head"):
        x = parts.rms_norm(b, "norm", x, eps, hidden)
        parts.head(b, x, table if tied else None)


def blocks(b: GraphBuilder, kinds: Sequence[Kind], layer: Layer, x: Value, positions: Value) -> Value:
    """The layers in their order."""
    for name, group, repeats in named(groups(kinds)):
        with b.block(name, repeats) as carried:
            y = x
            for number, kind in enumerate(group):
                if len(group) == 1:
                    y = layer(b, kind, y, positions)
                else:
                    with b.part(kind.name if [each.name for each in group].count(kind.name) == 1 else f"layer{number}"):
                        y = layer(b, kind, y, positions)
            carried[y.tensor] = x.tensor
        x = y
    return x


def sliding_or_full(settings: Settings, layers: int, window: int | None, *, mixture: bool = False) -> list[Kind]:
    """By `layer_types`; where these are not said, every other layer has the window, the first one too."""
    given = settings.words("layer_types", tuple(NAMES)) or [
        "full_attention" if layer % 2 else "sliding_attention" for layer in range(layers)
    ]
    if len(given) != layers:
        settings.wrong("layer_types", f"{len(given)} layers", f"as many as num_hidden_layers = {layers}")
    return [
        Kind(name=NAMES[word], window=window if word == "sliding_attention" else None, mixture=mixture)
        for word in given
    ]


def groups(kinds: Sequence[Kind]) -> list[tuple[tuple[Kind, ...], int]]:
    """Layers in order as groups that repeat: at each place the one that covers most layers, of equals the shortest."""
    found: list[tuple[tuple[Kind, ...], int]] = []
    at = 0
    while at < len(kinds):
        tried = [(tuple(kinds[at : at + length]), length) for length in range(1, LONGEST + 1)]
        repeats = [_repeats(kinds, at, length) for _, length in tried]
        covered = [
            times * length if times > 1 or length == 1 else 0 for times, (_, length) in zip(repeats, tried, strict=True)
        ]
        best = covered.index(max(covered))
        found.append((tried[best][0], repeats[best]))
        at += covered[best]
    return found


def named(found: Sequence[tuple[tuple[Kind, ...], int]]) -> list[tuple[str, tuple[Kind, ...], int]]:
    """The longest run is the `decoder`; others are called after their kind, and numbered where that is not enough."""
    longest = max(range(len(found)), key=lambda at: found[at][1] * len(found[at][0]))
    taken: dict[str, int] = {}
    result = []
    for at, (group, repeats) in enumerate(found):
        name = "decoder" if at == longest else "_".join(["decoder", *(kind.name for kind in group if kind.name)])
        taken[name] = taken.get(name, 0) + (at != longest)
        if at != longest and (taken[name] > 1 or name == "decoder"):
            name = f"{name}_{taken[name]}"
        result.append((name, group, repeats))
    return result


def _repeats(kinds: Sequence[Kind], at: int, length: int) -> int:
    """How many times the `length` layers at a place come one after the other."""
    group, times = kinds[at : at + length], 1
    while len(group) == length and kinds[at + times * length : at + (times + 1) * length] == group:
        times += 1
    return times
