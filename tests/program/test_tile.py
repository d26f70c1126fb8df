"""Flows: along which dimensions a run of operators can be cut into tiles."""

from __future__ import annotations

from pathlib import Path

from rdusim.graph.load import load_graph
from rdusim.graph.types import Phase, RunShape
from rdusim.program.tile import WHOLE, cuts, find_flows

SHAPE = RunShape(phase=Phase.PREFILL, batch=1, query_tokens=1, context_tokens=1)
SYMMETRIC = """schema: rdusim-graph/1
name: symmetric
tensors:
  x: {shape: [64, 64], role: input}
  w: {shape: [64, 64], role: weight}
operators:
  turn: transpose x[i,j] -> t[j,i]
  add: add x[i,j], t[i,j] -> y[i,j]
  product: matmul y[i,k], w[k,n] -> z[i,n]
"""


def test_a_flow_that_an_operator_meets_in_two_dims_is_never_cut(tmp_path: Path) -> None:
    """A tile of rows of x + transpose(x) needs rows and columns of x."""
    file = tmp_path / "symmetric.yaml"
    file.write_text(SYMMETRIC)
    graph = load_graph(file, SHAPE)
    flows = find_flows(graph, graph.operators)
    assert cuts(graph, flows, graph.operators[:2]) == [WHOLE]


def test_tokens_of_a_prompt_flow_through_a_whole_decoder_layer() -> None:
    graph = load_graph("llama-2-7b", RunShape(phase=Phase.PREFILL, batch=1, query_tokens=64, context_tokens=64))
    (layer,) = (block for block in graph.blocks if block.repeats > 1)
    operators = [graph.by_name[name] for name in layer.operators]
    assert [cut.tiles for cut in cuts(graph, find_flows(graph, operators), operators)] == [1, 2, 4, 8, 16, 32, 64]


def test_one_token_of_one_sequence_cannot_be_cut() -> None:
    graph = load_graph("llama-2-7b", RunShape(phase=Phase.DECODE, batch=1, query_tokens=1, context_tokens=64))
    (layer,) = (block for block in graph.blocks if block.repeats > 1)
    operators = [graph.by_name[name] for name in layer.operators]
    assert cuts(graph, find_flows(graph, operators), operators) == [WHOLE]
