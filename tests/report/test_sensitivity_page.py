from __future__ import annotations

from pathlib import Path

import pytest

from rdusim.cli import main
from rdusim.report.sensitivity import End, Influence, Sensitivity
from rdusim.report.sensitivity_page import sensitivity_page
from rdusim.report.types import Report
from tests.report.page_checks import check_in_browser, check_page, data, parsed

NASTY = 'assumed: a <b> & "c"'


def influence(path: str, low: float, high: float, note: str = "a paper") -> Influence:
    ends = (End(text=f"{value} ns", value=value * 1e-9, metric=metric) for value, metric in ((8.0, low), (12.0, high)))
    return Influence(path=path, text="10 ns", value=1e-8, note=note, base=1.0, low=next(ends), high=next(ends))


@pytest.fixture
def found(report: Report) -> tuple[Sensitivity, ...]:
    parameters = (
        influence("socket.memory.hbm.bandwidth", 1.2, 0.85),
        influence("launch.execute", 0.9, 1.1, NASTY),
        influence("socket.clock", 1.05, 1.02),
        influence("nothing", 1.0, 1.0),
    )
    refused = (Influence(path="socket.dies", text="2", value=2.0, note="a paper", base=1.0, problem="<no> other"),)
    one = Sensitivity(
        name="decode of <toy>", setting=report.setting, metric="latency.total_seconds", base=1.0, by=0.2,
        remapped=False, parameters=parameters, refused=refused,
    )  # fmt: skip
    still = Sensitivity(
        name="another", setting=report.setting, metric="kernel_launches", base=0.0, by=0.2, remapped=False,
        parameters=(),
    )  # fmt: skip
    return one, still


def test_a_page_is_alone_and_told_in_words(found: tuple[Sensitivity, ...]) -> None:
    text = sensitivity_page(found, title="two <figures>", command="rdusim sensitivity toy")
    check_page(text)
    said = "".join(parsed(text).itertext())
    assert "No parameter moves it" in said and "<no> other" in said and NASTY in said


def test_every_parameter_that_moves_the_figure_has_a_bar_with_its_ends(found: tuple[Sensitivity, ...]) -> None:
    drawing = next(each for each in parsed(sensitivity_page(found)).iter("svg") if each.get("class") == "chart")
    texts = [each.text for each in drawing.iter("text")]
    assert "launch.execute *" in texts and "socket.clock" in texts and "nothing" not in texts
    assert {"-15.0%", "+20.0%", "-10.0%", "+10.0%", "+5.0%"} <= set(texts)
    bars = [each for each in drawing.iter("path") if each.get("class") == "b"]
    assert [(each.get("d") or "").count("M") for each in bars] == [3, 3]


def test_swings_of_the_page_are_those_of_the_parameters(found: tuple[Sensitivity, ...]) -> None:
    assert data(sensitivity_page(found))["i-swing"] == [each.swing for each in found[0].parameters]


def test_the_same_sensitivities_give_the_same_bytes(found: tuple[Sensitivity, ...]) -> None:
    assert sensitivity_page(found) == sensitivity_page(found)


def test_sensitivity_writes_the_page_beside_its_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "moves.html"
    asked = ["sensitivity", "toy-mlp", "--arch", "toy", "--parameter", "launch.*", "--by", "10%", "--rates"]
    with pytest.raises(SystemExit) as end:
        main([*asked, "--report", str(file)])
    assert not end.value.code and "latency.total_seconds" in capsys.readouterr().out
    text = file.read_text(encoding="utf-8")
    check_page(text)
    said = "rdusim sensitivity toy-mlp --arch toy --by 10% --parameter &#x27;launch.*&#x27; --rates --report moves.html"
    assert said in text


def test_chromium_shows_sensitivities(chromium: str, found: tuple[Sensitivity, ...], tmp_path: Path) -> None:
    check_in_browser(chromium, sensitivity_page(found), tmp_path)
