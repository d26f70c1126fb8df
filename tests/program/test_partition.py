"""Pipeline stages: contiguous, complete, as even as can be; and they compute what the whole model computes."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdusim.errors import LowerError
from rdusim.graph.evaluate import evaluate
from rdusim.graph.load import load_graph
from rdusim.graph.types import Role
from rdusim.program.partition import partition, split
from tests.graph.tiny_models import LLAMA, LLAVA, TINY, prefill, write
from tests.program.test_shard_meaning import random_inputs


@given(costs=st.lists(st.integers(1, 9), min_size=1, max_size=9), parts=st.integers(1, 9))
def test_no_split_has_a_smaller_largest_part(costs: list[int], parts: int) -> None:
    parts = min(parts, len(costs))
    ends = split([float(cost) for cost in costs], parts)
    assert len(ends) == parts
    assert ends[-1] == len(costs)

    def largest(ends: tuple[int, ...]) -> int:
        starts = (0, *ends[:-1])
        return max(sum(costs[start:end]) if end > start else 10**6 for start, end in zip(starts, ends, strict=True))

    others = combinations(range(1, len(costs)), parts - 1)
    assert largest(ends) == min(largest((*cuts, len(costs))) for cuts in others)


DEEPER = {
    "llama": TINY["llama"] | {"num_hidden_layers": 4, "vocab_size": 32},
    "bloom": TINY["bloom"] | {"n_layer": 4, "vocab_size": 32},
    "gpt2": TINY["gpt2"] | {"n_layer": 4, "vocab_size": 32},
    "llava": LLAVA | {"text_config": LLAMA | {"vocab_size": 32}},
}


@pytest.mark.parametrize(("name", "blocks"), [("llama", 6), ("bloom", 6), ("gpt2", 6), ("llava", 8)])
@pytest.mark.parametrize("parts", [2, 3, 5])
def test_stages_one_after_the_other_compute_the_whole_model(name: str, blocks: int, parts: int, tmp_path: Path) -> None:
    path, shape = write(tmp_path, DEEPER[name]), prefill(5)
    whole = load_graph(path, shape)
    inputs = random_inputs(path, whole, shape)
    wanted = evaluate(whole, inputs, keep=["head/next_token"])["head/next_token"]
    stages = partition(whole, parts, {block.name: 1.0 for block in whole.blocks})
    assert sum(block.repeats for part in stages for block in part.graph.blocks) == blocks
    passed = dict(inputs)
    done = {block.name: 0 for block in whole.blocks}
    for part in stages:
        graph = part.graph
        mine = {}
        for tensor in graph.tensors:
            if tensor in graph.producer:
                continue
            array = passed[tensor]
            own = graph.tensors[tensor].role in (Role.WEIGHT, Role.KV_CACHE)
            block = next((block for block in graph.blocks if tensor.startswith(f"{block.name}/")), None)
            if own and block is not None and next(b for b in whole.blocks if b.name == block.name).repeats > 1:
                first = done[block.name]
                array = array[first : first + block.repeats]
                array = array if block.repeats > 1 else array[0]
            mine[tensor] = array
        made = evaluate(graph, mine, keep=list(graph.producer))
        passed |= made
        for block in graph.blocks:
            done[block.name] += block.repeats
            carried = next(other.carried for other in whole.blocks if other.name == block.name)
            passed |= {into: made[out] for out, into in carried.items()}
    np.testing.assert_array_equal(passed["head/next_token"], wanted)


def test_equal_stages_are_equal_and_receive_what_the_stage_before_sends(tmp_path: Path) -> None:
    whole = load_graph(write(tmp_path, LLAMA | {"num_hidden_layers": 8}), prefill(5))
    stages = partition(whole, 5, {"embedding": 3.0, "decoder": 1.0, "head": 3.0})
    assert [[(block.name, block.repeats) for block in part.graph.blocks] for part in stages] == [
        [("embedding", 1)], [("decoder", 3)], [("decoder", 3)], [("decoder", 2)], [("head", 1)],
    ]  # fmt: skip
    assert stages[1] == stages[2]
    assert stages[1].graph.tensors[stages[1].received[0]].role is Role.INPUT
    sent = [name for name, tensor in stages[1].graph.tensors.items() if tensor.role is Role.OUTPUT]
    assert len(sent) == 1


def test_more_stages_than_layers_are_refused(tmp_path: Path) -> None:
    whole = load_graph(write(tmp_path, LLAMA | {"num_hidden_layers": 2}), prefill(5))
    with pytest.raises(LowerError, match=r"pp=5: layers of .*: 4, so at most pp=4"):
        partition(whole, 5, {block.name: 1.0 for block in whole.blocks})
