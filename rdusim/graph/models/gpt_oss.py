"""gpt-oss: attention with sinks and a window in every other layer, biases, and a mixture with a clamped gate.

modeling_gpt_oss.py. Its experts' published weights are MXFP4 (4.25 bits); here all weights have the dtype of the run.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rdusim.graph.build import GraphBuilder, Value
from rdusim.graph.models import experts, llama, mixed
from rdusim.graph.models.experts import Mixture
from rdusim.graph.models.layers import Kind, sliding_or_full
from rdusim.graph.settings import Settings
from rdusim.graph.types import OperatorGraph, RunShape

if TYPE_CHECKING:
    from numpy.typing import NDArray

SLOPE = 1.702  # of the sigmoid in the gate: GptOssExperts.alpha


def build(settings: Settings, name: str, shape: RunShape) -> OperatorGraph:
    model, kinds = _read(settings)
    mixture = experts.read(settings, shape, count="num_local_experts", width="intermediate_size")
    mixture = replace(mixture, bias=True, limit=settings.number("swiglu_limit", 7.0))
    settings.check()
    return mixed.assemble(model, mixture, kinds, name, shape, experts.top_then_softmax, clamped)


def constants(settings: Settings, shape: RunShape) -> dict[str, NDArray[Any]]:
    """Values of the CONSTANT tensors of `build`'s graph."""
    model, kinds = _read(settings)
    settings.check()
    return mixed.values(model, kinds, shape)


def clamped(b: GraphBuilder, mixture: Mixture, rows: Value, ids: Value) -> Value:
    """(up + 1) * gate * sigmoid(1.702 gate), both clamped; gate and up lie interleaved in one weight."""
    both = experts.linear(
        b, mixture, "experts.gate_up_proj", rows, ids, "k j two", "j two", parallel=("j",), biased=True
    )
    half = " ".join(both.dims[:-1])
    gate, up = (
        b.op("slice", f"experts.{name}", [both], half, attributes={"axis": "two", "start": start})
        for start, name in enumerate(("gate", "up"))
    )
    gate = b.op("clamp", "experts.clamp_gate", [gate], attributes={"most": mixture.limit})
    up = b.op("clamp", "experts.clamp_up", [up], attributes={"least": -mixture.limit, "most": mixture.limit})
    slope = b.op("mul", "experts.slope", [gate], attributes={"scalar": SLOPE})
    glu = b.op("mul", "experts.glu", [gate, b.op("sigmoid", "experts.sigmoid", [slope])])
    product = b.op("mul", "experts.mul", [b.op("add", "experts.add_one", [up], attributes={"scalar": 1.0}), glu])
    return experts.linear(b, mixture, "experts.down_proj", product, ids, "j k", "k", biased=True)


def _read(settings: Settings) -> tuple[llama.Llama, list[Kind]]:
    model, window = llama.read(settings), settings.optional_size("sliding_window")
    return replace(model, sinks=True), sliding_or_full(settings, model.layers, window, mixture=True)
