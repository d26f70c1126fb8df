"""What comes with rdusim can be found by name."""

from __future__ import annotations

from pathlib import Path

from rdusim.graph.load import load_graph
from rdusim.graph.types import Phase, RunShape
from rdusim.shipped import names, shipped

GEMM = Path(__file__).resolve().parents[1] / "experiments/gemm-reduce-scatter/gemm.yaml"


def test_every_shipped_machine_has_a_name_and_a_file() -> None:
    assert {"sn40l", "sn40l-x16", "sn50", "sn10", "toy"} <= set(names("arch"))
    assert all((shipped("arch") / f"{name}.yaml").is_file() for name in names("arch"))


def test_the_experiments_graph_splits_its_sums_over_the_sockets() -> None:
    once = RunShape(phase=Phase.PREFILL, batch=1, query_tokens=1, context_tokens=1)
    graph = load_graph(GEMM, once)
    assert [block.repeats for block in graph.blocks] == [16]
    assert graph.operators[0].dims == {"m": 24576, "k": 131072, "n": 8192}
