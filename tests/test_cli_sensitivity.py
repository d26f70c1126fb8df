from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rdusim.cli import main

SMALL = ("toy-mlp", "--arch", "toy", "--parameter", "launch.*", "--parameter", "system.link.*")
FILE = """\
schema: rdusim-sensitivity/1
title: two
parameters: [launch.*]
headlines:
  - {name: slow, run: {model: toy-mlp, arch: toy}}
  - {name: quick, metric: throughput.flops_per_second, run: {model: toy-mlp, arch: toy}, by: 10%}
"""


class Ran:
    """What a command line left behind."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def rdusim_(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*arguments: str) -> Ran:
        with pytest.raises(SystemExit) as end:
            main(arguments)
        captured = capsys.readouterr()
        return Ran(int(end.value.code or 0), captured.out, captured.err)

    return call


def test_a_person_sees_the_figure_and_a_bar_for_each_field(rdusim_: Any) -> None:
    ran = rdusim_("sensitivity", *SMALL)
    assert (ran.code, ran.err) == (0, "")
    assert "toy-mlp: latency.total_seconds" in ran.out and "launch.program_load_bandwidth*" in ran.out
    assert "\x1b" not in ran.out and max(map(len, ran.out.splitlines())) <= 80


def test_the_json_has_every_field_and_the_same_command_gives_the_same_bytes(rdusim_: Any) -> None:
    once, again = (rdusim_("sensitivity", *SMALL, "--json", "--by", "0.1") for _ in range(2))
    assert once.code == 0 and once.out == again.out
    (found,) = json.loads(once.out)["sensitivities"]
    assert found["metric"] == "latency.total_seconds" and found["by"] == 0.1
    paths = [each["path"] for each in found["parameters"]]
    assert sorted(paths) == sorted(set(paths)) and "launch.execute" in paths
    swings = [each["swing"] for each in found["parameters"]]
    assert swings == sorted(swings, reverse=True)
    for each in found["parameters"]:
        ends = [each[end]["metric"] for end in ("low", "high") if end in each]
        assert each["swing"] == max(*ends, found["base"]) - min(*ends, found["base"])


def test_a_file_of_figures_is_one_run_of_each(rdusim_: Any, tmp_path: Path) -> None:
    file = tmp_path / "headlines.yaml"
    file.write_text(FILE, encoding="utf-8")
    results = tmp_path / "results.csv"
    ran = rdusim_("sensitivity", str(file), "--output", str(results))
    assert (ran.code, ran.out) == (0, "")
    rows = results.read_text(encoding="utf-8").splitlines()
    assert rows[0].startswith("headline,metric,base,parameter,value,assumed,")
    assert {row.partition(",")[0] for row in rows[1:]} == {"slow", "quick"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--by", "0"), "0% is no share"),
        (("--by", "100%"), "100% is no share"),
        (("--by", "x"), "'x' is no share"),
        (("--metric", "latency.total"), "did you mean latency.total_seconds"),
        (("--parameter", "launch.exec"), "did you mean launch.execute"),
        (("--range", "launch.execute"), "is not PATH=LOW..HIGH"),
        (("--plot", "/nowhere/x.svg"), "no folder"),
    ],
)
def test_wrong_input_is_one_clear_message(rdusim_: Any, arguments: tuple[str, ...], message: str) -> None:
    ran = rdusim_("sensitivity", *SMALL, *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err and ran.err.count("\n") == 1 and "Traceback" not in ran.err


def test_an_option_beside_a_file_that_has_it_is_refused(rdusim_: Any, tmp_path: Path) -> None:
    file = tmp_path / "headlines.yaml"
    file.write_text(FILE, encoding="utf-8")
    ran = rdusim_("sensitivity", str(file), "--by", "10%", "--batch", "2")
    assert ran.code == 2 and "--by: " in ran.err and "--batch: " in ran.err
