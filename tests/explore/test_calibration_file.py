from __future__ import annotations

from pathlib import Path

import pytest

from rdusim.errors import Problem, RdusimError
from rdusim.explore.calibration_file import read_calibration

SMALL = """\
parameters:
  - {path: launch.execute, low: 0.3 us, high: 5 us, why: a test}
  - path: socket.memory.hbm.timing.refresh_time
    low: 160 ns
    high: 350 ns
    why: a test
targets:
  - {target: T55, uncertainty: 0.1, why: a test}
  - {target: T41, uncertainty: 0.05, why: a test}
"""
EXECUTE = "path: launch.execute, low: 0.3 us, high: 5 us"


def problems(folder: Path, text: str) -> tuple[Problem, ...]:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RdusimError) as caught:
        read_calibration(path)
    assert {problem.file for problem in caught.value.problems} == {str(path)}
    return caught.value.problems


def test_a_calibration_is_what_its_file_says(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(SMALL.replace("0.3 us", "3e-1us"), encoding="utf-8")
    calibration = read_calibration(path)
    assert [(free.path, free.low, free.high, free.unit) for free in calibration.parameters] == [
        ("launch.execute", 0.3, 5.0, "us"),
        ("socket.memory.hbm.timing.refresh_time", 160.0, 350.0, "ns"),
    ]
    assert [(aim.target, aim.uncertainty) for aim in calibration.targets] == [("T55", 0.1), ("T41", 0.05)]


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "message", "hint"),
    [
        ("launch.execute", "launch.exekute", 2, "parameters.path", "no number 'launch.exekute'", "launch.execute"),
        ("launch.execute", "launch.executed", 2, "parameters.path", "no number 'launch.executed'", "launch.execute"),
        ("launch.execute", "socket.memory.hbm.bandwidth", 2, "parameters.path", "no assumed parameter", "did you mean"),
        ("launch.execute", "socket.tile.rows", 2, "parameters.path", "is structure", "rdusim arch show"),
        ("launch.execute", "system.host.bandwidth", 2, "parameters.path", "neither a time nor a size", "latency"),
        ("low: 160 ns", "low: 280 ns", 4, "parameters.low", "260 ns, the value of sn40l", "the lower one first"),
        ("low: 160 ns", "low: 0 ns", 4, "parameters.low", "'0 ns' is not above 0", "logarithms"),
        ("low: 160 ns", "low: 160 xs", 4, "parameters.low", "unknown unit 'xs'; a time is wanted", None),
        ("high: 350 ns", "high: 1 us", 5, "parameters.high", "bounds in ns and us", "one unit"),
        ("low: 160 ns", "lower: 160 ns", 4, "parameters", "'lower' is not known", "low"),
        ("low: 160 ns", "# no bound", 3, "parameters.low", "missing key", "low: 0.3 us"),
        ("low: 160 ns", "low: [160 ns]", 4, "parameters.low", "is not a text", None),
        ("socket.memory.hbm.timing.refresh_time", "launch.execute", 3, "parameters.path", "is there twice", "line 2"),
        ("T41", "T55", 9, "targets.target", "T55 is there twice", "line 8"),
        ("T41", "T99", 9, "targets.target", "'T99' is no target", "T50"),
        ("T41", "T60", 9, "targets.target", "T60 (Composition of Experts) cannot be calibrated", "T50"),
        ("0.05", "0", 9, "targets.uncertainty", "'0' is no uncertainty", "above 0"),
        ("0.05", "5%", 9, "targets.uncertainty", "'5%' is no uncertainty", "0.05 for 5%"),
        ("0.05", "nan", 9, "targets.uncertainty", "'nan' is no uncertainty", "above 0"),
        ("T41, uncertainty: 0.05", "T41", 9, "targets.uncertainty", "missing key", "0.05"),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_a_way_out(
    tmp_path: Path, old: str, new: str, line: int, field: str, message: str, hint: str | None
) -> None:
    found = problems(tmp_path, SMALL.replace(old, new))
    (said,) = [each for each in found if message in each.message and each.field == field]
    assert said.line == line
    assert hint is None or hint in (said.hint or "")


def test_only_one_parameter_beside_launch_costs_is_free(tmp_path: Path) -> None:
    other = "path: socket.memory.hbm.latency, low: 100 ns, high: 1000 ns"
    (said,) = problems(tmp_path, SMALL.replace(EXECUTE, other))
    assert said.line == 3 and "only one parameter beside launch costs" in said.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ["the file is empty"]),
        ("# nothing\n", ["the file is empty"]),
        ("- 1\n", ["is not a mapping"]),
        ("parameters:\ntargets:\n", ["is not a list", "is not a list"]),
        ("parameters: []\ntargets: []\n", ["there is none", "there is none"]),
        ("parameter: []\n", ["is not known", "missing key", "missing key"]),
        ("parameters: [1]\ntargets: [null]\n", ["is not a mapping", "is not a mapping"]),
        ("parameters: [\n", ["no valid YAML"]),
    ],
)
def test_a_file_of_another_shape_is_refused(tmp_path: Path, text: str, said: list[str]) -> None:
    found = problems(tmp_path, text)
    assert len(found) == len(said)
    for word in said:
        assert any(word in problem.message for problem in found)


def test_every_problem_is_said_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = SMALL.replace("launch.execute", "launch.exekute").replace("160 ns", "160 xs").replace("T41", "T60")
    assert [problem.line for problem in problems(tmp_path, text)] == [2, 4, 9]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RdusimError, match=r"none\.yaml: cannot be read"):
        read_calibration(tmp_path / "none.yaml")
