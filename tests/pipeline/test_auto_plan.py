"""`--parallel auto` finds what trying everything finds, and what it did not try was slower by its bound."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import prod
from pathlib import Path

import pytest

from rdusim.errors import OptionError, RdusimError
from rdusim.pipeline import Cache, RunRequest, run
from rdusim.pipeline.auto_plan import AXES, LISTED, SIMULATED, _asked, _bound, _reasons, plans
from rdusim.pipeline.stages import Stages
from rdusim.report.types import PlanUse, Report
from tests.graph.tiny_models import LLAMA, write

WIDE = {"hidden_size": 4096, "intermediate_size": 16384, "num_attention_heads": 32, "num_key_value_heads": 8}
SOCKETS = 4


@pytest.fixture(scope="module")
def cache() -> Cache:
    return Cache()


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> RunRequest:
    """A step whose weights take far longer than everything else, so that plans differ and bounds are sharp."""
    config = LLAMA | WIDE | {"vocab_size": 32000, "head_dim": 128}
    path = write(tmp_path_factory.mktemp("wide"), config)
    return RunRequest(model=str(path), sockets=SOCKETS, batch=8, context_tokens=512, parallel="auto")


@pytest.fixture(scope="module")
def found(request_: RunRequest, cache: Cache) -> Report:
    return run(request_, cache=cache)


@pytest.fixture(scope="module")
def tried(request_: RunRequest, cache: Cache) -> dict[str, Report | str]:
    """Every product of axes over the sockets: its report, or why there is none."""
    answers: dict[str, Report | str] = {}
    for ways in plans(SOCKETS):
        text = ",".join(f"{axis}={getattr(ways, axis)}" for axis in AXES)
        try:
            answers[text] = run(replace(request_, parallel=text), cache=cache)
        except RdusimError as error:
            answers[text] = str(error)
    return answers


def key(plan: PlanUse) -> str:
    return ",".join(f"{axis}={plan.parallelism[axis]}" for axis in AXES)


@pytest.mark.parametrize("sockets", [1, 2, 8, 12, 64])
def test_plans_are_all_products_each_once(sockets: int) -> None:
    """Of n sockets, as many as there are ways of giving each prime factor to one of five axes."""
    made = list(plans(sockets))
    assert len(set(made)) == len(made)
    assert all(ways.sockets == sockets for ways in made)
    powers = {1: [], 2: [1], 8: [3], 12: [2, 1], 64: [6]}[sockets]
    assert len(made) == prod({1: 5, 2: 15, 3: 35, 6: 210}[power] for power in powers)


def test_the_best_plan_is_the_best_of_all(found: Report, tried: dict[str, Report | str]) -> None:
    times = {text: report.latency.total_seconds for text, report in tried.items() if isinstance(report, Report)}
    assert len(times) == 6  # tp, pp and dp: a dense model has no experts, and a step no second token
    assert found.latency.total_seconds == min(times.values())
    assert found.plans is not None
    assert times[key(found.plans[0])] == found.latency.total_seconds
    assert dict(found.setting.parallelism) == dict(found.plans[0].parallelism)
    simulated = [plan for plan in found.plans if plan.total_seconds is not None]
    assert len(simulated) >= SIMULATED
    assert [plan.total_seconds for plan in simulated] == sorted(times[key(plan)] for plan in simulated)


def test_a_plan_that_was_not_tried_takes_at_least_its_bound_and_that_is_more(
    found: Report, tried: dict[str, Report | str]
) -> None:
    bounded = [plan for plan in found.plans or () if plan.at_least_seconds is not None]
    assert bounded
    for plan in bounded:
        report = tried[key(plan)]
        assert isinstance(report, Report)
        assert found.latency.total_seconds <= (plan.at_least_seconds or 0.0) <= report.latency.total_seconds


def test_plans_that_are_refused_are_listed_with_the_reason(found: Report, tried: dict[str, Report | str]) -> None:
    refused = [plan for plan in found.plans or () if plan.refused is not None]
    assert refused
    for plan in refused:
        why = tried[key(plan)]
        assert isinstance(why, str)
        assert plan.refused == why.splitlines()[0]
    assert len(found.plans or ()) == LISTED
    kinds = Counter(isinstance(answer, Report) for answer in tried.values())
    assert f"{kinds[False]} refused" in found.notes[-1]


@pytest.mark.parametrize(("phase", "axes"), [("prefill", {"tp", "pp", "dp", "sp"}), ("train", {"tp", "pp"})])
def test_no_plan_beats_its_bound(phase: str, axes: set[str], tmp_path: Path) -> None:
    path = write(tmp_path, LLAMA | WIDE | {"head_dim": 128, "vocab_size": 64, "num_hidden_layers": 1})
    asked = RunRequest(model=str(path), sockets=2, phase=phase, batch=2, input_tokens=16)
    cache = Cache()
    for ways in plans(2):
        if any(getattr(ways, axis) > 1 for axis in axes):
            stages = Stages(_asked(asked, ways), cache=cache)
            assert 0.0 < _bound(stages) <= stages.report().latency.total_seconds, ways


def test_where_no_plan_is_legal_the_reasons_are_given(tmp_path: Path) -> None:
    path = write(tmp_path, LLAMA)
    with pytest.raises(OptionError, match=r"no plan for 7 sockets is legal \(tp=7: .*does not divide"):
        run(RunRequest(model=str(path), sockets=7, context_tokens=8, parallel="auto"))


def test_a_reason_that_plans_have_in_common_is_said_once() -> None:
    refused = [
        PlanUse(parallelism={axis: 2 if axis == cut else 1 for axis in AXES}, refused="too large" if cut else "why")
        for cut in (*AXES[:3], "")
    ]
    first, second, _ = AXES[:3]
    assert _reasons(refused) == [f"{first}=2, {second}=2 and 1 more: too large", "tp=1: why"]


def test_an_engine_that_runs_nothing_on_the_machine_is_refused_before_any_plan_is_tried(tmp_path: Path) -> None:
    heard: list[str] = []
    path = write(tmp_path, LLAMA)
    with pytest.raises(OptionError) as error:
        run(RunRequest(model=str(path), phase="train", parallel="auto", engine="cycle"), observe=heard.append)
    (problem,) = error.value.problems
    assert problem.field == "--engine cycle"
    assert not heard
