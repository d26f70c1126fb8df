from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rdusim.errors import OptionError
from rdusim.explore.axes import at, axis
from rdusim.explore.evaluate import evaluate, metrics
from rdusim.pipeline import Cache, RunRequest, answer
from tests.graph.tiny_models import LLAMA, write


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> RunRequest:
    return RunRequest(model=str(write(tmp_path_factory.mktemp("model"), LLAMA)), sockets=2, context_tokens=16)


def slow(base: RunRequest, texts: str = "300 GB/s") -> RunRequest:
    found = axis(base, "socket.memory.hbm.bandwidth", [texts])
    return at(base, [(found, found.values[0])])


def test_a_rate_is_run_on_what_is_compiled_for_the_base(base: RunRequest) -> None:
    cache = Cache()
    first = evaluate(base, cache=cache)
    made = len(cache.made)
    assert evaluate(slow(base), cache=cache).latency.total_seconds > first.latency.total_seconds
    assert len(cache.made) - made <= 3  # the machine compiled for, the mapping at its rates and the trace


def test_remap_is_a_plain_run_on_that_machine_to_the_last_bit(base: RunRequest) -> None:
    asked = slow(base)
    plain = answer(replace(asked, compiled_overrides=None))
    assert evaluate(asked, cache=Cache(), remap=True) == plain


def test_the_order_of_points_makes_no_difference(base: RunRequest) -> None:
    asked = [base, *(slow(base, text) for text in ("300 GB/s", "1 TB/s", "3 TB/s"))]
    forwards, backwards = Cache(), Cache()
    one = [metrics(evaluate(each, cache=forwards)) for each in asked]
    other = [metrics(evaluate(each, cache=backwards)) for each in reversed(asked)]
    assert one == other[::-1]


def test_what_cannot_be_compiled_for_the_base_is_compiled_for_itself(base: RunRequest) -> None:
    """Of two fields that go together one is structure: without the other there is no such machine."""
    pair = ["socket.memory.hbm.timing.row_cycle", "socket.memory.hbm.timing.banks"]
    axes = [axis(base, pair[0], ["9 ns"]), axis(base, pair[1], ["4"])]
    asked = at(replace(base, overrides=("socket.memory.hbm.timing.row_to_column=1 ns",
                                        "socket.memory.hbm.timing.precharge=1 ns")),
               [(each, each.values[0]) for each in axes])  # fmt: skip
    assert evaluate(asked, cache=Cache()) == answer(replace(asked, compiled_overrides=None))


def test_metrics_are_the_figures_of_the_json_by_dotted_name(base: RunRequest) -> None:
    report = evaluate(base, cache=Cache())
    found = metrics(report)
    hbm = next(use for use in report.memory if use.tier == "hbm")
    assert found["latency.total_seconds"] == report.latency.total_seconds
    assert found["throughput.tokens_per_second"] == report.throughput.tokens_per_second
    assert found["memory.hbm.bandwidth_utilization"] == hbm.bandwidth_utilization
    assert found["breakdown_seconds.launch"] == report.breakdown_seconds["launch"]
    assert found[f"sections.{report.sections[0].name}.seconds"] == report.sections[0].seconds
    assert found["bound"] == next(iter(report.breakdown_seconds))
    assert not [name for name in found if name.startswith(("simulator", "notes"))]


def test_a_wrong_request_is_refused_as_a_run_refuses_it(base: RunRequest) -> None:
    with pytest.raises(OptionError, match="--sockets"):
        evaluate(replace(base, sockets=99), cache=Cache())


def test_a_model_from_another_folder_gives_the_same_metrics(base: RunRequest, tmp_path: Path) -> None:
    other = replace(base, model=str(write(tmp_path, LLAMA)))
    one, two = (metrics(evaluate(each, cache=Cache())) for each in (base, other))
    assert {name: one[name] for name in one if name != "model"} == {name: two[name] for name in two if name != "model"}
