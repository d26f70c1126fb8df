"""The engine of experiments, on the toy machine."""

from __future__ import annotations

import csv
import importlib.util
import io
import sys
from pathlib import Path
from types import ModuleType

import pytest

from rdusim.errors import RdusimError
from runner.families import families
from runner.find import folder_of
from runner.page import BEGIN, END
from runner.read import read_experiment

ROOT = Path(__file__).resolve().parents[2]

EXPERIMENT = """\
schema: rdusim-experiment/1
title: toy
source: nowhere
x: width
measure: latency.total_seconds
unit: ms
also: {launches: kernel_launches, bound: bound, both: alone.pcu + alone.hbm}
rows:
  - at: plain
    series: toy
    run: {model: toy-mlp, arch: toy}
    sensitivity: {slow memory: {overrides: [socket.memory.hbm.bandwidth=10GB/s]}}
  - {at: unfused over fused, series: toy, run: {model: toy-mlp, arch: toy}, against: {fusion: unfused}, unit: x}
picture: {kind: bars, y: ms}
"""
EXPECTED = "width,series,id,value,unit,source\nplain,toy,,,ms,\nunfused over fused,toy,,,x,\n"


def run_py() -> ModuleType:
    spec = importlib.util.spec_from_file_location("experiments_run", ROOT / "experiments" / "run.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def write(folder: Path, experiment: str = EXPERIMENT, expected: str = EXPECTED) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "experiment.yaml").write_text(experiment, encoding="utf-8")
    (folder / "expected.csv").write_text(expected, encoding="utf-8")
    return folder


def results(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / "results.csv").read_text(encoding="utf-8"))))


def test_a_rerun_gives_the_same_bytes_in_another_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = write(tmp_path / "one"), write(tmp_path / "two")
    assert run_py().main([str(one)]) == 0
    assert run_py().main([str(two)]) == 0
    assert (one / "results.csv").read_bytes() == (two / "results.csv").read_bytes()
    assert (one / "results.svg").read_bytes() == (two / "results.svg").read_bytes()
    assert "<svg" in (one / "results.svg").read_text(encoding="utf-8")
    assert "one: 2 rows, 1 sensitivities" in capsys.readouterr().out


def test_a_figure_a_ratio_and_a_sensitivity_are_those_of_the_runs(tmp_path: Path) -> None:
    from rdusim.pipeline import RunRequest, answer

    folder = write(tmp_path / "toy")
    assert run_py().main([str(folder), "--no-plot"]) == 0
    plain, slow, ratio = results(folder)
    fused = answer(RunRequest(model="toy-mlp", arch="toy"))
    unfused = answer(RunRequest(model="toy-mlp", arch="toy", fusion="unfused"))
    assert float(plain["prediction"]) == pytest.approx(1e3 * fused.latency.total_seconds, rel=1e-5)
    assert plain["launches"] == str(fused.kernel_launches)
    assert (slow["role"], slow["reading"]) == ("sensitivity", "slow memory")
    assert float(slow["prediction"]) > float(plain["prediction"])
    quotient = unfused.latency.total_seconds / fused.latency.total_seconds
    assert float(ratio["prediction"]) == pytest.approx(quotient, rel=1e-5)
    assert float(plain["both"]) > 0.0
    assert not (folder / "results.svg").exists()


def test_a_row_that_cannot_be_run_says_why_and_the_others_are_run(tmp_path: Path) -> None:
    """A model that has a file and no family yet."""
    (tmp_path / "toy").mkdir()
    (tmp_path / "config.json").write_text('{"model_type": "no-such-family"}', encoding="utf-8")
    row = f"  - {{at: strange, series: toy, run: {{model: {tmp_path}, arch: toy, phase: decode}}}}\n"
    folder = write(tmp_path / "toy", EXPERIMENT.replace("picture:", f"{row}picture:"), EXPECTED + "strange,toy,,,ms,\n")
    assert run_py().main([str(folder)]) == 0
    *_, strange = results(folder)
    assert strange["prediction"] == "" and "no-such-family" in strange["problem"]
    assert results(folder)[0]["prediction"]
    assert "no result" in (folder / "results.svg").read_text(encoding="utf-8")


