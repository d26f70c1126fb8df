from __future__ import annotations

import json
from math import isclose
from pathlib import Path
from typing import Any

import pytest

from rdusim.cli import main

SMALL = ("toy-mlp", "--arch", "toy")  # milliseconds


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


def test_a_column_for_each_run_and_the_reasons_below(rdusim_: Any) -> None:
    ran = rdusim_("compare", *SMALL, "--with", "unfused", "--with", "socket.memory.hbm.latency=2us", "--with", "h100")
    assert (ran.code, ran.err) == (0, "")
    assert "\x1b" not in ran.out and max(map(len, ran.out.splitlines())) <= 80
    for title in ("where the time goes", "kernel launches", "hbm reached", "PCUs at most"):
        assert title in ran.out
    assert "unfused: fusion unfused instead of fused" in ran.out
    assert "launches instead of" in ran.out
    assert "arch gpu/h100 instead of toy" in ran.out and "bound by host" in ran.out


def test_the_json_has_each_run_and_differences_that_sum_up(rdusim_: Any) -> None:
    values = json.loads(rdusim_("compare", *SMALL, "--with", "unfused", "--with", "gpu/h100", "--json").out)
    first, unfused, gpu = values["variants"]
    alone = json.loads(rdusim_("run", *SMALL, "--json").out)
    for key in ("latency", "breakdown_seconds", "sections", "memory", "units", "kernel_launches"):
        assert first[key] == alone[key], key
    assert (first["kind"], unfused["kind"], gpu["kind"]) == ("rdu", "rdu", "gpu")
    assert not {"sections", "units", "links"} & gpu.keys()
    assert unfused["changes"] == [{"option": "fusion", "first": "fused", "here": "unfused"}]
    for difference, here in zip(values["differences"], (unfused, gpu), strict=True):
        change = here["latency"]["total_seconds"] - first["latency"]["total_seconds"]
        assert isclose(difference["change_seconds"], change)
        for kind in ("causes", "parts"):
            assert isclose(sum(each["change_seconds"] for each in difference[kind]), change, rel_tol=1e-6)
        assert difference["reasons"]
    assert values["differences"][0]["bound"] == max(
        unfused["breakdown_seconds"], key=lambda cause: unfused["breakdown_seconds"][cause]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing to compare with"),
        (("--with", "unfsed"), "did you mean unfused"),
        (("--with", "fused"), "the same run as toy"),
        (("--with", "unfused", "--with", "unfused"), "given twice"),
        (("--with", "socket.clok=1GHz"), "did you mean socket.clock?"),
        (("--with", "gpu/h100,fp8"), "stand in its file"),
        (("--with", "unfused", "--output", "/nowhere/x"), "no folder"),
    ],
)
def test_wrong_input_is_one_clear_message(rdusim_: Any, arguments: tuple[str, ...], message: str) -> None:
    ran = rdusim_("compare", *SMALL, *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err and ran.err.count("\n") == 1 and "Traceback" not in ran.err


def test_a_file_gets_all_of_it(rdusim_: Any, tmp_path: Path) -> None:
    file = tmp_path / "comparison.json"
    assert rdusim_("compare", *SMALL, "--with", "unfused", "--output", str(file)).out == ""
    assert [each["name"] for each in json.loads(file.read_text(encoding="utf-8"))["variants"]] == ["toy", "unfused"]


def test_the_same_comparison_twice_is_the_same_bytes(rdusim_: Any) -> None:
    once, again = (rdusim_("compare", *SMALL, "--with", "unfused,discrete", "--json") for _ in range(2))
    assert once.code == 0 and once.out == again.out


def test_what_is_wrong_with_all_runs_is_told_once(rdusim_: Any) -> None:
    ran = rdusim_("compare", "nosuch", "--with", "sn50", "--with", "unfused")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.count("nosuch") == 1 and ran.err.count("\n") == 1


@pytest.mark.parametrize("command", [("compare", "--with", "unfused", "--with", "sn50"), ("sensitivity",)])
def test_a_truncated_config_is_one_message(rdusim_: Any, tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "config.json").write_text('{\n  "model_type": "llama",\n  "hidden_si')
    first, *others = command
    ran = rdusim_(first, str(tmp_path), *others)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {tmp_path}/config.json:3:3: no valid JSON") and ran.err.count("\n") == 1
    assert "ends too early" in ran.err
