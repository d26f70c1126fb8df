from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from math import isclose
from pathlib import Path
from typing import Any

import pytest

import rdusim
from rdusim.cli import COMMANDS, main

ROOT = Path(__file__).resolve().parents[1]
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


def process(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from rdusim.cli import main; main()", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=environment, text=True, **(streams | options))


def test_every_verb_and_noun_is_exported_and_has_its_home() -> None:
    assert all(hasattr(rdusim, name) for name in rdusim.__all__)
    assert {"load_graph", "load_arch", "lower", "map_onto", "simulate", "summarize"} <= set(rdusim.__all__)
    with pytest.raises(AttributeError, match="no attribute 'lowre'"):
        _ = rdusim.lowre


def test_version_and_help(rdusim_: Any) -> None:
    assert rdusim.__version__ in rdusim_("--version").out
    text = rdusim_("--help").out
    assert all(command in text for command in COMMANDS)


def test_the_summary_in_the_table_is_the_command_s_own_subject() -> None:
    from importlib import import_module

    for name, (module, _) in COMMANDS.items():
        assert import_module(module).command.name == name


def test_a_person_reads_the_answer_first(rdusim_: Any) -> None:
    ran = rdusim_("run", *SMALL)
    assert (ran.code, ran.err) == (0, "")
    first = ran.out.splitlines()[0]
    assert first.startswith("toy-mlp, forward on toy")
    for title in ("bound by", "Where the time goes", "Memory", "Sections", "kernel launch"):
        assert title in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80
    assert "\x1b" not in ran.out


def test_json_is_the_whole_of_stdout(rdusim_: Any) -> None:
    values = json.loads(rdusim_("run", *SMALL, "--json").out)
    assert (values["model"], values["arch"], values["phase"], values["engine"]) == (
        "toy-mlp",
        "toy",
        "forward",
        "steady",
    )
    assert isclose(sum(values["breakdown_seconds"].values()), values["latency"]["total_seconds"])
    assert isclose(sum(each["seconds"] for each in values["sections"]), values["latency"]["total_seconds"])
    assert sum(each["repeats"] for each in values["sections"]) == values["kernel_launches"]
    assert values["simulator"]["wall_seconds"] > 0


def test_the_same_request_gives_the_same_report_to_the_last_bit(rdusim_: Any) -> None:
    first, second = (json.loads(rdusim_("run", *SMALL, "--json").out) for _ in range(2))
    for values in (first, second):
        del values["simulator"]["wall_seconds"]
    assert first == second


def test_results_and_timelines_go_to_files(rdusim_: Any, tmp_path: Path) -> None:
    report, timeline = tmp_path / "report.json", tmp_path / "trace.json.gz"
    ran = rdusim_("run", *SMALL, "--output", str(report), "--trace", str(timeline))
    assert (ran.code, ran.out) == (0, "")
    assert f"wrote {report}" in ran.err
    assert json.loads(report.read_text())["model"] == "toy-mlp"
    assert timeline.read_bytes().startswith(b"\x1f\x8b")
    assert {file.name for file in tmp_path.iterdir()} == {"report.json", "trace.json.gz"}


@pytest.mark.parametrize("after", ["lower", "map", "simulate"])
def test_explain_shows_every_step_for_people_and_programs(rdusim_: Any, after: str) -> None:
    ran = rdusim_("explain", *SMALL, "--after", after)
    assert ran.code == 0, ran.err
    assert ran.out
    values = json.loads(rdusim_("explain", *SMALL, "--after", after, "--json").out)
    name = values["sections"][0]["name"]
    alone = json.loads(rdusim_("explain", *SMALL, "--after", after, "--section", name, "--json").out)
    assert alone["sections"] == values["sections"][:1]


def test_arch_show_names_the_origin_of_every_value(rdusim_: Any) -> None:
    ran = rdusim_("arch", "show", "sn40l", "--set", "socket.memory.hbm.bandwidth=3.2TB/s")
    line = next(line for line in ran.out.splitlines() if line.startswith("socket.memory.hbm.bandwidth"))
    assert "3.2" in line
    assert "--set" in line
    assert json.loads(rdusim_("arch", "show", "--json").out)[0]["path"] == "name"


def test_arch_check_finds_problems_with_exit_code_1(rdusim_: Any, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("schema: rdusim-arch/1\nextends: sn40l\nname: bad\nsocket:\n  clokc: 2 GHz\n  dies: 0\n")
    ran = rdusim_("arch", "check", str(bad))
    assert ran.code == 1
    assert "clokc" in ran.out
    assert "dies" in ran.out
    assert rdusim_("arch", "check", "sn40l").code == 0
    assert rdusim_("arch", "check", "sn40").code == 2


def test_models_are_listed_and_shown(rdusim_: Any) -> None:
    assert "llama-3.1-8b" in rdusim_("models").out
    assert "llama-3.1-8b" in rdusim_("models", "list").out
    assert json.loads(rdusim_("models", "show", "gpt2", "--json").out)["layers"] == 12


WRONG = [
    (("run", "llama-3.1-8b", "--batch", "0"), "--batch: 0 is not a batch size: at least 1"),
    (("run", "llama-3.1-8b", "--batch", "x"), "'x' is not a valid integer"),
    (("run", "llama-3.1-8b", "--optimizer", "sgd"), "--optimizer: only training has it (--phase train)"),
    (("run", "llama-3.1-8b", "--phase", "train", "--optimizer", "adam"), "did you mean adamw?"),
    (("run", "llama-3.1-8b", "--phase", "decod"), "did you mean decode?"),
    (("run", "llama-3.1-8b", "--engine", "exact"), "available: cycle, discrete, steady"),
    (("run", "llama-3.1-8b", "--engine", "cycle"), "--engine discrete"),
    (("validate", "--set", "engines", "--set", "fusion"), "ask for it alone"),
    (("validate", "--plot", ""), "--plot: . is a folder (give the name of a file)"),
    (("validate", "--plot", "no/such/x.svg"), "there is no folder no/such (make it first, or name another)"),
    (("run", "llama-3.1-8b", "--parallel", "tp=3"), "tp=3 does not divide 8 sockets"),
    (("run", "llama-3.1-8b", "--parallel", "tp=4,dp=4", "--batch", "4"), "tp=4 x dp=4 does not divide 8 sockets"),
    (("run", "llama-3.1-8b", "--parallel", "dp=2"), "dp=2 x 1 micro-batches do not divide batch 1"),
    (("run", "llama-3.1-8b", "--parallel", "sp=2"), "a step of decode has one"),
    (("run", "llama-3.1-8b", "--parallel", "ep=2"), "--parallel: ep=2 shares out experts, and llama-3.1-8b has none"),
    (("run", "llama-3.1-8b", "--pipeline-schedule", "gpipe"), "there is no pipeline (--parallel pp=2 makes one)"),
    (("run", "toy-mlp", "--arch", "toy", "--parallel", "pp=2"), "layers of toy-mlp to share out: 1"),
    (("run", "llama-3.1-8b", "--parallel", "pp=2", "--check-numbers"), "executes tensor parallelism alone"),
    (("explain", "llama-3.1-8b", "--parallel", "auto"), "rdusim run --parallel auto finds it"),
    (("run", "llama-3.1-8b", "--context-tokens", "9", "--compiled-tokens", "8"), "8 tokens are compiled"),
    (("run", "llama-3.1-8b", "--draft", "llama-3.2-1b"), "--acceptance-rate: how often are drafted tokens accepted?"),
    (("run", "llama-3.1-8b", "--draft", "toy-mlp", "--acceptance-rate", "1"), "--draft: toy-mlp has shapes of its own"),
    (("run", "llama-3.1-8b", "--draft", "gpt2", "--acceptance-rate", "1"), "--draft: gpt2 has a vocabulary of 50,257"),
    (("run", "llama-3.1-8b", "--draft", "gpt2", "--acceptance-rate", "1.5"), "1.5 is no probability (from 0 to 1)"),
    (("run", "llama-3.1-8b", "--parallel", "8"), "'8' is not one of tp=N"),
    (("run", "llama-3.1-8b", "--sockets", "9"), "9, but the machine has 8"),
    (("run", "llama-3.1-8b", "--output-tokens", "9"), "--phase generate makes several"),
    (("run", "llama-3.1-8b", "--kernel-looping", "--orchestration", "host"), "only when hardware starts them"),
    (("run", "llama-3.1-8", "--batch", "1"), "llama-3.1-8b"),
    (("run", "llama-3.1-8b", "--arch", "sn40"), "did you mean sn40l?"),
    (("run", "toy-mlp", "--arch", "toy", "--batch", "4"), "--batch: the shapes"),
    (("run", *SMALL, "--trace", "run.vcd"), "known are .pftrace, .json and .json.gz"),
    (("run", *SMALL, "--output", "no/such/folder/x.json"), "there is no folder no/such/folder"),
    (("explain", "llama-3.1-8b", "--phase", "generate"), "choose --phase prefill or --phase decode"),
    (("explain", *SMALL, "--section", "nowhere"), "there is no section 'nowhere'"),
    (("rnu",), "did you mean run?"),
    (("run",), "Missing argument 'MODEL'"),
    (("run", "llama-3.1-8b", "--bacth", "1"), "No such option"),
]


@pytest.mark.parametrize(
    ("arguments", "message"), WRONG, ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_wrong_input_is_one_clear_message_and_exit_code_2(
    rdusim_: Any, arguments: tuple[str, ...], message: str
) -> None:
    ran = rdusim_(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert ran.err.startswith("error: ")
    assert "Traceback" not in ran.err


def test_all_problems_of_a_request_come_at_once(rdusim_: Any) -> None:
    ran = rdusim_("run", "llama-3.1-8b", "--batch", "0", "--input-tokens", "-5", "--set", "socket.dyes=3")
    assert ran.code == 2
    assert [line.split(":")[1].strip() for line in ran.err.splitlines()][:2] == ["--batch", "--input-tokens"]
    assert "dies" in ran.err


def test_exit_codes_of_a_process() -> None:
    good, bad = process("--version"), process("run", "no-such-model")
    assert good.wait(60) == 0
    assert bad.wait(60) == 2
    assert "Traceback" not in bad.communicate()[1]


def test_an_interrupt_leaves_with_130(rdusim_: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("rdusim.arch.load.load_arch", interrupted)
    ran = rdusim_("arch", "check", "sn40l")
    assert (ran.code, ran.out) == (130, "")


def test_a_bug_is_one_line_with_its_place_and_no_code_of_a_wrong_input(
    rdusim_: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rdusim.arch.show.load_arch_with_origins", lambda *_: 1 / 0)
    ran = rdusim_("arch", "show")
    assert ran.code == 3
    assert ran.err.startswith("error: a bug in rdusim: ZeroDivisionError: division by zero at rdusim.arch.show:")
    monkeypatch.setenv("RDUSIM_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        main(["arch", "show"])


@pytest.fixture
def closed_pipe() -> Iterator[int]:
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


def test_a_reader_that_leaves_early_is_no_error(closed_pipe: int) -> None:
    ran = process("arch", "show", stdout=closed_pipe)
    _, err = ran.communicate(timeout=60)
    assert err == ""
    assert ran.returncode == 0


def test_micro_sets_engines_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["micro", "pipeline", "--json"])
    assert end.value.code == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert set(row["seconds"]) == {"steady", "discrete", "cycle"}


def test_micro_reports_a_deadlock_of_the_users_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "schema: rdusim-micro/1\nsection:\n  tiles: 4\n  stages:\n"
        "    a: {pcus: 1, pmus: 1, simd: {elements: 64}}\n    b: {pcus: 1, pmus: 1, simd: {elements: 64}}\n"
        "  streams:\n    x: {from: a, to: b, tile_bytes: 128, depth: 0}\n"
    )
    with pytest.raises(SystemExit) as end:
        main(["micro", str(file), "--engine", "discrete"])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert all(word in said for word in ("a (tile 0)", "a place in x", "depth"))
