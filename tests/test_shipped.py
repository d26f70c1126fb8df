"""What comes with rdusim can be found by name."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from rdusim.graph.load import load_graph
from rdusim.graph.types import Phase, RunShape
from rdusim.pipeline import RunRequest, Stages
from rdusim.shipped import names, shipped

EXPERIMENTS = sorted((Path(__file__).resolve().parents[1] / "experiments").glob("*/experiment.yaml"))


def test_every_shipped_machine_has_a_name_and_a_file() -> None:
    assert {"sn40l", "sn40l-x16", "sn50", "sn10", "toy"} <= set(names("arch"))
    assert all((shipped("arch") / f"{name}.yaml").is_file() for name in names("arch"))


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.parent.name)
def test_every_run_of_an_experiment_is_a_legal_request(file: Path) -> None:
    """Options that a run knows, of a machine that has the sockets; every line in a panel, every panel of lines."""
    experiment: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    lines = {line["name"]: line for line in experiment["lines"]}
    assert {name for panel in experiment["panels"] for name in panel["lines"]} == lines.keys()
    for line in lines.values():
        assert {*line["run"], *line["vary"]} <= {field.name for field in fields(RunRequest)}
        assert experiment["x"] in line["vary"]
        for values in zip(*line["vary"].values(), strict=True):
            asked = line["run"] | dict(zip(line["vary"], values, strict=True))
            here = file.parent / asked["model"]
            request = RunRequest(**asked | ({"model": str(here)} if here.exists() else {}))
            assert Stages(request).plan.ways.sockets == request.sockets


def test_the_experiments_graph_splits_its_sums_over_the_sockets() -> None:
    once = RunShape(phase=Phase.PREFILL, batch=1, query_tokens=1, context_tokens=1)
    graph = load_graph(EXPERIMENTS[0].parent / "gemm.yaml", once)
    assert [block.repeats for block in graph.blocks] == [16]
    assert graph.operators[0].dims == {"m": 24576, "k": 131072, "n": 8192}
