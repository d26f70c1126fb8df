"""A training step in chunks and micro-batches computes what the whole step computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rdusim.arch.load import load_arch
from rdusim.errors import LowerError
from rdusim.graph.backward import train
from rdusim.graph.check import check_graph
from rdusim.graph.evaluate import evaluate, input_shapes, own
from rdusim.graph.load import load_constants, load_graph
from rdusim.graph.optimizer import TrainOptions
from rdusim.graph.types import OperatorGraph, Phase, Role, RunShape
from rdusim.mapping.map_onto import map_onto
from rdusim.mapping.types import MapOptions
from rdusim.pipeline.stage_memory import with_kept
from rdusim.program.distribute import distribute
from rdusim.program.lower import lower_local
from rdusim.program.partition import Part
from rdusim.program.partition_training import Chunk, distinct, training_chunks
from rdusim.program.types import LowerOptions, Parallelism
from rdusim.sim.functional import execute
from rdusim.sim.functional.inputs import random_inputs
from tests.graph.tiny_models import TINY, write

Array = NDArray[Any]
LAYERS = {"bloom": "n_layer", "gpt2": "n_layer"}


def shape(batch: int) -> RunShape:
    return RunShape(phase=Phase.TRAIN, batch=batch, query_tokens=5, context_tokens=5, dtype="fp32")


def step(path: Path, batch: int, micro_batches: int = 1, recompute: str = "none") -> OperatorGraph:
    options = TrainOptions(micro_batches=micro_batches, recompute=recompute)
    return train(load_graph(path, shape(batch)), options)


def chunks_of(graph: OperatorGraph, count: int, micro_batches: int, local: OperatorGraph | None = None) -> list[Chunk]:
    costs = {block.name: 1.0 for block in graph.blocks}
    return list(training_chunks(graph, local or graph, count, micro_batches, costs))


class Rank:
    """The memory of one chunk: weights, sums of gradients and state, of its own layers."""

    def __init__(self, chunk: Chunk, whole: OperatorGraph, inputs: dict[str, Array], first: dict[str, int]) -> None:
        self.memory: dict[str, Array] = {}
        many = own(whole)
        for part in chunk.parts:
            for name, extent in input_shapes(part.graph).items():
                role = part.graph.tensors[name].role
                if role is Role.GRADIENT:
                    self.memory[name] = np.zeros(extent)
                elif name in inputs and role is not Role.INPUT:
                    value = inputs[name]
                    if name in many:
                        start = first[name.partition("/")[0]]
                        layers = input_shapes(part.graph)[name]
                        value = value[start : start + layers[0]] if name in own(part.graph) else value[start]
                    self.memory[name] = value

    def run(self, part: Part, passed: dict[str, Array], ids: dict[str, Array]) -> dict[str, Array]:
        graph = part.graph
        check_graph(graph)
        given = {name: ids.get(name, passed.get(name, self.memory.get(name))) for name in input_shapes(graph)}
        kept = [name for name in graph.producer if graph.tensors[name].role in (Role.SAVED, Role.OUTPUT)]
        made = evaluate(graph, given, keep=kept)
        for block in graph.blocks:
            for out, place in block.updated.items():
                self.memory[place] = made[out]
        in_place = {out for block in graph.blocks for out in block.updated}
        self.memory |= {
            name: value
            for name, value in made.items()
            if graph.tensors[name].role is Role.GRADIENT and name not in in_place
        }
        return made


@pytest.mark.parametrize(
    ("name", "count", "micro_batches", "recompute"),
    [
        ("llama", 2, 2, "none"),
        ("llama", 3, 1, "full"),
        ("llama-mha-tied-biased", 3, 2, "none"),  # its embedding has a part of its gradient at either end
        ("gpt2", 6, 2, "none"),
        ("bloom", 4, 2, "selective"),
        ("llama-mha-tied-biased", 1, 2, "none"),
    ],
)
def test_chunks_and_micro_batches_add_up_to_the_gradients_of_the_whole_batch(
    name: str, count: int, micro_batches: int, recompute: str, tmp_path: Path
) -> None:
    path = write(tmp_path, TINY[name] | {LAYERS.get(name, "num_hidden_layers"): 4})
    whole, part = step(path, 2 * micro_batches), step(path, 2, micro_batches, recompute)
    inputs = random_inputs(whole, load_constants(path, shape(2 * micro_batches)), 0)
    wanted = evaluate(whole, inputs)
    sliced = {each: value for each, value in inputs.items() if whole.tensors[each].role is Role.INPUT}
    constants = load_constants(path, shape(2))
    inputs |= {each: value for each, value in random_inputs(part, constants, 0).items() if each in constants}
    chunks = chunks_of(part, count, micro_batches)
    done = {block.name: 0 for block in whole.blocks}
    ranks = []
    for chunk in chunks:
        ranks.append(Rank(chunk, whole, inputs, dict(done)))
        for block in chunk.forward.graph.blocks:
            done[block.name] += block.repeats
    for batch in range(micro_batches):
        ids = {each: value[2 * batch : 2 * batch + 2] for each, value in sliced.items()}
        last = batch == micro_batches - 1
        kept: list[dict[str, Array]] = []
        passed: dict[str, Array] = {}
        for chunk, rank in zip(chunks, ranks, strict=True):
            made = rank.run(chunk.last_forward if last else chunk.forward, passed, ids)
            kept.append(passed | made)
            passed = _handed_on(whole, passed | made, made)
        for chunk, rank, mine in reversed(list(zip(chunks, ranks, kept, strict=True))):
            back = chunk.last_backward if last else chunk.backward
            if back is not None:
                received = {each: passed[each] for each in back.received}
                made = rank.run(back, mine | received, ids)
                passed = _handed_on(whole, passed | made, made)
    for chunk, rank in zip(chunks, ranks, strict=True):
        if chunk.update is not None:
            sent = {
                each: other.memory[each] for each in chunk.update.received for other in ranks if each in other.memory
            }
            made = rank.run(chunk.update, sent, {})
            for out, value in made.items():
                if out.endswith((".mean.updated", ".square.updated")):  # a weight's step is only the gradient's sign
                    found = _slices(wanted[out], value.shape)
                    assert any(np.allclose(value, each, rtol=1e-9, atol=1e-15) for each in found), out


def _slices(stacked: Array, extent: tuple[int, ...]) -> list[Array]:
    """Runs of repeats (or one repeat) with the extent wanted."""
    if stacked.shape == extent:
        return [stacked]
    if stacked.ndim > len(extent):
        return list(stacked)
    return [stacked[at : at + extent[0]] for at in range(len(stacked) - extent[0] + 1)]


def _handed_on(whole: OperatorGraph, passed: dict[str, Array], made: dict[str, Array]) -> dict[str, Array]:
    """What further repeats of a block read under the name of what came before the block."""
    carried = {out: into for block in whole.blocks for out, into in block.carried.items()}
    return passed | {carried[out]: value for out, value in made.items() if out in carried}


def test_equal_chunks_are_equal_and_keep_what_they_save(tmp_path: Path) -> None:
    graph = step(write(tmp_path, TINY["llama"] | {"num_hidden_layers": 8}), 2, 4)
    chunks = chunks_of(graph, 5, 4)
    assert chunks[1] == chunks[2]
    assert len(distinct(chunks)) < sum(len(chunk.parts) for chunk in chunks)
    back = chunks[1].backward
    assert back is not None
    assert len(back.received) == 1
    tensors = chunks[1].forward.graph.tensors
    saved = [name for name, tensor in tensors.items() if tensor.role is Role.SAVED]
    assert set(saved) <= set(back.held)
    assert not set(saved) & set(back.received)


def exchanged(part: Part | None) -> int:
    """Sums over the replicas, which are two sockets apart, other than that of the loss."""
    if part is None:
        return 0
    return sum(
        block.repeats
        for block in part.graph.blocks
        for each in (part.graph.by_name[name] for name in block.operators)
        if each.attributes.get("stride") == 2 and part.graph.tensors[each.outputs[0].tensor].shape
    )


def test_replicas_exchange_gradients_after_the_last_micro_batch_only(tmp_path: Path) -> None:
    graph = step(write(tmp_path, TINY["llama-mha-tied-biased"] | {"num_hidden_layers": 4, "vocab_size": 32}), 4, 2)
    local = distribute(graph, Parallelism(dp=2, tp=2))
    steps = [each for each in graph.operators if each.kind == "adamw_step"]
    repeats = {name: block.repeats for block in graph.blocks for name in block.operators}
    for count in (1, 3):
        chunks = chunks_of(graph, count, 2, local)
        early = sum(exchanged(part) for chunk in chunks for part in (chunk.forward, chunk.backward))
        last = sum(
            exchanged(part) for chunk in chunks for part in (chunk.last_forward, chunk.last_backward, chunk.update)
        )
        assert early == 0
        assert last == sum(repeats[each.name] for each in steps)


def test_the_mapped_programs_of_a_chunk_compute_its_passes(tmp_path: Path) -> None:
    arch = load_arch("sn40l")
    graph = step(write(tmp_path, TINY["llama-mha-tied-biased"] | {"num_hidden_layers": 4}), 2, 2)
    first, *_ = chunks_of(graph, 3, 2)
    rng = np.random.default_rng(0)
    for part in (first.forward, first.last_backward, first.update):
        assert part is not None
        drawn = {name: np.abs(rng.normal(size=extent)) for name, extent in input_shapes(part.graph).items()}
        integers = (name for name in drawn if part.graph.tensors[name].dtype == "int32")
        drawn |= {name: rng.integers(0, 4, drawn[name].shape) for name in integers}
        made = lower_local(part.graph, arch, LowerOptions(), Parallelism(), part.flops or 0.0)
        program = with_kept(made, frozenset(part.held))
        ran = execute(map_onto(program, arch, MapOptions(effort=0)), part.graph, arch, drawn)
        wanted = evaluate(part.graph, drawn)
        assert ran.results.keys() == wanted.keys()
        for tensor, value in wanted.items():
            np.testing.assert_allclose(ran.results[tensor], value, rtol=1e-9, atol=1e-10, err_msg=tensor)


def test_more_chunks_than_layers_are_refused(tmp_path: Path) -> None:
    graph = step(write(tmp_path, TINY["llama"] | {"num_hidden_layers": 2}), 2, 4)
    with pytest.raises(LowerError, match="has 4 layers"):
        chunks_of(graph, 5, 4)
