from __future__ import annotations

from dataclasses import replace
from math import isclose

import pytest

from rdusim.errors import OptionError
from rdusim.pipeline import Cache, RunRequest, Stages, run

MODEL = "llama-3.2-1b"


@pytest.fixture(scope="module")
def cache() -> Cache:
    return Cache()


def test_what_two_requests_share_is_made_once(cache: Cache) -> None:
    heard: list[str] = []
    first = Stages(RunRequest(model=MODEL, context_tokens=64), cache=cache, observe=heard.append)
    second = Stages(RunRequest(model=MODEL, context_tokens=64), cache=cache, observe=heard.append)
    assert first.trace(first.shape()) is second.trace(second.shape())
    assert [said.split()[0] for said in heard] == ["lowering", "mapping", "simulating"]


def test_another_machine_is_another_program(cache: Cache) -> None:
    slow = run(
        RunRequest(model=MODEL, context_tokens=64, overrides=("socket.memory.hbm.bandwidth=0.9TB/s",)), cache=cache
    )
    fast = run(RunRequest(model=MODEL, context_tokens=64), cache=cache)
    assert fast.latency.total_seconds < slow.latency.total_seconds


ASKED = [
    RunRequest(model=MODEL, phase="prefill", input_tokens=200),
    RunRequest(model=MODEL, phase="decode", context_tokens=200),
    RunRequest(model=MODEL, phase="generate", input_tokens=100, output_tokens=9),
]


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked.phase)
@pytest.mark.parametrize("batch", [1, 16])
def test_no_report_beats_the_roofline_and_every_second_has_its_cause(
    cache: Cache, asked: RunRequest, batch: int
) -> None:
    report = run(replace(asked, batch=batch), cache=cache)
    total = report.latency.total_seconds
    assert isclose(sum(report.breakdown_seconds.values()), total)
    assert isclose(sum(section.seconds for section in report.sections), total)
    assert 0 < (report.throughput.model_flops_utilization or 0) <= 1
    assert all((tier.bandwidth_utilization or 0) <= 1 for tier in report.memory)
    assert all((tier.streaming_utilization or 0) <= 1 + 1e-9 for tier in report.memory)
    assert all(tier.peak_bytes <= tier.capacity_bytes for tier in report.memory)


def test_a_generation_is_its_prefill_and_its_steps(cache: Cache) -> None:
    whole = run(RunRequest(model=MODEL, phase="generate", input_tokens=100, output_tokens=3), cache=cache)
    prefill = run(RunRequest(model=MODEL, phase="prefill", input_tokens=100), cache=cache)
    steps = [run(RunRequest(model=MODEL, context_tokens=context), cache=cache) for context in (101, 102)]
    parts = [part.latency.total_seconds for part in (prefill, *steps)]
    assert whole.latency.total_seconds == pytest.approx(sum(parts))
    assert whole.latency.time_to_first_token_seconds == parts[0]
    assert whole.kernel_launches == sum(part.kernel_launches for part in (prefill, *steps))


def test_a_generation_has_no_single_shape() -> None:
    with pytest.raises(OptionError, match="many programs"):
        Stages(RunRequest(model=MODEL, phase="generate")).shape()
