"""Sequence and data parallelism give the numbers of the whole model, alone and on top of tensor parallelism."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rdusim.errors import LowerError
from rdusim.graph.evaluate import evaluate
from rdusim.graph.load import load_graph
from rdusim.graph.types import OperatorGraph, Role
from rdusim.program.distribute import distribute
from rdusim.program.types import Parallelism
from tests.graph.tiny_models import ENCODERS, LLAMA, LLAVA, TINY, decode, prefill, write
from tests.program.sockets import Sockets, whole_of
from tests.program.test_shard_meaning import random_inputs

MODELS = {name: config | {"vocab_size": 32} for name, config in TINY.items()} | {"bert": ENCODERS["bert"]}


def check(path: Path, before: Parallelism, after: Parallelism, axis: str, tokens: int, batch: int = 2) -> None:
    """All sockets along `axis` together compute what the graph cut only by `before` computes.

    Slots at experts may be numbered differently: what lies in them is not compared, what comes of it is.
    """
    shape = replace(prefill(tokens, batch=batch), full_routing=True, expert_groups=after.ep)
    full = distribute(load_graph(path, shape), before)
    inputs = {name: array for name, array in random_inputs(path, full, shape).items() if name in full.tensors}
    inputs = {name: part(array, full.tensors[name].shape) for name, array in inputs.items()}
    if "input_ids" in inputs:
        inputs["input_ids"] = inputs["input_ids"] % 8  # rows that every part of the table has
    wanted = evaluate(full, inputs, keep=list(full.producer))
    local = distribute(load_graph(path, shape), after)
    ways = after.sockets // before.sockets
    sockets = Sockets(full, local, ways)
    sockets.run(inputs)
    for tensor in full.producer:
        if full.tensors[tensor].role is not Role.KV_CACHE and not (
            "experts." in tensor and not tensor.endswith("combine")
        ):
            names = (f"{tensor}.{axis}_reduced", f"{tensor}.{axis}_broadcast", tensor)
            now = next(name for name in names if name in local.tensors)
            found = whole_of([values[now] for values in sockets.values], full.tensors[tensor].shape, ways)
            np.testing.assert_allclose(found, wanted[tensor], rtol=1e-4, atol=1e-5, err_msg=tensor)


def part(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The first part of a random array, where tensor parallelism has cut it; repeats stand in front."""
    extra = array.ndim - len(shape)
    return array[(*(slice(None),) * extra, *(slice(0, extent) for extent in shape))]


@pytest.mark.parametrize("name", MODELS)
def test_a_sequence_over_sockets_computes_every_tensor_of_the_whole_model(name: str, tmp_path: Path) -> None:
    check(write(tmp_path, MODELS[name]), Parallelism(), Parallelism(sp=4), "sp", tokens=8)


@pytest.mark.parametrize("name", MODELS)
def test_a_batch_over_sockets_computes_every_tensor_of_the_whole_model(name: str, tmp_path: Path) -> None:
    check(write(tmp_path, MODELS[name]), Parallelism(), Parallelism(dp=2), "dp", tokens=5)


def test_images_over_sockets_go_with_their_sequences(tmp_path: Path) -> None:
    """The class token stands in front of every image: a socket makes copies for its own."""
    check(write(tmp_path, ENCODERS["vit"]), Parallelism(), Parallelism(dp=2), "dp", tokens=5)
    path = write(tmp_path, LLAVA | {"text_config": LLAMA | {"vocab_size": 32}})
    check(path, Parallelism(), Parallelism(dp=2), "dp", tokens=6)
    check(path, Parallelism(tp=2), Parallelism(tp=2, dp=2), "dp", tokens=6)


def test_a_tower_whose_tokens_do_not_divide_is_refused(tmp_path: Path) -> None:
    full = load_graph(write(tmp_path, LLAVA), prefill(8))
    with pytest.raises(LowerError, match=r"sp=2 does not divide 5 tokens that one of its blocks goes over"):
        distribute(full, Parallelism(sp=2))


