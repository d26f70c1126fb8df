"""Tornados: laws that hold whatever the machine, hand-computed ends, and questions that make no sense."""

from __future__ import annotations

import csv
from dataclasses import replace
from itertools import pairwise
from math import isclose
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdusim.arch.load import load_arch
from rdusim.errors import OptionError, RdusimError
from rdusim.explore.headlines import is_headlines, read_headlines
from rdusim.explore.parameters import moved, parameters
from rdusim.explore.sensitivity import SWITCH, Fields, Question, sensitivity
from rdusim.pipeline import Cache, RunRequest, run
from rdusim.report.sensitivity import Influence, Sensitivity, as_json, compiled_anew, table

ROOT = Path(__file__).resolve().parents[2]
TOY = RunRequest(model="toy-mlp", arch="toy")
HBM = "socket.memory.hbm.bandwidth"


@pytest.fixture(scope="module")
def cache() -> Cache:
    return Cache()


def by_path(found: Sensitivity) -> dict[str, Influence]:
    return {each.path: each for each in (*found.parameters, *found.refused)}


def test_the_ends_are_the_runs_of_those_machines(cache: Cache) -> None:
    found = by_path(sensitivity(Question(request=TOY, patterns=("launch.*", HBM), remap=True), cache=cache))
    for path, each in found.items():
        for end in (each.low, each.high):
            assert end is not None, path
            alone = run(replace(TOY, overrides=(f"{path}={end.text}",)))
            assert end.metric == alone.latency.total_seconds, path
    execute = found["launch.execute"]
    assert execute.low is not None and execute.high is not None
    assert isclose(execute.low.value, 0.8 * execute.value) and isclose(execute.high.value, 1.2 * execute.value)


def test_the_largest_swing_comes_first_and_what_has_no_effect_swings_by_nothing(cache: Cache) -> None:
    found = sensitivity(Question(request=TOY, fields=Fields.RATES), cache=cache)
    swings = [each.swing for each in found.parameters]
    assert swings == sorted(swings, reverse=True) and swings[0] > 0.0
    unused = by_path(found)["socket.memory.ddr.bandwidth"]  # nothing of the model lies there
    assert unused.swing == 0.0 and unused.elasticity == 0.0
    assert unused not in found.shown()


@pytest.mark.parametrize("path", ["launch.execute", "socket.memory.hbm.latency", "socket.clock"])
def test_a_tornado_is_monotone_in_what_bounds_a_run(path: str, cache: Cache) -> None:
    """The farther a cost is moved, the farther goes the figure; a share x of the time moves it by at most x."""
    ends = []
    for by in (0.1, 0.3, 0.6):
        (each,) = sensitivity(Question(request=TOY, patterns=(path,), by=by), cache=cache).parameters
        assert each.low is not None and each.high is not None
        ends.append((each.low.metric, each.base, each.high.metric))
    falling = path == "socket.clock"
    for low, base, high in ends:
        assert (low >= base >= high) if falling else (low <= base <= high)
    for nearer, farther in pairwise(ends):
        assert abs(farther[0] - farther[1]) >= abs(nearer[0] - nearer[1])
        assert abs(farther[2] - farther[1]) >= abs(nearer[2] - nearer[1])


def test_of_one_clock_and_nothing_else_the_elasticity_is_minus_one() -> None:
    """A copy takes as long as its bytes over the bandwidth, but for a latency of a ten-thousandth."""
    question = Question(
        request=RunRequest(model="llama-2-7b", sockets=8), metric=SWITCH, patterns=("socket.memory.ddr.bandwidth",)
    )
    (each,) = sensitivity(question).parameters
    assert each.elasticity == pytest.approx(-1.0, abs=1e-3)
    assert each.low is not None and each.low.metric / each.base == pytest.approx(1.25, rel=1e-3)


def test_a_count_goes_to_the_nearest_that_the_machine_allows(cache: Cache) -> None:
    banks = by_path(
        sensitivity(Question(request=RunRequest(model="monarch-fft"), patterns=("socket.tile.pmu.banks",)))
    )["socket.tile.pmu.banks"]
    assert banks.low is not None and banks.high is not None
    assert (banks.low.text, banks.text, banks.high.text) == ("8", "16", "32")
    assert banks.compiled_again


