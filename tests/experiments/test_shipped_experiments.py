"""The experiments in the tree: every table and figure of the paper, and what is written beside them."""

from __future__ import annotations

import csv
import math
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from rdusim.baselines.published import load_targets
from rdusim.baselines.published_rows import CHOSEN, ROWS
from rdusim.pipeline import Cache, Stages
from rdusim.program.lower import choose_parallelism
from runner.page import BEGIN, refreshed
from runner.predict import predict
from runner.read import read_experiment
from runner.results import MAIN, columns, conditions
from runner.types import Composition, Experiment, Outcome, Published, Ran, said

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = sorted(path.parent.name for path in (ROOT / "experiments").glob("*/experiment.yaml"))

# MICRO Table III.
BENCHMARKS = (
    *(f"llama2-7B 4K {phase}" for phase in ("prefill", "decode", "train")),
    "sparseGPT-13B 2K train",
    *(f"llama2-70B 4K {phase}" for phase in ("prefill", "decode")),
    *(f"bloom-176B 8K {phase}" for phase in ("prefill", "decode")),
    *(f"mistral-7B {length} {phase}" for length in ("2K", "4K") for phase in ("prefill", "decode")),
    *(f"falcon-40B 2K {phase}" for phase in ("prefill", "decode")),
    *(f"llava1.5-7B 4K {phase}" for phase in ("prefill", "decode")),
    "FlashFFTConv 1M",
)


@cache
def shipped(name: str) -> Experiment:
    """Models and options are checked as it is read, and expected values against targets.csv."""
    return read_experiment(ROOT / "experiments" / name)


@cache
def results(name: str) -> tuple[tuple[str, ...], tuple[dict[str, str], ...]]:
    with (ROOT / "experiments" / name / "results.csv").open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        return tuple(reader.fieldnames or ()), tuple(reader)


@pytest.mark.parametrize("name", FOLDERS)
def test_results_in_the_tree_answer_what_is_asked(name: str) -> None:
    experiment = shipped(name)
    heads, rows = results(name)
    assert heads == columns(experiment)
    asked = [(said(row.x), row.series, row.reading, row.main, conditions(row)) for row in experiment.asked]
    found = [(r[experiment.x], r["series"], r["reading"], r["role"] == MAIN, r["conditions"]) for r in rows]
    assert found == asked, f"python experiments/run.py experiments/{name}"


@pytest.mark.parametrize("name", ["scaling", "gemm-reduce-scatter", "llama-3.1", "kernel-looping"])
def test_runs_over_sockets_use_all_that_they_are_given(name: str) -> None:
    requests = {asked.ask.request for asked in shipped(name).asked if isinstance(asked.ask, Ran)}
    assert requests
    for request in requests:
        stages = Stages(request)
        assert (
            choose_parallelism(stages.whole(stages.shape()), stages.arch, stages.lower_options()).sockets
            == stages.sockets
        )


@pytest.mark.parametrize("name", FOLDERS)
def test_every_experiment_has_a_picture_and_a_page_that_shows_it(name: str) -> None:
    folder = ROOT / "experiments" / name
    assert (folder / "results.svg").read_text(encoding="utf-8").rstrip().endswith("</svg>")
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert "](results.svg)" in page and BEGIN in page
    assert f"python experiments/run.py experiments/{name}" in page


@pytest.mark.parametrize("name", FOLDERS)
def test_results_hold_the_published_values_and_what_was_chosen_by_them(name: str) -> None:
    targets = load_targets()
    _, rows = results(name)
    for row in rows:
        if row["role"] == MAIN and row["expected"]:
            assert float(row["expected"]) == targets[row["id"]].value
        if row["id"]:
            looked_at = any(row["id"] in ids for ids in CHOSEN.values())
            assert row["chosen"] == ("yes" if looked_at else "no")
        if row["expected"] and row["prediction"]:
            assert float(row["error"]) == pytest.approx(float(row["prediction"]) / float(row["expected"]) - 1, abs=1e-4)


def test_every_published_result_of_a_table_or_figure_is_in_an_experiment() -> None:
    """All but peak and SRAM, which are no results, and the GPUs' own."""
    shown = {expected.id for name in FOLDERS for expected in shipped(name).expected.values()}
    left = {row.target for row in ROWS if row.set not in ("machine", "gpu")} - shown
    assert left == {"T72"}, left  # T72: what a node holds is where the line of coe-footprint steps up


@pytest.mark.parametrize(("name", "series"), [("fusion", {"SO", "HO"}), ("kernel-counts", {"SN40L"})])
def test_every_benchmark_of_table_iii_is_there(name: str, series: set[str]) -> None:
    asked = {(said(row.x), row.series) for row in shipped(name).asked if row.main}
    assert asked == {(benchmark, each) for benchmark in BENCHMARKS for each in series}


