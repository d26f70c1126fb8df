"""The script of experiments/calibration: what is refused before its search, and what is written after it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "experiments/calibration/run.py"
QUICK = """\
parameters:
  - {path: launch.execute, low: 0.3 us, high: 5 us, why: a test}
targets:
  - {target: T55, uncertainty: 0.1, why: a test}
"""


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("calibration_run", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(QUICK, encoding="utf-8")
    return path


@pytest.fixture
def no_search(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def searched(*_: object) -> None:
        raise AssertionError("the search began")

    monkeypatch.setattr(script, "searched", searched)


@pytest.mark.usefixtures("no_search")
def test_a_wrong_file_and_a_wrong_folder_are_said_together_before_the_search(
    script: ModuleType, mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine.write_text(QUICK.replace("T55", "T60").replace("0.3 us", "0.3 xs"), encoding="utf-8")
    assert script.main([str(mine), "--output", str(tmp_path / "nowhere")]) == 2
    printed, said = capsys.readouterr()
    assert printed == ""
    lines = said.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"{mine}:2:") and lines[1].startswith(f"{mine}:4:")
    assert lines[2].startswith(f"--output: there is no folder {tmp_path / 'nowhere'}")
    assert list(tmp_path.iterdir()) == [mine]


@pytest.mark.usefixtures("no_search")
@pytest.mark.parametrize("text", ["", "parameters:\n", "parameters: [{}]\ntargets: [{}]\n"])
def test_a_file_without_what_is_needed_is_refused(
    script: ModuleType, mine: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mine.write_text(text, encoding="utf-8")
    assert script.main([str(mine)]) == 2
    assert str(mine) in capsys.readouterr().err


@pytest.mark.usefixtures("no_search")
def test_a_missing_package_is_said_before_the_search(
    script: ModuleType, mine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script, "find_spec", lambda name: None if name == "scipy" else object())
    assert script.main([str(mine)]) == 2
    assert capsys.readouterr().err == "scipy is not installed (pip install 'rdusim[calibrate]')\n"


def test_results_lie_beside_the_file_or_in_the_folder_that_is_named(
    script: ModuleType, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    files = {name: name.encode() for name in (*script.TABLES, script.PICTURE)}
    monkeypatch.setattr(script, "searched", lambda *_: (files, "done"))
    assert script.main([str(mine)]) == 0
    assert script.main([str(mine), "--output", str(other)]) == 0
    assert {path.name: path.read_bytes() for path in other.iterdir()} == files
    assert {path.name for path in tmp_path.iterdir()} == {*files, "mine.yaml", "other"}


def test_an_interrupted_search_writes_nothing(
    script: ModuleType, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(script, "searched", interrupted)
    assert script.main([str(mine)]) == 130
    assert list(tmp_path.iterdir()) == [mine]


def test_a_small_search_makes_every_file(script: ModuleType, mine: Path) -> None:
    files, closing = script.searched(script.read_calibration(mine), lambda _: None)
    assert set(files) == {*script.TABLES, script.PICTURE}
    assert files["parameters.csv"].decode().splitlines()[1].startswith("launch.execute,us,0.3,5,1.5,")
    assert files["profile.svg"].startswith(b"<?xml")
    before, best = (float(word) for word in closing.replace(",", "").split() if word.replace(".", "").isdigit())
    assert best <= before
