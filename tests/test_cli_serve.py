"""rdusim serve from outside: exit codes, output, files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from rdusim.cli import main

SCENARIO = """
schema: rdusim-scenario/1
machine: {arch: gpu/h100}
experts:
  - {model: llama-2-7b, count: 60, home: host}
arrivals: {process: poisson, rate: 2, requests: 50}
lengths: {prompt_tokens: 128, output_tokens: 20}
slo: {e2e: 3 s}
"""


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RDUSIM_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO)
    return path


def called(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main(["serve", *map(str, arguments)])
    return int(end.value.code or 0)


def test_the_report_says_what_was_asked_and_where_latency_comes_from(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(scenario) == 0
    out = capsys.readouterr()
    assert "50 of 50 requests" in out.out and "TTFT" in out.out and "Expert cache" in out.out
    assert out.err == ""  # a pipe: no progress


def test_json_has_units_in_its_names_and_is_the_same_again(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert called(scenario, "--json") == 0
    first = capsys.readouterr().out
    assert called(scenario, "--json") == 0
    assert capsys.readouterr().out == first
    found = json.loads(first)
    assert found["partial"] is False
    assert found["latency_seconds"]["e2e"]["p50"] <= found["latency_seconds"]["e2e"]["p99.9"]
    assert found["slo"]["limits_seconds"] == {"e2e": 3.0}
    assert found["expert_cache"]["moved_bytes"] == found["expert_cache"]["misses"] * 13_476_831_232


def test_trace_and_page_are_written(scenario: Path, tmp_path: Path) -> None:
    trace, page = tmp_path / "trace.json.gz", tmp_path / "page.html"
    assert called(scenario, "--trace", trace, "--report", page, "--output", tmp_path / "report.txt") == 0
    events = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    assert any(event["name"] == "decode" for event in events)
    assert page.read_text().startswith("<!") and "src=" not in page.read_text()
    assert "50 of 50" in (tmp_path / "report.txt").read_text()


def test_an_slo_that_nothing_keeps_ends_with_1_and_says_by_how_much(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(scenario, "--find", "max-rate", "--slo", "e2e=1ms") == 1
    assert "times its limit" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--find", "max-rat"), "--find: 'max-rat' is not known"),
        (("--slo", "ttft=soon"), "slo"),
        (("--set", "gpu.clok=1GHz"), "clok"),
        (("--trace", "trace.txt"), "has no known ending"),
        (("--footprint", "sn99"), "sn99"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_wrong_options_end_with_2_and_one_message(
    scenario: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert called(scenario, *arguments) == 2
    out = capsys.readouterr()
    assert out.out == "" and said in out.err and "Traceback" not in out.err


def test_a_scenario_that_is_not_there_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert called(tmp_path / "none.yaml") == 2
    assert "none.yaml" in capsys.readouterr().err


def test_an_interrupt_ends_with_130_and_a_partial_report(
    scenario: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rdusim.serve.coe import node

    served = []
    run = node.Node.run

    def stopped(self: node.Node, *arguments: object) -> bool:
        served.append(1)
        if len(served) > 20:
            raise KeyboardInterrupt
        return run(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(node.Node, "run", stopped)
    assert called(scenario, "--json") == 130
    out = capsys.readouterr()
    found = json.loads(out.out)
    assert found["partial"] is True and found["requests"]["finished"] == 20
    assert "partial" in out.err
