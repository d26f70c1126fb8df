"""A training step computes the gradients that finite differences find, and the updates that the optimizers define."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rdusim.errors import GraphError, OptionError
from rdusim.graph.backward import train
from rdusim.graph.build import GraphBuilder, Value
from rdusim.graph.check import check_graph
from rdusim.graph.evaluate import evaluate
from rdusim.graph.gradients import RULES, WITHOUT
from rdusim.graph.load import load_constants, load_graph
from rdusim.graph.ops import SPECS
from rdusim.graph.ops.training import SPECS as TRAINING
from rdusim.graph.optimizer import TrainOptions
from rdusim.graph.types import Compute, OperatorGraph, Phase, Role, RunShape
from rdusim.sim.functional.inputs import random_inputs
from tests.graph.tiny_models import ENCODERS, TINY, WITH_IMAGES, write

Array = NDArray[Any]
SHAPE = RunShape(phase=Phase.TRAIN, batch=2, query_tokens=5, context_tokens=5, dtype="fp32")
LOSS = "loss.mean"
STEP = 1e-5
MODELS = (
    "llama-mha-tied-biased", "mistral", "qwen2-windowed", "bloom", "falcon-multi-query", "falcon-alibi", "gpt2",
    "llava", "bert", "vit",
)  # fmt: skip


def gradients_of(graph: OperatorGraph) -> dict[str, str]:
    """Weight -> its gradient."""
    steps = [operator for operator in graph.operators if operator.kind in ("adamw_step", "sgd_step")]
    return {operator.inputs[1].tensor.removesuffix(".master"): operator.inputs[0].tensor for operator in steps}


def worst_error(graph: OperatorGraph, inputs: Mapping[str, Array]) -> float:
    """Largest relative difference of slopes of the loss, along a random direction in each weight."""
    found, rng, worst = evaluate(graph, inputs), np.random.default_rng(1), 0.0
    (loss,) = [tensor for tensor in found if tensor.endswith(LOSS)]
    for weight, gradient in gradients_of(graph).items():
        way = rng.normal(size=inputs[weight].shape)

        def at(step: float, weight: str = weight, way: Array = way) -> float:
            return float(evaluate(graph, {**inputs, weight: inputs[weight] + step * way})[loss])

        slope = (at(STEP) - at(-STEP)) / (2 * STEP)
        worst = max(worst, abs(slope - float((found[gradient] * way).sum())) / max(abs(slope), 1e-3))
    return worst


def model(name: str, folder: Path, options: TrainOptions | None = None) -> tuple[OperatorGraph, dict[str, Array]]:
    path = write(folder, (TINY | WITH_IMAGES | ENCODERS)[name])
    graph = train(load_graph(path, SHAPE), options)
    check_graph(graph)
    return graph, random_inputs(graph, load_constants(path, SHAPE), 0)


@pytest.mark.parametrize("name", MODELS)
def test_gradients_of_a_model_are_the_slopes_of_its_loss(name: str, tmp_path: Path) -> None:
    graph, inputs = model(name, tmp_path)
    weights = {name for name, tensor in graph.tensors.items() if tensor.role is Role.WEIGHT and name in inputs}
    assert gradients_of(graph).keys() == weights
    assert worst_error(graph, inputs) < 1e-6


@pytest.mark.parametrize("name", ["llama", "gpt2", "bloom", "falcon-new"])
@pytest.mark.parametrize("recompute", ["selective", "full"])
def test_recomputing_changes_no_number_and_saves_less(name: str, recompute: str, tmp_path: Path) -> None:
    graph, inputs = model(name, tmp_path)
    again, _ = model(name, tmp_path, TrainOptions(recompute=recompute))
    wanted, found = evaluate(graph, inputs), evaluate(again, inputs)
    assert found.keys() == wanted.keys()
    for tensor, value in wanted.items():
        np.testing.assert_allclose(found[tensor], value, rtol=1e-12, atol=1e-13)
    assert saved(again) < saved(graph)


def saved(graph: OperatorGraph) -> int:
    return sum(tensor.bytes for tensor in graph.tensors.values() if tensor.role is Role.SAVED)


def test_full_recomputation_saves_the_inputs_of_a_layer_alone(tmp_path: Path) -> None:
    graph, _ = model("llama", tmp_path, TrainOptions(recompute="full"))
    assert [name for name, tensor in graph.tensors.items() if tensor.role is Role.SAVED] == [
        "decoder/embed_tokens.saved"
    ]


def body(write_down: Callable[[GraphBuilder, Value, Value], Value]) -> OperatorGraph:
    """A training step of two weights [b, v] that `write_down` makes logits of."""
    shape = RunShape(phase=Phase.TRAIN, batch=3, query_tokens=1, context_tokens=1, dtype="fp32")
    b = GraphBuilder("body", shape, {"b": 3, "v": 4, "w": 8, "u": 2, "x": 6})
    with b.block("body"):
        write_down(b, b.weight("p", "b v"), b.weight("q", "b v"))
    graph = train(b.finish())
    check_graph(graph)
    return graph


def unary(kind: str, **attributes: float) -> Callable[[GraphBuilder, Value, Value], Value]:
    return lambda b, p, q: b.op("mul", "out", [b.op(kind, kind, [p], attributes=attributes), q])


def binary(kind: str) -> Callable[[GraphBuilder, Value, Value], Value]:
    return lambda b, p, q: b.op(kind, kind, [p, q])


def _parts(b: GraphBuilder, p: Value, q: Value) -> Value:
    """Concatenated, sliced in steps, stacked, summed, and padded."""
    both = b.op("cat", "cat", [p, b.op("slice", "half", [q], "b u", attributes={"axis": "v", "start": 1, "step": 2})],
                "b x", attributes={"concat": "x"})  # fmt: skip
    stacked = b.op("stack", "stack", [both, b.op("exp", "exp", [both])], "b u x", attributes={"axis": "u"})
    return b.op("pad", "pad", [b.op("sum", "sum", [stacked], "b x")], "b w", attributes={"axis": "w"})


def _masked(b: GraphBuilder, p: Value, q: Value) -> Value:
    mask = b.constant("mask", "b v", "bool")
    filled = b.op("masked_fill", "fill", [p, mask], attributes={"scalar": 0.5})
    return b.op("add", "out", [filled, b.op("where", "where", [mask, q], dtype="fp32", attributes={"scalar": -0.25})])


CASES: dict[str, Callable[[GraphBuilder, Value, Value], Value]] = {
    **{kind: unary(kind) for kind in ("exp", "cos", "sin", "sigmoid", "relu", "gelu", "gelu_tanh", "tanh", "neg")},
    **{kind: unary(kind) for kind in ("sqrt", "rsqrt", "log")},
    **{kind: binary(kind) for kind in ("div", "sub")},
    "a number over x": unary("div", scalar=2.0, reverse=1.0),
    "a number less x": unary("sub", scalar=2.0, reverse=1.0),
    "x cubed": unary("pow", scalar=3),
    "parts": _parts,
    "masked": _masked,
}


@pytest.mark.parametrize("name", CASES)
def test_a_rule_gives_the_slope_of_its_operator(name: str) -> None:
    graph = body(CASES[name])
    inputs = random_inputs(graph, {}, 3)
    inputs |= {tensor: np.abs(inputs[tensor]) + 0.5 for tensor in ("body/p", "body/q")}  # roots and logarithms
    inputs |= {"labels": np.array([1, 3, 0])}
    assert worst_error(graph, inputs) < 1e-6


def test_every_kind_has_a_rule_or_a_reason() -> None:
    """Collectives come after the backward pass, and nobody trains through a backward pass."""
    kinds = {kind for kind, spec in SPECS.items() if spec.compute is not Compute.COLLECTIVE} - TRAINING.keys()
    assert not kinds - RULES.keys() - WITHOUT.keys()
    assert not WITHOUT.keys() & RULES.keys()


def test_adamw_is_that_of_the_paper(tmp_path: Path) -> None:
    options = TrainOptions(learning_rate=0.01, weight_decay=0.1, step=3)
    graph, inputs = model("llama", tmp_path, options)
    found, weight = evaluate(graph, inputs), "decoder/mlp.up_proj.weight"
    gradient, theta = found[gradients_of(graph)[weight]], inputs[weight]
    mean = 0.9 * inputs[f"{weight}.mean"] + 0.1 * gradient
    square = 0.999 * inputs[f"{weight}.square"] + 0.001 * gradient**2
    theta = theta - 0.01 * 0.1 * theta
    theta = theta - 0.01 * (mean / (1 - 0.9**3)) / (np.sqrt(square / (1 - 0.999**3)) + 1e-8)
    np.testing.assert_allclose(found[f"{weight}.mean.updated"], mean, rtol=1e-12)
    np.testing.assert_allclose(found[f"{weight}.square.updated"], square, rtol=1e-12)
    np.testing.assert_allclose(found[f"{weight}.updated"], theta, rtol=1e-12)


def test_sgd_follows_its_momentum(tmp_path: Path) -> None:
    graph, inputs = model("gpt2", tmp_path, TrainOptions(optimizer="sgd", learning_rate=0.1, momentum=0.5))
    found, weight = evaluate(graph, inputs), "head/ln_f.bias"
    momentum = 0.5 * inputs[f"{weight}.momentum"] + found[gradients_of(graph)[weight]]
    np.testing.assert_allclose(found[f"{weight}.updated"], inputs[weight] - 0.1 * momentum, rtol=1e-12)


@pytest.mark.parametrize(("options", "bytes_a_weight"), [
    (TrainOptions(), 12), (TrainOptions(precision="uniform"), 4), (TrainOptions(optimizer="sgd"), 8),
    (TrainOptions(optimizer="sgd", momentum=0.0, precision="uniform"), 0),
])  # fmt: skip
def test_state_is_what_the_optimizer_and_its_precision_need(options: TrainOptions, bytes_a_weight: int) -> None:
    shape = RunShape(phase=Phase.TRAIN, batch=1, query_tokens=8, context_tokens=8)
    graph = train(load_graph("llama-3.2-1b", shape), options)
    times = {name: block.repeats for block in graph.blocks for name in block.operators}
    held = {
        operand.tensor: times[operator.name] * graph.tensors[operand.tensor].bytes
        for operator in graph.operators
        for operand in operator.inputs
        if graph.tensors[operand.tensor].role is Role.OPTIMIZER
    }
    assert sum(held.values()) == bytes_a_weight * graph.parameters
    assert all(graph.tensors[gradient].dtype == "bf16" for gradient in gradients_of(graph).values())


def test_what_cannot_be_trained_is_named() -> None:
    prompt = RunShape(phase=Phase.PREFILL, batch=1, query_tokens=8, context_tokens=8)
    with pytest.raises(GraphError, match="no logits to train on"):
        train(load_graph("gpt2", prompt))
    with pytest.raises(GraphError, match=r"no gradient goes through 'maximum'.*kink"):
        body(binary("maximum"))
    with pytest.raises(GraphError) as error:  # one reason is one message
        train(load_graph("mixtral-8x7b", replace(prompt, phase=Phase.TRAIN)))
    (problem,) = error.value.problems
    assert "'topk', 'dispatch', 'expert_linear', 'combine': mixtures of experts" in str(problem)
    with pytest.raises(OptionError, match="unknown value 'adam'"):
        TrainOptions(optimizer="adam")
