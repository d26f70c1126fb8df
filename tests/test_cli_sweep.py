"""rdusim sweep from outside: exit codes, output, files."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rdusim.cli import main

ROOT = Path(__file__).resolve().parents[1]
VARY = ("--vary", "socket.memory.hbm.bandwidth=20 GB/s,40 GB/s", "--vary", "socket.memory.hbm.latency=100..300ns:100")
EXPERIMENT = """\
schema: rdusim-sweep/1
title: a toy
model: toy-mlp
arch: toy
kernel-looping: true
set:
  socket.memory.hbm.latency: 200 ns
vary:
  socket.memory.hbm.bandwidth: [20 GB/s, 40 GB/s, 100 GB/s]
  launch.execute: 100..300 ns:100
zip:
  - [socket.memory.hbm.bandwidth, launch.execute]
objective: latency.total_seconds
metrics: [latency.total_seconds, bound]
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RDUSIM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def called(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main(["sweep", *map(str, arguments)])
    return int(end.value.code or 0)


def toy(*arguments: object) -> int:
    return called("toy-mlp", "--arch", "toy", "--jobs", "1", *arguments)


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert called(*arguments) == 2
    out = capsys.readouterr()
    assert out.out == ""
    assert "Traceback" not in out.err
    return out.err


def test_a_short_table_goes_to_stdout_and_what_was_done_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert toy(*VARY, "--objective", "latency.total_seconds") == 0
    out = capsys.readouterr()
    assert "min latency.total_seconds: " in out.out
    assert "at socket.memory.hbm.bandwidth=40 GB/s, socket.memory.hbm.latency=100 ns" in out.out
    assert out.err == "6 points: 6 computed, 0 known before\n"
    assert toy(*VARY) == 0
    assert capsys.readouterr().err == "6 points: 0 computed, 6 known before\n"


def test_tables_go_to_files_of_the_form_that_their_name_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.csv", "a.json", "a.parquet"):
        if name.endswith("parquet"):
            pytest.importorskip("pyarrow")
        assert toy(*VARY, "--output", tmp_path / name) == 0
    assert capsys.readouterr().out == ""
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    found = json.loads((tmp_path / "a.json").read_text())
    assert [float(row["latency.total_seconds"]) for row in rows] == [
        row["latency.total_seconds"] for row in found["rows"]
    ]
    assert (tmp_path / "a.parquet").read_bytes()[:4] == b"PAR1"


def test_pictures_and_pages_are_written_and_the_page_says_what_makes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    assert toy(*VARY, "--plot", tmp_path / "a.svg", "--report", tmp_path / "a.html") == 0
    assert (tmp_path / "a.svg").read_text().startswith("<?xml")
    assert "rdusim sweep toy-mlp --arch toy --vary" in (tmp_path / "a.html").read_text()


def test_an_experiment_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "experiment.yaml"
    path.write_text(EXPERIMENT)
    assert called(path, "--jobs", "1", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["title"] == "a toy"
    assert [list(row) for row in found["rows"]] == [
        ["socket.memory.hbm.bandwidth", "launch.execute", "latency.total_seconds", "bound"]
    ] * 3
    seconds = [row["latency.total_seconds"] for row in found["rows"]]
    assert found["best"] == [{"metric": "latency.total_seconds", "sense": "min", "point": seconds.index(min(seconds))}]


def test_options_go_over_what_an_experiment_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "experiment.yaml"
    path.write_text(EXPERIMENT)
    more = ("--vary", "launch.execute=100 ns,200 ns,400 ns", "--metrics", "kernel_looping", "--no-kernel-looping")
    assert called(path, "--jobs", "1", "--json", *more) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["launch.execute"] for row in rows] == pytest.approx([100e-9, 200e-9, 400e-9])
    assert {row["kernel_looping"] for row in rows} == {False}


def test_what_the_command_line_varies_goes_over_what_an_experiment_sets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "experiment.yaml"
    path.write_text(EXPERIMENT)
    assert called(path, "--jobs", "1", "--json", "--vary", "socket.memory.hbm.latency=100 ns,300 ns") == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["socket.memory.hbm.latency"] for row in rows] == pytest.approx([100e-9, 300e-9] * 3)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("rdusim-sweep/1", "rdusim-sweep/9", 1, "not a schema this rdusim reads"),
        ("title: a toy", "titel: a toy", 2, "did you mean 'title'?"),
        ("kernel-looping: true", "kernel-looping: 7", 5, "true, false"),
        ("[20 GB/s, 40 GB/s, 100 GB/s]", "[20 GB/s, 40 GiB, 100 GB/s]", 9, "a bandwidth is wanted"),
        ("hbm.bandwidth: [", "hmb.bandwidth: [", 9, "did you mean socket.memory.hbm.bandwidth"),
        ("100..300 ns:100", "300..100 ns:100", 10, "an empty range"),
    ],
)
def test_what_is_wrong_with_an_experiment_has_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, line: int, said: str
) -> None:
    path = tmp_path / "experiment.yaml"
    assert old in EXPERIMENT
    path.write_text(EXPERIMENT.replace(old, new, 1))
    message = refused(capsys, path)
    assert f"{path}:{line}:" in message
    assert said in message


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nothing to vary"),
        ((*VARY, "--metrics", "latncy.*"), "no result has 'latncy.*' (did you mean latency."),
        (("--arch", "gpu/h100", "--vary", "batch=1,2"), "a machine of another kind"),
        (("--draft", "no-such-model", *VARY), "no model or file 'no-such-model'"),
        (("--vary", "batch"), "not of the form PATH=VALUES"),
        (("--vary", "hbm.bandwith=1 TB/s"), "did you mean socket.memory.hbm.bandwidth"),
        (("--vary", "batch=8..1:1"), "an empty range: 8 is above 1"),
        (("--vary", "socket.memory.hbm.bandwidth=3 GiB"), "a bandwidth is wanted, such as '1.8 TB/s'"),
        (("--vary", "batch=1..8"), "draw from it with --samples N"),
        ((*VARY, "--objective", "latency.totl_seconds"), "did you mean latency.total_seconds"),
        ((*VARY, "--output", "a.txt"), "a name ending in .csv, .parquet, .json"),
        ((*VARY, "--output", "nowhere/a.csv"), "there is no folder nowhere"),
        ((*VARY, "--plot", "a.png"), "such as out.svg"),
        ((*VARY, "--store", "s.sqlite", "--no-store"), "--no-store keeps nothing"),
        ((*VARY, "--store", str(ROOT / "README.md")), "another kind of file"),
        ((*VARY, "--backend", "spark"), "one of loky, dask, ray"),
        ((*VARY, "--scheduler", "tcp://here:1"), "loky runs here"),
        ((*VARY, "--backend", "dask", "--scheduler", "tcp://127.0.0.1:9"), "no dask cluster answers"),
        (("--set", "socket.clok=1 GHz", *VARY), "socket.clock"),
        (("--set", "socket.memory.hbm.latency=1 us", *VARY), "varied, and set as well"),
    ],
)
def test_wrong_input_is_one_clear_message_and_no_work(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    if "dask" in arguments:
        pytest.importorskip("distributed")
    assert said in refused(capsys, "toy-mlp", "--arch", "toy", *arguments)


def test_failed_points_are_counted_and_the_sweep_has_ended_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert toy("--vary", "socket.tile.pmu.capacity=8 B,64 KiB") == 0
    out = capsys.readouterr()
    assert "2 points: 2 computed, 0 known before, 1 failed" in out.err
    assert "the first that failed: " in out.err
    assert "less than one vector" in " ".join(out.out.split())


def test_where_no_point_ran_results_are_written_and_the_exit_code_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert toy("--vary", "socket.tile.pmu.capacity=8 B", "--output", tmp_path / "a.csv") == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "1 point: 1 computed, 0 known before, 1 failed"
    assert said[-1].startswith("error: no point ran; the first: ") and "less than one vector" in said[-1]
    assert len(list(csv.DictReader((tmp_path / "a.csv").open()))) == 1


def test_a_model_that_cannot_be_read_is_refused_before_any_point(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"model_type": "llama", "hidden_size": 64')
    assert "config.json:1:" in refused(capsys, path, *VARY, "--vary", "batch=1,2")
    path.write_text('{"model_type": "nothing"}')
    assert "nothing" in refused(capsys, path, "--vary", "batch=1,2")
    missing = refused(capsys, tmp_path / "missing.yaml")
    assert "no model or file" in missing and "missing.yaml" in missing and "vary" not in missing


def test_a_model_that_varies_needs_no_base(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert called("any", "--arch", "toy", "--jobs", "1", "--vary", "model=toy-mlp", "--json") == 0


def test_a_missing_package_for_parquet_is_said_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "pyarrow.parquet", raising=False)
    said = refused(capsys, "toy-mlp", "--arch", "toy", *VARY, "--output", tmp_path / "a.parquet")
    assert "pip install 'rdusim[parquet]'" in said and "computed" not in said


def test_columns_that_are_asked_for_are_those_of_the_short_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert toy(*VARY, "--metrics", "breakdown_seconds.hbm,latency.*") == 0
    header = capsys.readouterr().out.splitlines()[1].split()
    assert header == ["bandwidth", "latency", "hbm", "total_seconds"]


def test_how_many_sockets_work_is_shown_where_their_number_varies(capsys: pytest.CaptureFixture[str]) -> None:
    assert toy("--vary", "parallel=tp=1|tp=2") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [row[1] for row in rows] == ["sockets_used", "1", "2"]
    assert toy("--vary", "parallel=tp=1|tp=2", "--json") == 0
    assert [row["sockets_used"] for row in json.loads(capsys.readouterr().out)["rows"]] == [1, 2]
    assert toy(*VARY, "--json") == 0
    assert "sockets_used" not in json.loads(capsys.readouterr().out)["rows"][0]


def test_a_key_of_the_model_is_an_axis(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("llama-3.2-1b", "--context-tokens", 64, "--jobs", 1, "--json")
    assert called(*arguments, "--vary", "model.num_hidden_layers=2,4", "--metrics", "model,latency.total_seconds") == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["model"] for row in rows] == [f"llama-3.2-1b,num_hidden_layers={layers}" for layers in (2, 4)]
    assert rows[0]["latency.total_seconds"] < rows[1]["latency.total_seconds"]


@pytest.mark.parametrize(
    ("sent", "jobs", "code", "called"), [(signal.SIGINT, 1, 130, "interrupted"), (signal.SIGTERM, 2, 143, "terminated")]
)
def test_a_signal_leaves_no_file_and_no_process_and_says_how_to_go_on(
    tmp_path: Path, sent: signal.Signals, jobs: int, code: int, called: str
) -> None:
    """A worker that lived on would hold the pipe, and nobody who reads it would see its end."""
    output = tmp_path / "a.csv"
    started = (sys.executable, "-c", "from rdusim.cli import main; main()")
    command = [
        *started, "sweep", "toy-mlp", "--arch", "toy", "--jobs", str(jobs), "--output", str(output),
        "--vary", "socket.memory.hbm.bandwidth=20..119 GB/s:1", "--vary", "socket.memory.hbm.latency=50..150 ns:1",
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    store, begun = tmp_path / "cache" / "sweeps.sqlite-wal", time.monotonic()
    while not store.is_file() or store.stat().st_size < 50_000:
        assert process.poll() is None and time.monotonic() - begun < 60
        time.sleep(0.05)
    process.send_signal(sent)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert "of 10,100 points are kept in" in said and called in said
    assert list(tmp_path.glob("*.csv*")) == []


SCENARIO = """\
schema: rdusim-scenario/1
machine: {arch: gpu/h100}
experts:
  - {model: llama-2-7b, count: 60, home: host}
arrivals: {process: poisson, rate: 2, requests: 50}
lengths: {prompt_tokens: 128, output_tokens: 20}
"""


def test_a_scenario_is_swept_by_its_own_fields_and_takes_no_options_of_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO)
    vary = ("--vary", "scheduler.batch=1..4*2", "--jobs", "1")
    assert called(path, *vary, "--json", "--metrics", "requests.finished") == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(row["scheduler.batch"], row["requests.finished"]) for row in rows] == [(1, 50), (2, 50), (4, 50)]
    assert "a scenario says that itself" in refused(capsys, path, *vary, "--phase", "decode")
    experiment = tmp_path / "experiment.yaml"
    experiment.write_text("schema: rdusim-sweep/1\nscenario: scenario.yaml\nvary: {scheduler.batch: [1, 2]}\n")
    assert called(experiment, "--jobs", "1", "--metrics", "requests.finished", "--json") == 0
    assert json.loads(capsys.readouterr().out)["rows"] == rows[:2]
    experiment.write_text("schema: rdusim-sweep/1\nscenario: scenario.yaml\nbatch: 2\nvary: {scheduler.batch: 1}\n")
    assert f"{experiment}:3:8: batch: is what a scenario says itself" in refused(capsys, experiment)
