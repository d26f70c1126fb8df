"""Training in micro-batches and over pipeline stages: bubbles, memory, exchanges, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from math import isclose

import pytest

from rdusim.errors import MappingError, OptionError
from rdusim.pipeline import Cache, RunRequest, Stages, run
from rdusim.report.pipelined import BUBBLE
from rdusim.report.types import Report
from tests.graph.tiny_models import TINY, write

LARGER = {"num_hidden_layers": 4, "hidden_size": 384, "intermediate_size": 512, "vocab_size": 512}


@pytest.fixture(scope="module")
def cache() -> Cache:
    return Cache()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write(tmp_path_factory.mktemp("model"), TINY["llama"] | LARGER))


def asked(model: str, parallel: str, batch: int, micro_batches: int | None = None) -> RunRequest:
    return RunRequest(
        model=model,
        phase="train",
        sockets=4,
        batch=batch,
        input_tokens=64,
        parallel=parallel,
        micro_batches=micro_batches,
    )


def hbm(report: Report) -> int:
    return next(use.peak_bytes for use in report.memory if use.tier == "hbm")


def adds_up(report: Report) -> bool:
    return isclose(sum(report.breakdown_seconds.values()), report.latency.total_seconds)


def test_more_micro_batches_of_the_same_size_wait_less(cache: Cache, model: str) -> None:
    shares = []
    for count in (2, 4, 8):
        report = run(asked(model, "pp=2", 2 * count, count), cache=cache)
        assert adds_up(report)
        assert report.setting.sockets_used == 2
        shares.append(report.breakdown_seconds[BUBBLE] / report.latency.total_seconds)
    assert shares[0] > shares[1] > shares[2] > 0.0


def test_1f1b_holds_less_than_gpipe_in_the_same_time(cache: Cache, model: str) -> None:
    request = asked(model, "pp=2", 16, 8)
    one, all_ = (run(replace(request, pipeline_schedule=name), cache=cache) for name in ("1f1b", "gpipe"))
    assert hbm(one) < hbm(all_)
    assert one.latency.total_seconds == pytest.approx(all_.latency.total_seconds, rel=0.05)
    assert one.operational_intensity.flops == all_.operational_intensity.flops


def test_accumulation_on_one_stage_is_the_sum_of_its_passes(cache: Cache, model: str) -> None:
    stages = Stages(asked(model, "tp=1", 16, 8), cache=cache)
    report, shape = stages.report(), stages.shape()
    (chunk,) = stages.chunks(shape)
    assert chunk.backward is not None
    assert chunk.update is not None
    parts = stages.parts(shape)
    passes = [8, 8, 1]
    seconds = [
        stages.report_of_part(shape, parts.index(part)).latency.total_seconds
        for part in (chunk.forward, chunk.backward, chunk.update)
    ]
    wanted = sum(times * each for times, each in zip(passes, seconds, strict=True))
    assert report.latency.total_seconds == pytest.approx(wanted)
    assert BUBBLE not in report.breakdown_seconds
    assert adds_up(report)
    assert sum(section.seconds for section in report.sections) == pytest.approx(wanted)


def test_accumulation_does_the_work_of_the_whole_batch_in_less_memory(cache: Cache, model: str) -> None:
    whole, parts = (run(asked(model, "tp=1", 16, count), cache=cache) for count in (1, 8))
    assert parts.operational_intensity.flops == pytest.approx(whole.operational_intensity.flops, rel=0.01)
    assert whole.setting.micro_batches is None
    assert hbm(parts) < hbm(whole)
    assert parts.throughput.tokens_per_second == 16 * 64 / parts.latency.total_seconds


def test_interleaving_makes_the_bubble_smaller(cache: Cache, model: str) -> None:
    request = asked(model, "pp=2", 16, 8)
    plain = run(request, cache=cache)
    several = run(replace(request, pipeline_schedule="interleaved"), cache=cache)
    assert adds_up(several)
    assert several.breakdown_seconds[BUBBLE] < plain.breakdown_seconds[BUBBLE]


def test_without_a_number_a_training_batch_is_cut_into_more_micro_batches_than_stages(model: str) -> None:
    assert Stages(asked(model, "pp=2", 16)).plan.micro_batches == 8
    assert Stages(asked(model, "pp=2", 6)).plan.micro_batches == 6
    assert Stages(asked(model, "pp=2,dp=2", 8)).plan.micro_batches == 4
    assert Stages(replace(asked(model, "pp=2", 6), pipeline_schedule="interleaved")).plan.micro_batches == 6


@pytest.mark.parametrize(
    ("parallel", "batch", "count", "schedule", "said"),
    [
        ("pp=2", 6, 3, "interleaved", "takes pp=2 micro-batches at a time, which does not divide 3"),
        ("pp=2", 3, None, "interleaved", "batch 3 has not"),
        ("pp=2,dp=2", 6, 2, None, "do not divide batch 6"),
        ("tp=2", 6, 4, None, "do not divide batch 6"),
    ],
)
def test_micro_batches_that_do_not_fit_are_refused(
    parallel: str, batch: int, count: int | None, schedule: str | None, said: str, model: str
) -> None:
    with pytest.raises(OptionError, match=said):
        Stages(replace(asked(model, parallel, batch, count), pipeline_schedule=schedule))


def test_state_goes_to_the_far_tier_first_and_too_much_is_refused(cache: Cache, model: str) -> None:
    request = asked(model, "pp=2", 16, 8)
    stages = Stages(request, cache=cache)
    used = hbm(stages.report())
    small = replace(request, overrides=(f"socket.memory.hbm.capacity={used // 3}B",))
    report = run(small)
    assert report.spill is not None
    assert {symbol.role for symbol in report.spill.symbols} == {"optimizer"}
    assert adds_up(report)
    assert all(use.peak_bytes <= use.capacity_bytes for use in report.memory)
    tiny = replace(request, overrides=("socket.memory.hbm.capacity=4MiB", "socket.memory.ddr.capacity=4MiB"))
    with pytest.raises(MappingError, match=r"pipeline stage 0 needs .* optimizer"):
        run(tiny)


@pytest.mark.slow
def test_llama_2_7b_trains_over_two_stages_of_four_sockets() -> None:
    request = RunRequest(model="llama-2-7b", phase="train", sockets=8, batch=4, input_tokens=512, parallel="tp=4,pp=2")
    report = run(request)
    assert adds_up(report)
    assert report.setting.sockets_used == 8
    assert report.setting.micro_batches == 4
    assert 0.0 < (report.throughput.model_flops_utilization or 0.0) < 1.0
