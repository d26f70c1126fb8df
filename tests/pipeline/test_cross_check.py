"""Engine against engine: every microbenchmark in three of them, some models in two."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rdusim.baselines.engine_differences import KNOWN
from rdusim.pipeline.cross_check import compare_micro, compare_model, micros
from rdusim.report.cross_check import CLOSE, FAR, PAIRS, Compared, CrossCheck, as_json, markdown

MICROS = {path.stem: path for path in micros()}
DEADLOCKS = ("full-circle", "no-credit")


@pytest.mark.parametrize("name", [name for name in MICROS if name not in DEADLOCKS])
def test_engines_agree_on_a_microbenchmark(name: str) -> None:
    row = compare_micro(MICROS[name])
    assert set(row.seconds) == {"steady", "discrete", "cycle"}
    for pair, share in row.differences().items():
        assert abs(share) <= row.limit(pair), pair


@pytest.mark.parametrize("name", DEADLOCKS)
def test_all_engines_find_a_deadlock_and_name_the_stages(name: str) -> None:
    row = compare_micro(MICROS[name])
    assert row.deadlocks is not None
    assert set(row.deadlocks) == {"steady", "discrete", "cycle"}
    assert not row.failed
    stages = {"full-circle": ("make", "sum", "divide"), "no-credit": ("s3", "s4")}[name]
    assert all(stage in said for said in row.deadlocks.values() for stage in stages)


@pytest.mark.parametrize(
    ("model", "phase", "batch"),
    [
        ("llama-3.1-8b", "decode", 1),
        ("llama-3.1-8b", "prefill", 1),
        ("falcon-40b", "decode", 16),
        ("bloom-176b", "prefill", 1),
        ("qwen2.5-7b", "prefill", 1),
        ("gpt2", "decode", 1),
        ("monarch-fft", None, None),
        ("toy-mlp", None, None),
    ],
)
def test_steady_agrees_with_discrete_on_a_model(model: str, phase: str | None, batch: int | None) -> None:
    row = compare_model(model, phase, batch)
    assert abs(row.differences()[PAIRS[0]]) <= FAR


def test_all_three_engines_agree_on_a_model_that_fits_the_reference() -> None:
    row = compare_model("toy-mlp", None, None, arch="toy")
    assert set(row.seconds) == {"steady", "discrete", "cycle"}
    assert not row.failed


def row(name: str = "x", *, steady: float = 1.0, kind: str = "micro", contended: bool = True) -> Compared:
    return Compared(kind=kind, name=name, seconds={"steady": steady, "discrete": 1.0}, contended=contended)


def test_limits_are_closer_where_nothing_waits_for_bandwidth() -> None:
    assert row(contended=False).limit(PAIRS[0]) == CLOSE
    assert row(steady=1.05, contended=False).failed
    assert not row(steady=1.05).failed


def test_one_engine_alone_with_a_deadlock_is_a_failure() -> None:
    assert replace(row(), deadlocks={"cycle": "stuck"}).failed


def test_a_known_cause_explains_a_row_as_far_as_it_goes_and_only_beyond_the_limit() -> None:
    name, (bound, cause) = next(iter(KNOWN.items()))
    far, near, too_far = row(name, steady=1 + (FAR + bound) / 2), row(name), row(name, steady=1.01 + bound)
    assert far.beyond and far.cause == cause and not far.failed
    assert near.cause is None
    assert too_far.failed
    assert cause in markdown(CrossCheck(rows=(far,)))


def test_json_says_what_holds_and_what_does_not() -> None:
    found = as_json(CrossCheck(rows=(row(), row("y", steady=1.5))))
    assert isinstance(found, dict)
    assert found["broken"] == 1
    rows = found["rows"]
    assert isinstance(rows, list)
    assert [each["holds"] for each in rows if isinstance(each, dict)] == [True, False]