def test_the_two_figures_of_fusion_are_of_the_same_runs() -> None:
    """Batch, length and baseline of a benchmark are the same in both."""

    def setting(name: str) -> dict[str, tuple[object, ...]]:
        found = {}
        for row in shipped(name).asked:
            if row.main and isinstance(row.ask, Published):
                case, against = row.ask.row.case, row.ask.row.against
                assert case is not None and against is not None
                found[said(row.x)] = (case.model, case.batch, case.input_tokens, case.context_tokens, against.fusion)
        return found

    assert setting("fusion") == setting("kernel-counts")


def test_no_experiment_of_the_paper_changes_a_number_of_the_machine() -> None:
    for name in FOLDERS:
        for row in shipped(name).asked:
            match row.ask:
                case Ran(request=request):
                    assert request.overrides == ()
                    assert request.arch in ("sn40l", "sn40l-x16", "sn50-x256")
                case Published() | Composition():
                    pass  # of the machine of rdusim/baselines/published_rows.py


@pytest.mark.parametrize("name", FOLDERS)
def test_the_table_of_a_page_says_what_the_results_say(name: str) -> None:
    """Made anew of results.csv, without a run."""
    experiment = shipped(name)
    _, rows = results(name)
    outcomes = [
        Outcome(asked=asked, value=float(row["prediction"]) if row["prediction"] else None, problem=row["problem"])
        for asked, row in zip(experiment.asked, rows, strict=True)
    ]
    page = (ROOT / "experiments" / name / "README.md").read_text(encoding="utf-8")
    assert page == refreshed(page, experiment, outcomes), f"python experiments/run.py experiments/{name}"


@pytest.mark.parametrize("name", FOLDERS)
def test_results_of_published_rows_are_the_predictions_of_the_validation_page(name: str) -> None:
    """Made by another command, `rdusim validate --update`: one of them that is stale or was edited does not agree."""
    experiment = shipped(name)
    _, rows = results(name)
    for asked, row in zip(experiment.asked, rows, strict=True):
        if not row["id"] or (not asked.main and (not isinstance(asked.ask, Published) or asked.ask.changed)):
            continue  # conditions that the page does not have
        found = predictions()[row["id"] if asked.main else f"({row['id']})"]
        alike = [predicted for run, predicted in found if len(found) == 1 or run.endswith(row["reading"])]
        assert len(alike) == 1, (row["id"], row["reading"])
        printed, unit = alike[0].split(maxsplit=1)
        off = abs(float(printed) - float(row["prediction"]))
        assert unit == row["unit"]
        assert off <= 0.501 * _last_digit(float(printed)), (
            f"{row['id']}: {row['prediction']}, and the page has {printed}"
        )


@cache
def predictions() -> dict[str, list[tuple[str, str]]]:
    """By id as the page writes it (in parentheses: another reading): runs, and what is predicted."""
    page = (ROOT / "docs" / "validation.md").read_text(encoding="utf-8").partition("## Predictions on ")[2]
    found: dict[str, list[tuple[str, str]]] = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith(("| T", "| (T")):
            found.setdefault(cells[0], []).append((cells[2], cells[4]))
    assert len(found) >= len({row.target for row in ROWS})
    return found


def _last_digit(value: float) -> float:
    """Of four."""
    return 10.0 ** (math.floor(math.log10(abs(value))) - 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gemm-reduce-scatter", "generation", "kernel-looping", "scaling", "token-time"])
def test_the_first_result_of_an_experiment_is_what_a_run_gives_now(name: str) -> None:
    """All of them take minutes: `make experiments`."""
    experiment = shipped(name)
    _, rows = results(name)
    (again,) = predict(replace(experiment, asked=experiment.asked[:1]), Cache(), lambda _: None)
    assert again.value is not None
    assert f"{again.value:.6g}" == rows[0]["prediction"]


@pytest.mark.parametrize(
    "name",
    [
        "operational-intensity",
        "coe-footprint",
        *(pytest.param(each, marks=pytest.mark.slow) for each in ("decoder", "llama-3.1")),
    ],
)
def test_a_cheap_experiment_rerun_gives_the_files_in_the_tree(name: str, tmp_path: Path) -> None:
    """Arithmetic of FLOPs, bytes and capacities; and two that any change of a timing model moves."""
    folder = tmp_path / name
    folder.mkdir()
    for file in ("experiment.yaml", "expected.csv", "README.md"):
        (folder / file).write_bytes((ROOT / "experiments" / name / file).read_bytes())
    command = [sys.executable, str(ROOT / "experiments" / "run.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for file in ("results.csv", "README.md"):
        assert (folder / file).read_bytes() == (ROOT / "experiments" / name / file).read_bytes()