def test_the_table_of_a_readme_is_made_anew_and_its_text_stays(tmp_path: Path) -> None:
    folder = write(tmp_path / "toy")
    (folder / "README.md").write_text(f"# Toy\n\n{BEGIN}\nold\n{END}\n\nwhy\n", encoding="utf-8")
    assert run_py().main([str(folder), "--no-plot"]) == 0
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert page.startswith("# Toy") and page.endswith("why\n") and "old" not in page
    assert "| plain | toy |" in page and "slow memory:" in page


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("title:", "tilte:", 2, "key 'tilte' is not known (did you mean 'title'?)"),
        ("model: toy-mlp, arch: toy}\n    s", "model: toy-mpl, arch: toy}\n    s", 11, "no model or file 'toy-mpl'"),
        ("arch: toy}\n    s", "arch: toi}\n    s", 11, "toi"),
        ("fusion: unfused", "fusion: molten", 13, "'molten'"),
        ("[socket.memory.hbm.bandwidth=10GB/s]", "nothing", 12, "is not a list"),
        ("    series: toy\n", "", 9, "series: missing key"),
        ("    run: {model: toy-mlp, arch: toy}\n    s", "    s", 9, "one of published, like, run is needed"),
        ("kind: bars", "kind: pies", 14, "'pies' is not known"),
        ("measure: latency.total_seconds\n", "", 8, "measure: missing key"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_nothing_is_written(
    old: str, new: str, line: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert old in EXPERIMENT
    folder = write(tmp_path / "toy", EXPERIMENT.replace(old, new, 1))
    assert run_py().main([str(folder)]) == 2
    said = capsys.readouterr()
    assert message in said.err and f"experiment.yaml:{line}" in said.err and said.out == ""
    assert not (folder / "results.csv").exists()


COMPOSITION = """\
schema: rdusim-experiment/1
title: composition
source: nowhere
x: experts
lines:
  - {series: node, like: T72, unit: nodes, measure: coe.nodes, vary: {experts: [979, 980]}}
  - {series: DGX, like: T72, change: {gpu: h100}, unit: nodes, measure: coe.nodes_near, vary: {experts: [46, 47]}}
picture: {kind: lines, y: nodes}
"""
HELD = "experts,series,id,value,unit,source\n" + "".join(
    f"{experts},{series},,,nodes,\n" for series, experts in (("node", 979), ("node", 980), ("DGX", 46), ("DGX", 47))
)


def test_nodes_of_a_composition_step_up_where_one_is_full(tmp_path: Path) -> None:
    """13.48 GB each: 12 TiB of DDR hold 979; 640 GB of HBM hold 46 and a router."""
    folder = write(tmp_path / "coe", COMPOSITION, HELD)
    assert run_py().main([str(folder)]) == 0
    assert [row["prediction"] for row in results(folder)] == ["1", "2", "1", "2"]


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("gpu: h100", "gpu: h200", 7, "h200"),
        ("like: T72, unit", "like: T10, unit", 6, "T10 is no composition of experts"),
        ("like: T72, unit", "like: T100, unit", 6, "no target 'T100' in targets.csv"),
        ("coe.nodes,", "coe.seconds,", 6, "T72 has no prompt and answer"),
        ("[979, 980]", "[979, many]", 6, "'many' is not a size"),
        ("change: {gpu: h100}", "change: {cpu: h100}", 7, "key 'cpu' is not known"),
    ],
)
def test_a_composition_that_cannot_be_asked_for_is_refused(
    old: str, new: str, line: int, message: str, tmp_path: Path
) -> None:
    assert old in COMPOSITION
    with pytest.raises(RdusimError) as error:
        read_experiment(write(tmp_path / "coe", COMPOSITION.replace(old, new), HELD))
    assert message in str(error.value) and f"experiment.yaml:{line}" in str(error.value)


def test_experiments_that_share_a_run_stand_together(tmp_path: Path) -> None:
    toy = read_experiment(write(tmp_path / "toy"))
    coe = read_experiment(write(tmp_path / "coe", COMPOSITION, HELD))
    lines = read_experiment(write(tmp_path / "lines", EXPERIMENT.replace("title: toy", "title: again")))
    assert [[one.name for one in family] for family in families([toy, coe, lines])] == [["coe"], ["toy", "lines"]]