def test_what_cannot_be_moved_says_why_and_so_does_an_end_that_cannot_be_run(cache: Cache) -> None:
    found = by_path(
        sensitivity(Question(request=TOY, patterns=("socket.dies", "socket.memory.*.timing.refresh_time")), cache=cache)
    )
    assert found["socket.dies"].low is None and "no lower value near 1" in (found["socket.dies"].problem or "")
    assert found["socket.dies"].high is not None
    still = found["socket.memory.hbm.timing.refresh_time"]
    assert still.low is still.high is None and "0 ns" in (still.problem or "")
    fixed = replace(TOY, sockets=2)
    sockets = by_path(sensitivity(Question(request=fixed, patterns=("system.sockets",)), cache=cache))["system.sockets"]
    assert sockets.low is None and "the machine has 1" in (sockets.problem or "")


def test_sockets_that_would_stand_idle_are_passed_over_for_a_count_that_works() -> None:
    question = Question(request=RunRequest(model="llama-3.1-8b", context_tokens=64), patterns=("system.sockets",))
    (each,) = sensitivity(question).parameters
    assert each.low is not None and each.low.text == "4"  # 6 and 7 do not divide the model
    assert each.high is None and "with 10, 9, 11 of them some stand idle" in (each.problem or "")  # ports for 11


def test_the_largest_rate_is_also_moved_with_programs_compiled_for_its_values(cache: Cache) -> None:
    step = RunRequest(model="llama-3.2-1b")
    kept = sensitivity(Question(request=step, patterns=(HBM,)), cache=cache)
    (anew,) = sensitivity(Question(request=step, patterns=(HBM,), remap=True), cache=cache).parameters
    assert kept.again == anew and anew.elasticity is not None
    assert kept.parameters[0].elasticity != anew.elasticity
    said = compiled_anew(kept)
    assert said.startswith("the program is kept") and f"{HBM} then has " in said
    assert said.endswith(f"elasticity {anew.elasticity:+.2f}")
    rate = as_json(kept)["largest_rate_remapped"]
    assert isinstance(rate, dict) and (rate["path"], rate["elasticity"]) == (HBM, anew.elasticity)


@pytest.mark.parametrize("change", [{"remap": True}, {"patterns": ("system.sockets",)}])
def test_nothing_is_compiled_once_more_where_no_program_was_kept(change: dict[str, object], cache: Cache) -> None:
    found = sensitivity(replace(Question(request=TOY), **change), cache=cache)  # type: ignore[arg-type]
    assert found.again is None and compiled_anew(found) == ""


def test_only_what_is_assumed_or_only_rates_are_moved_when_asked(cache: Cache) -> None:
    small = RunRequest(model="monarch-fft")
    known = {each.path: each for each in parameters(small)}
    assumed = sensitivity(Question(request=small, fields=Fields.ASSUMED, patterns=("launch.*", HBM)), cache=cache)
    assert by_path(assumed).keys() == {path for path in known if path.startswith("launch.")}
    assert all(each.assumed for each in by_path(assumed).values())
    rates = sensitivity(Question(request=small, fields=Fields.RATES, patterns=("socket.tile.pmu.*",)), cache=cache)
    assert "socket.tile.pmu.banks" not in by_path(rates) and "socket.tile.pmu.latency" in by_path(rates)


