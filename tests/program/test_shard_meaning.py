"""Every family's shards, run with NumPy on all sockets in step, give the numbers of the whole model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rdusim.errors import LowerError
from rdusim.graph.evaluate import evaluate, input_shapes
from rdusim.graph.load import load_constants, load_graph
from rdusim.graph.ops import SPECS
from rdusim.graph.types import OperatorGraph, Role, RunShape
from rdusim.program.shard import divisors_that_fit, shard
from tests.graph.tiny_models import ENCODERS, LLAMA, LLAVA, TINY, Array, decode, prefill, write
from tests.program.sockets import Sockets, whole_of

MODELS: dict[str, dict[str, Any]] = {
    **{name: config | {"vocab_size": 32} for name, config in TINY.items()},  # every socket has rows of the table
    "llama-more-heads": LLAMA | {"num_attention_heads": 8, "vocab_size": 32},
    **ENCODERS,
    "llava": LLAVA | {"text_config": LLAMA | {"vocab_size": 32}},
}
SHAPES = {"prefill": prefill(5), "decode": decode(6)}
WAYS = {  # the most sockets each can be cut over, of 8
    "bloom": 2, "falcon-new": 2, "falcon-multi-query": 1, "phi3": 2, "llama-more-heads": 8,
}  # fmt: skip


def random_inputs(path: Path, graph: OperatorGraph, shape: RunShape) -> dict[str, Array]:
    rng = np.random.default_rng(1)
    shapes = input_shapes(graph)
    inputs: dict[str, Array] = {name: rng.normal(size=size) * 0.3 for name, size in shapes.items()}
    for name, limit in (("input_ids", 32), ("token_type_ids", 2)):
        if name in shapes:
            inputs[name] = rng.integers(0, limit, size=shapes[name])
    if "attention_mask" in shapes:
        inputs["attention_mask"] = rng.random(shapes["attention_mask"]) < 0.7
    if "position_ids" in shapes:
        first = shape.context_tokens - shape.query_tokens
        inputs["position_ids"] = np.broadcast_to(np.arange(first, shape.context_tokens), shapes["position_ids"])
    return inputs | load_constants(path, shape)


def summed_later(part: OperatorGraph) -> set[str]:
    """Tensors of the whole model of which sockets only ever hold summands: the sum is made behind their reader."""
    found: set[str] = set()
    for operator in part.operators:
        if operator.outputs[0].tensor.endswith(".partial"):
            positions = SPECS[operator.kind].linear or range(len(operator.inputs))
            found |= {operator.inputs[at].tensor.removesuffix(".partial") for at in positions}
    return found


RUNS = [(name, phase) for name in MODELS for phase in SHAPES if phase == "prefill" or name not in ENCODERS]


@pytest.mark.parametrize(("name", "phase"), RUNS)
def test_sockets_together_compute_every_tensor_of_the_whole_model(name: str, phase: str, tmp_path: Path) -> None:
    path, shape = write(tmp_path, MODELS[name]), SHAPES[phase]
    full = load_graph(path, shape)
    inputs = random_inputs(path, full, shape)
    wanted = evaluate(full, inputs, keep=list(full.producer))
    fitting = [ways for ways in divisors_that_fit(full, 8) if ways > 1]
    assert max(fitting, default=1) == WAYS.get(name, 4)
    for ways in fitting:
        part = shard(full, ways)
        sockets = Sockets(full, part, ways)
        sockets.run(inputs)
        partial = summed_later(part)
        for tensor in full.producer:
            if full.tensors[tensor].role is Role.KV_CACHE or tensor in partial:
                continue  # caches are kept for each repeat
            now = next(name for name in (f"{tensor}.reduced", tensor) if name in part.tensors)
            found = whole_of([values[now] for values in sockets.values], full.tensors[tensor].shape, ways)
            np.testing.assert_allclose(found, wanted[tensor], rtol=1e-4, atol=1e-5, err_msg=f"tp={ways}: {tensor}")


@pytest.mark.parametrize("name", ["llama", "bloom", "falcon-new", "gpt2"])
def test_weights_of_all_sockets_are_the_models(name: str, tmp_path: Path) -> None:
    """Matrices are cut; only vectors (norms, biases behind a reduction) are kept by every socket."""
    full = load_graph(write(tmp_path, MODELS[name]), SHAPES["decode"])
    part = shard(full, 2)
    for tensor, kind in full.tensors.items():
        if kind.role is Role.WEIGHT:
            mine = part.tensors[tensor]
            matrix = sum(extent > 1 for extent in kind.shape) > 1 and "wpe" not in tensor
            assert mine.elements * 2 == kind.elements or (not matrix and mine.shape == kind.shape), tensor


def test_one_socket_runs_the_graph_as_it_is(tmp_path: Path) -> None:
    full = load_graph(write(tmp_path, MODELS["llama"]), SHAPES["decode"])
    assert shard(full, 1) is full


def test_what_does_not_divide_is_refused_with_what_does(tmp_path: Path) -> None:
    full = load_graph(write(tmp_path, MODELS["bloom"]), SHAPES["decode"])
    with pytest.raises(LowerError) as error:
        shard(full, 4)
    assert "attention.query_key_value: tp=4 does not divide g=6" in str(error.value)
    assert "tp=2, tp=1" in str(error.value)
    assert list(divisors_that_fit(full, 4)) == [2, 1]


def scattering(path: Path, label: str) -> OperatorGraph:
    """A product of which sockets hold summands, and what reads its sum."""
    path.write_text(
        "schema: rdusim-graph/1\nname: scattering\n"
        "tensors:\n  x: {role: input, shape: [6, 16]}\n  w: {role: weight, shape: [16, 12]}\n"
        "  v: {role: weight, shape: [12, 5]}\n"
        "operators:\n  up:\n    do: linear x[m,k], w[k,n] -> c[m,n]\n    parallel: [k]\n"
        f"    with: {{scatter: {label}}}\n"
        "  act: relu c[m,n] -> a[m,n]\n  down: linear a[m,n], v[n,f] -> y[m,f]\n"
    )
    return load_graph(path, decode(1, batch=1))


@pytest.mark.parametrize(("label", "later"), [("n", ["all_reduce"]), ("m", [])])
def test_a_sum_that_is_scattered_goes_on_in_parts(label: str, later: list[str], tmp_path: Path) -> None:
    full = scattering(tmp_path / "scattering.yaml", label)
    part = shard(full, 2)
    kinds = [operator.kind for operator in part.operators if operator.name not in full.by_name]
    assert kinds == ["reduce_scatter", *later]
    inputs = {name: np.random.default_rng(0).normal(size=size) for name, size in input_shapes(full).items()}
    wanted = evaluate(full, inputs, keep=["c", "a", "y"])
    sockets = Sockets(full, part, 2)
    sockets.run(inputs)
    assert part.tensors["a"].elements * 2 == full.tensors["a"].elements
    for tensor in ("c", "a", "y"):
        now = next(name for name in (f"{tensor}.reduced", tensor) if name in part.tensors)
        found = whole_of([values[now] for values in sockets.values], full.tensors[tensor].shape, 2)
        np.testing.assert_allclose(found, wanted[tensor], rtol=1e-9, err_msg=tensor)


def test_a_sum_that_cannot_be_scattered_is_refused_with_its_extents(tmp_path: Path) -> None:
    full = scattering(tmp_path / "scattering.yaml", "n")
    with pytest.raises(LowerError, match="up: 8 sockets cannot scatter along n of m=6, n=12"):
        shard(full, 8)
    with pytest.raises(LowerError, match="up: 2 sockets cannot scatter along k of m=6, n=12"):
        shard(scattering(tmp_path / "scattering.yaml", "k"), 2)
