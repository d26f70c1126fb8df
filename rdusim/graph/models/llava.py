"""LLaVA 1.5: CLIP's vision tower, a projector, and Llama (arXiv 2310.03744; modeling_llava.py).

A prompt is one image and its text: what the projector makes of the image stands in front of the embedded text, as the
tokens that it is counted as. With a past, in decode and in a chunk of a prompt, the image is in the cache and the
tower does not run. Layers of the tower behind the one whose result is taken are parameters that no run reads
(transformers computes and drops them). Labels besides those of `vision` and `parts`: a token of the image, q token of
the text.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rdusim.errors import GraphError, Problem
from rdusim.graph.build import GraphBuilder, Value
from rdusim.graph.models import llama, parts, vision
from rdusim.graph.settings import Settings
from rdusim.graph.types import OperatorGraph, Phase, RunShape

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Llava:
    """`seen_layers` of the tower are run; `keeps_class`: the class token goes to the language model too."""

    language: llama.Llama
    tower: vision.Tower
    seen_layers: int
    keeps_class: bool
    act: str
    bias: bool

    @property
    def image_tokens(self) -> int:
        return self.tower.tokens if self.keeps_class else self.tower.patches


def read(settings: Settings) -> Llava:
    """Problems are collected in `settings`, not raised."""
    text = settings.within("text_config")
    text.choice("model_type", "llama", ("llama",))
    tower = vision.read_clip(settings.within("vision_config"))
    ways = ("default", "full")
    return Llava(
        language=llama.read(text),
        tower=tower,
        seen_layers=_seen_layers(settings, tower.encoder.layers),
        keeps_class=settings.choice("vision_feature_select_strategy", "default", ways) == "full",
        act=settings.choice("projector_hidden_act", "gelu", parts.ACTIVATIONS),
        bias=settings.flag("multimodal_projector_bias", True),
    )


def least_prompt(settings: Settings) -> int:
    """Tokens of an image and one of text."""
    return read(settings).image_tokens + 1


def build(settings: Settings, name: str, shape: RunShape) -> OperatorGraph:
    model = read(settings)
    settings.check()
    _check_shape(model, name, shape)
    b = GraphBuilder(name, shape, {})
    image = _image(b, model, model.seen_layers) if _begins(shape) else None
    unread = _image_parameters(model, shape) - b.parameters
    of_image, text = (0, "s") if image is None else (model.image_tokens, "q")
    keys = parts.keys_of(shape, None)
    b.extents = llama.extents(model.language, shape, keys) | {"a": of_image, "q": shape.query_tokens - of_image}
    tokens, positions = b.input("input_ids", f"b {text}", "int32"), b.input("position_ids", "b s", "int32")
    with b.block("embedding"):
        table = b.weight("embed_tokens.weight", "v k")
        x = b.op("embedding", "embed_tokens", [table, tokens], f"b {text} k", parallel=("v",))
        if image is not None:
            x = b.op("cat", "merge_image", [image, x], "b s k", attributes={"concat": "s"})
    llama.decoder(b, model.language, x, positions, table)
    made = b.finish()
    return replace(made, parameters=made.parameters + unread, unread_parameters=unread)


def constants(settings: Settings, shape: RunShape) -> dict[str, NDArray[Any]]:
    """Values of the CONSTANT tensors of `build`'s graph."""
    model = read(settings)
    settings.check()
    return llama.values(model.language, shape) | (vision.values(model.tower) if _begins(shape) else {})


def _begins(shape: RunShape) -> bool:
    """Whether the run holds the beginning of the prompt, and so the image."""
    return shape.phase is not Phase.DECODE and shape.query_tokens == shape.context_tokens


def _seen_layers(settings: Settings, layers: int) -> int:
    """How many layers `vision_feature_layer` needs: it indexes the embeddings and the results of all layers."""
    index = settings.signed("vision_feature_layer", -2)
    seen = index if index >= 0 else layers + 1 + index
    if not 1 <= seen <= layers:
        hint = f"1 to {layers}, or from the end -1 to -{layers}"
        settings.wrong("vision_feature_layer", f"{index} is none of the {layers} layers of vision_config", hint)
    return min(max(seen, 1), layers)


def _check_shape(model: Llava, name: str, shape: RunShape) -> None:
    if _begins(shape) and shape.query_tokens <= model.image_tokens:
        message = (
            f"{name}: a prompt is an image of {model.image_tokens} tokens and at least one of text, "
            f"not {shape.query_tokens} tokens"
        )
        hint = f"at least {model.image_tokens + 1}"
        raise GraphError(Problem(field="query_tokens", message=message, hint=hint))


def _image(b: GraphBuilder, model: Llava, layers: int) -> Value:
    """The image as the language model takes it, [b, a, k]."""
    x = vision.clip(b, model.tower, layers)
    wide = model.language.hidden
    with b.block("projector"):
        if not model.keeps_class:
            x = vision.without_class(b, x)
        b.extents = {
            "b": b.shape.batch, "a": model.image_tokens, "w": model.tower.encoder.hidden, "f": wide, "k": wide,
        }  # fmt: skip
        x = b.linear("linear_1", x.labelled("b a w"), "w f", "b a f", bias="f" if model.bias else None, parallel=("f",))
        x = parts.activation(b, "act", x, model.act)
        return b.linear("linear_2", x, "f k", "b a k", bias="k" if model.bias else None, partial=True)


def _image_parameters(model: Llava, shape: RunShape) -> int:
    """Of the whole tower and the projector, whatever a run reads of them."""
    b = GraphBuilder("", shape, {})
    _image(b, model, model.tower.encoder.layers)
    return b.parameters + vision.norm_parameters(model.tower)