def test_a_range_of_doubt_takes_the_place_of_the_share(cache: Cache) -> None:
    question = Question(request=TOY, patterns=("launch.execute",), ranges={"launch.execute": ("50 ns", "100ns")})
    (each,) = sensitivity(question, cache=cache).parameters
    assert each.low is not None and each.high is not None and each.ranged
    assert (each.low.value, each.high.value, each.high.metric) == (50e-9, 100e-9, each.base)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"by": 0.0}, "0% is no share"),
        ({"by": 1.0}, "100% is no share"),
        ({"by": float("nan")}, "no share"),
        ({"metric": "latency.totl_seconds"}, "did you mean latency.total_seconds"),
        ({"metric": "total_seconds"}, "did you mean latency.total_seconds"),
        ({"metric": "bound"}, "no number 'bound'"),
        ({"patterns": ("launch.exec",)}, "did you mean launch.execute"),
        ({"patterns": ("name",)}, "no number 'name'"),
        ({"ranges": {"launch.exec": ("1us", "2us")}}, "did you mean launch.execute"),
        ({"ranges": {"launch.execute": ("1", "2us")}}, "has no unit"),
        ({"ranges": {"launch.execute": ("1us", "2us")}}, "no range around 100 ns"),
        ({"request": replace(TOY, arch="gpu/h100")}, "is a GPU"),
        ({"request": replace(TOY, model="toy")}, "no model or file"),
        ({"patterns": ("socket.dies",), "fields": Fields.RATES}, "is a rate"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(RdusimError, match=message):
        sensitivity(replace(Question(request=TOY), **change))  # type: ignore[arg-type]


@settings(max_examples=8)
@given(by=st.floats(0.01, 0.9))
def test_every_number_of_a_machine_moves_to_its_side_of_the_value_and_stays_a_machine(by: float) -> None:
    request = RunRequest(model="toy-mlp", arch="sn40l")
    for each in parameters(request)[::7]:  # every seventh: the machine is read for each value
        for sign in (-1.0, 1.0):
            try:
                to = next(moved(request, each, sign * by))
            except OptionError:
                continue
            assert (to.value > each.value) == (sign > 0.0), each.path
            assert to.value != each.value
            load_arch("sn40l", (f"{each.path}={to.text}",))


def test_the_table_and_the_json_tell_all_parameters(cache: Cache) -> None:
    found = sensitivity(
        Question(request=TOY, patterns=("launch.*", "socket.memory.hbm.timing.refresh_time")), cache=cache
    )
    rows = table([found]).decode().splitlines()
    assert len(rows) == 1 + len(found.parameters) + len(found.refused)
    values = as_json(found)
    assert isinstance(values["parameters"], list) and len(values["parameters"]) == len(found.parameters)
    assert isinstance(values["refused"], list) and len(values["refused"]) == len(found.refused) == 1


def test_the_shipped_headlines_are_questions() -> None:
    file = ROOT / "experiments" / "sensitivity" / "headlines.yaml"
    assert is_headlines(str(file))
    headlines = read_headlines(file)
    assert len(headlines.questions) == 5
    assert {each.metric for each in headlines.questions} == {
        "latency.total_seconds",
        "throughput.tokens_per_second",
        "switch_seconds",
    }
    assert not is_headlines(str(ROOT / "graphs" / "toy-mlp.yaml")) and not is_headlines("llama-3.1-8b")


@pytest.mark.parametrize("number", [1, 4])
def test_the_shipped_results_are_those_of_the_shipped_headlines(number: int) -> None:
    """Of the quick ones; `make experiments` writes all of them again."""
    folder = ROOT / "experiments" / "sensitivity"
    question = read_headlines(folder / "headlines.yaml").questions[number]
    made = list(csv.reader(table([sensitivity(question)]).decode().splitlines()))
    with (folder / "results.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert made == [header, *(row for row in rows if row[0] == question.name)]


def test_everything_wrong_with_a_file_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(
        "schema: rdusim-sensitivity/1\nby: much\nheadlines:\n  - name: a\n    run: {model: toy-mlp, bach: 2}\n"
        "    fields: some\n    ranges: {launch.execute: 1us}\n  - metric: x\n",
        encoding="utf-8",
    )
    assert is_headlines(str(file))
    with pytest.raises(RdusimError) as caught:
        read_headlines(file)
    said = [str(problem) for problem in caught.value.problems]
    for place, text in (("2:", "no share"), ("5:", "bach"), ("6:", "some"), ("7:", "no range"), ("8:", "missing key")):
        assert any(f"wrong.yaml:{place}" in line and text in line for line in said), (place, text, said)
