"""Input that would be taken for something else without a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from rdusim.errors import GraphError
from rdusim.graph.load import load_graph
from rdusim.graph.types import Phase, RunShape
from rdusim.shipped import shipped

SHAPE = RunShape(phase=Phase.DECODE, batch=1, query_tokens=1, context_tokens=64)


def test_an_axis_that_is_no_dimension_is_named_with_those_there_are(tmp_path: Path) -> None:
    file = tmp_path / "g.yaml"
    file.write_text(
        "schema: rdusim-graph/1\nname: g\ntensors:\n  x: {shape: [4, 4], role: input}\n"
        'operators:\n  p: {do: "softmax x[s,c] -> y[s,c]", with: {axis: zz}}\n'
    )
    with pytest.raises(GraphError, match=r"g\.yaml:6:6: operators\.p: axis 'zz' is no dimension .* \(one of s, c\)"):
        load_graph(file, SHAPE)


def test_a_key_given_twice_in_a_config_is_refused_with_both_lines(tmp_path: Path) -> None:
    text = (shipped("graphs") / "llama-2-7b" / "config.json").read_text()
    file = tmp_path / "config.json"
    file.write_text(text.replace('"num_hidden_layers": 32,', '"num_hidden_layers": 32,\n  "num_hidden_layers": 3,'))
    with pytest.raises(GraphError, match=r"config\.json:18: num_hidden_layers: duplicate key \(first given in line 17"):
        load_graph(file, SHAPE)


def test_an_empty_name_is_no_model_and_not_the_working_directory() -> None:
    with pytest.raises(GraphError, match="no model is named"):
        load_graph("", SHAPE)
