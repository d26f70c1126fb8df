"""Buffers of ways that part and meet again: by hand, and where keys are gathered beside queries that flow."""

from __future__ import annotations

from pathlib import Path

import pytest

from rdusim.arch.load import load_arch
from rdusim.graph.backward import train
from rdusim.graph.load import load_graph
from rdusim.graph.optimizer import TrainOptions
from rdusim.graph.types import Phase, RunShape
from rdusim.program.lower import lower
from rdusim.program.reconverge import firings_ahead
from rdusim.program.types import LowerOptions, Parallelism
from rdusim.sim.credits import check_credits
from tests.graph.tiny_models import LLAMA, write


def test_what_comes_beside_a_stage_that_needs_everything_finds_a_place() -> None:
    """0 -> 1 -> 3 tile by tile, 0 -> 2 -> 3 where 2 needs all eight tiles, or four of them."""
    ways = [(0, 1), (1, 3), (0, 2), (2, 3)]
    assert firings_ahead(ways, [8, 8, 1, 8]) == [1, 8, 8, 1]
    assert firings_ahead(ways, [8, 8, 2, 8]) == [1, 4, 4, 1]
    assert firings_ahead(ways, [8, 8, 8, 8]) == [1, 1, 1, 1]


@pytest.mark.parametrize("ways", [Parallelism(sp=8), Parallelism(tp=2, sp=4)])
def test_training_over_parts_of_the_sequence_never_waits_in_a_circle(ways: Parallelism, tmp_path: Path) -> None:
    config = LLAMA | {
        "hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32, "num_key_value_heads": 8,
        "max_position_embeddings": 8192, "vocab_size": 32,
    }  # fmt: skip
    shape = RunShape(phase=Phase.TRAIN, batch=1, query_tokens=4096, context_tokens=4096)
    graph = train(load_graph(write(tmp_path, config), shape), TrainOptions(recompute="full"))
    for section in lower(graph, load_arch("sn40l"), LowerOptions(parallelism=ways)).sections:
        check_credits(section)