def test_axes_multiply(tmp_path: Path) -> None:
    path = write(tmp_path, MODELS["llama"])
    check(path, Parallelism(tp=2), Parallelism(tp=2, sp=2), "sp", tokens=8)
    check(path, Parallelism(tp=2), Parallelism(tp=2, dp=2), "dp", tokens=8)


EXPERTS = ["mixtral", "qwen3-moe", "gpt-oss", "deepseek-v3"]


@pytest.mark.parametrize("name", EXPERTS)
@pytest.mark.parametrize("batch", [2, 3])
def test_experts_over_sockets_compute_every_tensor_of_the_whole_model(name: str, batch: int, tmp_path: Path) -> None:
    """A batch of 2 is shared out and rows change hands; one of 3 is run by both sockets, which add up."""
    count = {"num_local_experts": 4} if "num_local_experts" in MODELS[name] else {}
    path = write(tmp_path, MODELS[name] | count)
    check(path, Parallelism(), Parallelism(ep=2), "ep", tokens=4, batch=batch)
    shape = replace(prefill(4, batch=batch), expert_groups=2)
    local = distribute(load_graph(path, shape), Parallelism(ep=2))
    kinds = {operator.kind for operator in local.operators}
    assert ("all_to_all" in kinds) == (batch == 2)
    weights = [name for name in local.tensors if name.endswith("experts.gate_proj.weight")]
    assert all(local.tensors[name].shape[0] == 1 for name in weights)  # of two groups of experts


def test_experts_need_a_mixture(tmp_path: Path) -> None:
    full = load_graph(write(tmp_path, MODELS["llama"]), prefill(4))
    with pytest.raises(LowerError, match="no experts"):
        distribute(full, Parallelism(ep=2))


def collectives(graph: OperatorGraph) -> dict[str, tuple[int, int]]:
    """By name: participants and distance of neighbours."""
    found = {}
    for operator in graph.operators:
        if "participants" in operator.attributes:
            ways, stride = operator.attributes["participants"], operator.attributes.get("stride", 1)
            assert isinstance(ways, int)
            assert isinstance(stride, int)
            found[operator.name] = (ways, stride)
    return found


def test_keys_are_gathered_before_they_are_copied_for_query_heads(tmp_path: Path) -> None:
    config = LLAMA | {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 32}
    full = load_graph(write(tmp_path, config), prefill(8))
    local = distribute(full, Parallelism(tp=2, sp=4))
    gathered = {name: ways for name, ways in collectives(local).items() if name.endswith("all_gather")}
    assert set(gathered.values()) == {(4, 2)}
    assert len(gathered) == 2  # keys and values
    for name in gathered:
        source = local.by_name[name].inputs[0].tensor
        assert local.tensors[source].role is Role.KV_CACHE  # a socket keeps its own entries only
        assert local.tensors[source].elements * 4 == local.tensors[local.by_name[name].outputs[0].tensor].elements


def test_groups_of_an_axis_are_apart_by_the_axes_inside(tmp_path: Path) -> None:
    ways = Parallelism(tp=2, sp=3, ep=5, dp=7, pp=11)
    assert [ways.stride(axis) for axis in ("tp", "sp", "ep", "dp", "pp")] == [1, 2, 6, 30, 210]
    assert ways.sockets == 2310


def test_data_parallel_inference_needs_no_collective(tmp_path: Path) -> None:
    full = load_graph(write(tmp_path, MODELS["llama"]), decode(6, batch=4))
    assert not collectives(distribute(full, Parallelism(dp=4)))


@pytest.mark.parametrize(
    ("ways", "said"),
    [
        (Parallelism(sp=3), r"^--parallel: sp=3 does not divide 8 tokens \(6 or 9 would do\)$"),
        (Parallelism(dp=4), r"^--parallel: dp=4 does not divide 2 sequences \(4 would do\)$"),
    ],
)
def test_what_does_not_divide_is_refused(ways: Parallelism, said: str, tmp_path: Path) -> None:
    full = load_graph(write(tmp_path, MODELS["llama"]), prefill(8))
    with pytest.raises(LowerError, match=said):
        distribute(full, ways)
