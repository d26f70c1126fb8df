"""Pipelines in inference: times of the schedule, and memory of all micro-batches, whichever runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rdusim.pipeline import Cache, RunRequest, Stages, run
from rdusim.report.types import Report
from tests.graph.tiny_models import LLAMA

CACHE = Cache()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    config = LLAMA | {"num_hidden_layers": 8, "hidden_size": 256, "intermediate_size": 512, "vocab_size": 512}
    path = tmp_path_factory.mktemp("model") / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    return str(path)


def report(
    model: str, parallel: str, batches: int | None = None, schedule: str | None = None, **asked: object
) -> Report:
    request = RunRequest(
        model=model, sockets=4, batch=8, parallel=parallel, micro_batches=batches, pipeline_schedule=schedule, **asked
    )  # type: ignore[arg-type]
    return run(request, cache=CACHE)


def peak(found: Report, tier: str = "hbm") -> int:
    return next(use.peak_bytes for use in found.memory if use.tier == tier)


@pytest.mark.parametrize(("batches", "schedule"), [(1, None), (4, None), (4, "interleaved")])
@pytest.mark.parametrize("phase", ["decode", "prefill"])
def test_causes_sum_to_the_time_of_a_pipeline(model: str, phase: str, batches: int, schedule: str | None) -> None:
    found = report(model, "pp=4", batches, schedule, phase=phase, input_tokens=64)
    assert sum(found.breakdown_seconds.values()) == pytest.approx(found.latency.total_seconds)
    assert found.setting.micro_batches == batches


def test_a_decode_step_is_a_round_trip_or_a_turn_of_all_micro_batches(model: str) -> None:
    stages = Stages(RunRequest(model=model, sockets=4, batch=8, parallel="pp=4", micro_batches=8), cache=CACHE)
    shape = stages.shape()
    times = [stages.report_of_part(shape, part).latency.total_seconds for part in range(4)]
    found = stages.report_of(shape).latency.total_seconds
    assert found == pytest.approx(8 * max(times))
    alone = report(model, "pp=4", 1)
    assert alone.latency.total_seconds > sum(
        alone.breakdown_seconds[cause] for cause in alone.breakdown_seconds if cause != "pipeline_transfer"
    )


def test_caches_of_all_micro_batches_stay_in_memory(model: str) -> None:
    whole = peak(report(model, "pp=4", 1, context_tokens=2048))
    for batches, schedule in ((2, None), (8, None), (8, "interleaved")):
        parts = peak(report(model, "pp=4", batches, schedule, context_tokens=2048))
        assert parts == pytest.approx(whole, rel=0.05)


def test_waiting_caches_push_what_runs_out_of_the_near_tier(model: str) -> None:
    small = ("socket.memory.hbm.capacity=16MiB",)
    held = report(model, "pp=4", 8, context_tokens=2048, overrides=small)
    roomy = report(model, "pp=4", 8, context_tokens=2048)
    assert peak(held) <= 4 * 16 * 2**20
    assert peak(held, "ddr") > 0
    assert held.latency.total_seconds > roomy.latency.total_seconds


def test_equal_stages_are_lowered_once(model: str, tmp_path: Path) -> None:
    heard: list[str] = []
    run(RunRequest(model=model, sockets=4, batch=4, parallel="pp=4", context_tokens=96), observe=heard.append)
    lowered = sum(said.startswith("lowering") for said in heard)
    stages = Stages(RunRequest(model=model, sockets=4, batch=4, parallel="pp=4", context_tokens=96))
    different = {repr(part) for part in stages.parts(stages.shape())}
    assert lowered == len(different) < 4
