"""Pipelines in inference: the caches of all micro-batches stay in memory, whichever runs."""

from __future__ import annotations

import json

import pytest

from rdusim.pipeline import Cache, RunRequest, run
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