def test_a_figure_that_no_report_has_is_a_mistake_of_the_experiment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path / "toy", EXPERIMENT.replace("latency.total_seconds", "latency.totl_seconds"))
    assert run_py().main([str(folder)]) == 2
    error = capsys.readouterr().err
    assert "experiment.yaml:9" in error and "did you mean latency.total_seconds?" in error
    assert not (folder / "results.csv").exists()


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        (EXPECTED.replace(",source", ""), "expected.csv:1: missing column source"),
        (EXPECTED.replace("plain,toy,,,ms", "plain,toy,,3,ms"), "expected.csv:2: id: a value needs the id"),
        (EXPECTED.replace("plain,toy,,,ms", "plain,toy,T50,0.3,ms"), "targets.csv has 0.2196 s for T50"),
        (EXPECTED.replace("plain,toy,,,ms", "plain,toy,,,s"), "expected.csv:2: unit: unit 's'"),
        (EXPECTED.replace("plain,toy,,,ms,\n", ""), "no line for 'plain', 'toy'"),
        (EXPECTED + "other,toy,,,ms,\n", "expected.csv:4: the experiment has no row 'other', 'toy'"),
        (EXPECTED + "plain,toy,,,ms,\n", "expected.csv:4: 'plain', 'toy' is there twice, first in line 2"),
        (EXPECTED.replace("plain,toy,,,ms,\n", "plain,toy,,,ms,,9,8\n"), "expected.csv:2: 8 cells, not 6"),
        (EXPECTED + "\nplain\n", "expected.csv:5: 1 cells, not 6"),
    ],
)
def test_expected_values_are_those_of_the_targets_or_none(expected: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(RdusimError) as error:
        read_experiment(write(tmp_path / "toy", expected=expected))
    assert message in str(error.value)


def test_every_problem_of_several_experiments_is_said_before_any_is_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write(tmp_path / "good")
    bad = write(tmp_path / "bad", EXPERIMENT.replace("schema: rdusim-experiment/1", "schema: 2"))
    assert run_py().main([str(good), str(bad), str(tmp_path / "none")]) == 2
    error = capsys.readouterr().err
    assert "bad/experiment.yaml:1" in error and "none/experiment.yaml" in error
    assert not (good / "results.csv").exists()


LINES = """\
schema: rdusim-experiment/1
title: toy lines
source: nowhere
x: step
measure: latency.total_seconds
unit: s
also: {efficiency: efficiency}
lines:
  - series: toy
    run: {model: toy-mlp, arch: toy}
    vary: {step: [1, 2], sockets: [1, 1], parallel: ["tp=1", "tp=1"]}
picture: {kind: lines, y: s, ideal: true, bound: true}
"""


def test_points_of_a_line_vary_together_and_are_compared_with_the_first(tmp_path: Path) -> None:
    folder = write(tmp_path / "toy", LINES, "step,series,id,value,unit,source\n1,toy,,,s,\n2,toy,,,s,\n")
    assert run_py().main([str(folder)]) == 0
    first, second = results(folder)
    assert (first["efficiency"], second["efficiency"]) == ("1.0000", "0.5000")
    uneven = LINES.replace('["tp=1", "tp=1"]', '["tp=1"]')
    with pytest.raises(RdusimError, match="lists of different lengths: step has 2, sockets has 2, parallel has 1"):
        read_experiment(write(tmp_path / "uneven", uneven))
    with pytest.raises(RdusimError, match="'step', the name of the axis, must be varied"):
        read_experiment(write(tmp_path / "none", LINES.replace("step: [1, 2], ", "")))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[1, 2]", "[]", "vary.step: is empty"),
        ("[1, 2]", "[1, 1]", "'1', 'toy' is asked twice"),
        ("sockets: [1, 1]", "sockets: [1, 17]", "sockets: 17, but the machine has"),
        ("arch: toy}", "arch: toi}", "toi"),
        ("kind: lines, y: s", "kind: lines, y: s, panels: [{series: [tom]}]", "no series 'tom'"),
    ],
)
def test_a_mistake_in_a_line_is_one_message(old: str, new: str, message: str, tmp_path: Path) -> None:
    """Though it is met at each point, and a line without points has a series that a panel may show."""
    assert old in LINES
    text = LINES.replace("y: s, ideal", "y: s, panels: [{series: [toy]}], ideal") if "vary" in message else LINES
    uneven = text.replace('"tp=1", "tp=1"', "") if "[]" in new else text
    with pytest.raises(RdusimError) as error:
        read_experiment(write(tmp_path / "toy", uneven.replace(old, new).replace("sockets: [1, 1]", _sockets(new))))
    (problem,) = error.value.problems
    assert message in str(problem)
    assert "--" not in str(problem)


def _sockets(new: str) -> str:
    """As many as the other lists."""
    return "sockets: []" if new == "[]" else "sockets: [1, 1]"


def test_a_mistake_that_rows_share_is_said_once_with_all_its_lines(tmp_path: Path) -> None:
    with pytest.raises(RdusimError) as error:
        read_experiment(write(tmp_path / "toy", EXPERIMENT.replace("model: toy-mlp", "model: toy-mpl")))
    (problem,) = error.value.problems
    assert problem.line == 11 and "also in line 13" in str(problem)


def test_the_way_out_of_too_few_sockets_is_one_that_an_experiment_has(tmp_path: Path) -> None:
    with pytest.raises(RdusimError, match=r"overrides: \[system.sockets=17\] makes a machine of that size"):
        read_experiment(
            write(tmp_path / "toy", EXPERIMENT.replace("arch: toy}\n    s", "arch: toy, sockets: 17}\n    s"))
        )
    run, like = "run: {model: toy-mlp, arch: toy}\n    s", "like: T10\n    change: {sockets: 17}\n    s"
    folder = write(tmp_path / "like", EXPERIMENT.replace(run, like).replace("    sensitivity", "    #"))
    with pytest.raises(RdusimError, match="published rows run on sn40l as it is"):
        read_experiment(folder)


def test_an_experiment_is_named_by_its_folder_its_file_or_its_name(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    toy = write(home / "fusion")
    assert [folder_of(named, home) for named in (toy, toy / "experiment.yaml", Path("fusion"))] == [toy] * 3
    with pytest.raises(RdusimError, match="did you mean fusion"):
        folder_of(Path("fusoin"), home)
    with pytest.raises(RdusimError, match="there are fusion"):
        folder_of(tmp_path / "nosuch", home)
    with pytest.raises(RdusimError, match=f"expected.csv is no folder .name its folder, {toy}"):
        folder_of(toy / "expected.csv", home)
