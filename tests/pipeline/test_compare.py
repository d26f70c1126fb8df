"""Runs side by side: differences are those of the runs alone, and reasons name what was changed."""

from __future__ import annotations

from dataclasses import replace
from math import isclose

import pytest

from rdusim.errors import RdusimError
from rdusim.pipeline.compare import Asked, compare, same_program
from rdusim.pipeline.request import RunRequest
from rdusim.pipeline.stages import Cache, answer
from rdusim.report.comparison import Comparison

TOY = RunRequest(model="toy-mlp", arch="toy")
SN40L = RunRequest(model="monarch-fft")


def beside(request: RunRequest, **changes: object) -> Comparison:
    other = Asked(name="other", request=replace(request, **changes), flag="--with other")  # type: ignore[arg-type]
    return compare(Asked(name="first", request=request), [other])


@pytest.mark.parametrize(
    ("request_", "change"),
    [
        (TOY, {"fusion": "unfused"}),
        (TOY, {"engine": "discrete"}),
        (SN40L, {"arch": "gpu/h100"}),
        (SN40L, {"arch": "sn50"}),
    ],
)
def test_causes_and_parts_of_a_difference_sum_to_it(request_: RunRequest, change: dict[str, object]) -> None:
    found = beside(request_, **change)
    (difference,) = found.differences
    totals = [variant.report.latency.total_seconds for variant in found.variants]
    assert isclose(difference.change_seconds, totals[1] - totals[0])
    for changes in (difference.causes, difference.parts):
        assert isclose(
            sum(each.change_seconds for each in changes), difference.change_seconds, abs_tol=1e-6 * sum(totals)
        )


def test_each_run_is_that_of_its_request_alone() -> None:
    cache = Cache()
    found = beside(TOY, fusion="unfused")
    assert found.variants[0].report == answer(TOY, cache=cache)
    assert found.variants[1].report == answer(replace(TOY, fusion="unfused"), cache=cache)


def test_the_fields_of_the_machine_that_differ_are_named_and_so_is_the_cause_that_they_set() -> None:
    found = beside(SN40L, overrides=("socket.memory.hbm.bandwidth=0.9TB/s",))
    (difference,) = found.differences
    assert [(each.option, each.first, each.here) for each in difference.fields] == [
        ("socket.memory.hbm.bandwidth", "1.8 TB/s", "0.9TB/s")
    ]
    assert any(
        line.startswith("hbm +") and "socket.memory.hbm.bandwidth 0.9TB/s instead of 1.8 TB/s" in line
        for line in difference.reasons
    )
    assert [(each.option, each.here) for each in found.variants[1].changes] == [
        ("set", "socket.memory.hbm.bandwidth=0.9TB/s")
    ]


def test_the_same_run_again_is_refused_though_it_is_said_otherwise() -> None:
    with pytest.raises(RdusimError, match="the same run as first"):
        beside(RunRequest(model="llama-3.1-8b"), batch=1, sockets=8)


def test_problems_of_all_variants_are_told_at_once_and_by_name() -> None:
    wrong = [
        Asked(name="a", request=replace(TOY, arch="tay"), flag="--with tay"),
        Asked(name="b", request=replace(TOY, fusion="unfsed"), flag="--with unfsed"),
        Asked(name="c", request=replace(SN40L, arch="gpu/h1000"), flag="--with gpu/h1000"),
    ]
    with pytest.raises(RdusimError) as caught:
        compare(Asked(name="first", request=TOY), wrong)
    said = [str(problem) for problem in caught.value.problems]
    assert len(said) == 3
    assert all(line.startswith(f"{each.flag}: ") for line, each in zip(said, wrong, strict=True))
    assert "did you mean toy?" in said[0] and "did you mean h100?" in said[2]


QUICK_HBM = ("socket.memory.hbm.bandwidth=3.6TB/s",)
STEP = RunRequest(model="llama-3.2-1b")


def test_another_program_is_named_with_what_it_has_otherwise() -> None:
    """With twice the bandwidth the compiler spreads streams over more AGCUs, and starts take longer for it."""
    found = beside(STEP, overrides=QUICK_HBM)
    before, now = ({each.name: each for each in run.report.sections}["decoder"] for run in found.variants)
    assert now.agcu_streams > before.agcu_streams and now.launch_seconds > before.launch_seconds
    said = found.differences[0].reasons
    (program,) = (line for line in said if line.startswith("another program, compiled for this machine: "))
    assert f"decoder has {now.agcu_streams} AGCU streams instead of {before.agcu_streams}" in program
    (launch,) = (line for line in said if line.startswith("launch +"))
    assert "AGCU streams a section instead of" in launch


def test_the_same_program_has_the_same_starts_and_nothing_is_said_of_another() -> None:
    first = Asked(name="first", request=STEP)
    other = Asked(name="other", request=replace(STEP, overrides=QUICK_HBM), flag="--with other")
    found = compare(first, same_program(first, [other]))
    one, two = (run.report.breakdown_seconds["launch"] for run in found.variants)
    assert one == two and found.differences[0].change_seconds < 0.0
    assert not any("another program" in line for line in found.differences[0].reasons)
    assert [each.option for each in found.variants[1].changes] == ["set"]


def test_what_needs_another_program_cannot_have_the_same() -> None:
    first = Asked(name="first", request=TOY)
    others = [
        Asked(name=name, request=replace(TOY, **changes), flag=f"--with {name}")
        for name, changes in {"batch": {"batch": 2}, "gpu": {"arch": "gpu/h100"}}.items()
    ]
    with pytest.raises(RdusimError) as caught:
        same_program(first, others)
    assert [str(problem).partition(" makes ")[0] for problem in caught.value.problems] == [
        "--with batch: another batch",
        "--with gpu: another arch",
    ]
    tiles = Asked(name="tiles", request=replace(TOY, overrides=("socket.tile.rows=2",)), flag="--with tiles")
    with pytest.raises(RdusimError, match=r"--with tiles: .*another structure"):
        compare(first, same_program(first, [tiles]))
