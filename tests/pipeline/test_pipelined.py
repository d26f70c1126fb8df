"""A model over pipeline stages: what a step takes, why, and that equal work is simulated once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rdusim.pipeline import Cache, RunRequest, Stages, run
from tests.graph.tiny_models import LLAMA, write

LAYERS = 6


@pytest.fixture(scope="module")
def cache() -> Cache:
    return Cache()


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> RunRequest:
    """Eight layers in all, of about the same weight, over four stages."""
    wide = {"hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": LAYERS, "vocab_size": 64}
    path = write(tmp_path_factory.mktemp("deep"), LLAMA | wide)
    return RunRequest(model=str(path), sockets=4, batch=8, context_tokens=64, parallel="pp=4")


CHANGES = {
    "decode": {},
    "one-batch": {"micro_batches": 1},
    "gpipe": {"pipeline_schedule": "gpipe", "micro_batches": 8},
    "interleaved": {"pipeline_schedule": "interleaved"},
    "prefill": {"phase": "prefill", "context_tokens": None, "input_tokens": 16},
    "with-tp": {"parallel": "tp=2,pp=2", "micro_batches": 4},
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_second_of_a_pipeline_has_its_cause(asked: RunRequest, cache: Cache, name: str) -> None:
    request = replace(asked, **CHANGES[name])
    report = run(request, cache=cache)
    total = report.latency.total_seconds
    assert sum(report.breakdown_seconds.values()) == pytest.approx(total)
    assert all(seconds >= 0.0 for seconds in report.breakdown_seconds.values())
    assert list(report.breakdown_seconds.values()) == sorted(report.breakdown_seconds.values(), reverse=True)
    assert report.setting.sockets_used == 4
    assert report.setting.batch == 8
    assert report.throughput.tokens_per_second == pytest.approx(8 * (request.input_tokens or 1) / total)
    assert all(0.0 <= unit.busy <= 1.0 for unit in report.units)
    assert 0.0 < (report.throughput.model_flops_utilization or 0.0) <= 1.0
    alone = run(replace(request, parallel="tp=1", micro_batches=None, pipeline_schedule=None), cache=cache)
    assert report.operational_intensity.flops == pytest.approx(alone.operational_intensity.flops, rel=1e-6)


@pytest.mark.parametrize("batches", [1, 2, 4, 8])
def test_a_decode_step_takes_the_longer_of_its_way_and_all_turns_of_the_slowest_stage(
    asked: RunRequest, cache: Cache, batches: int
) -> None:
    """The next token of a sequence needs the last one out of the last stage, and a stage serves all micro-batches."""
    request = replace(asked, micro_batches=batches)
    stages = Stages(request, cache=cache)
    shape = stages.shape()
    assert shape.batch == 8 // batches
    times = [stages.report_of_part(shape, part).latency.total_seconds for part in range(4)]
    report = run(request, cache=cache)
    transfer = report.breakdown_seconds.get("pipeline_transfer")
    if transfer is None:  # the slowest stage never waits
        assert report.latency.total_seconds == pytest.approx(batches * max(times))
        assert report.latency.total_seconds >= sum(times)
    else:
        assert report.latency.total_seconds == pytest.approx(sum(times) + transfer)
        assert report.latency.total_seconds >= batches * max(times)
    assert (transfer is None) == (batches >= 4)


def test_a_prompt_goes_through_all_stages_once_and_waits_for_the_slowest(asked: RunRequest, cache: Cache) -> None:
    request = replace(asked, **CHANGES["prefill"])
    stages = Stages(request, cache=cache)
    times = [stages.report_of_part(stages.shape(), part).latency.total_seconds for part in range(4)]
    report = run(request, cache=cache)
    transfer = report.breakdown_seconds["pipeline_transfer"]
    assert report.latency.total_seconds == pytest.approx(sum(times) + transfer + 3 * max(times))
    assert report.latency.time_to_first_token_seconds == report.latency.total_seconds


def test_equal_stages_are_lowered_mapped_and_simulated_once(asked: RunRequest) -> None:
    """Embedding and a layer, twice two layers, a layer and the head: three programs, not four."""
    heard: list[str] = []
    report = run(asked, observe=heard.append)
    parts = Stages(asked).parts(Stages(asked).shape())
    counts = [sum(block.repeats for block in part.graph.blocks) for part in parts]
    assert sum(counts) == LAYERS + 2
    distinct = len({repr(part) for part in parts})
    assert distinct < 4
    assert [said.split()[0] for said in heard].count("lowering") == distinct
    assert [said.split()[0] for said in heard].count("simulating") == distinct
    assert any(section.name.startswith("stage 1") for section in report.sections)


def test_memory_of_the_stages_adds_up_to_the_models(asked: RunRequest, cache: Cache) -> None:
    """Weights and caches lie on one stage each; what is in flight between stages comes on top."""
    whole = run(replace(asked, parallel="tp=1"), cache=cache).memory[1]
    cut = run(asked, cache=cache).memory[1]
    assert cut.capacity_bytes == 4 * whole.capacity_bytes
    assert cut.peak_bytes > 0.7 * whole.peak_bytes


@pytest.mark.parametrize("parallel", ["dp={}", "tp=8,dp={}"])
def test_more_sockets_that_do_the_same_are_no_more_programs(asked: RunRequest, parallel: str) -> None:
    """8, 64 and 256 sockets: replicas of one program, lowered, mapped and simulated once."""
    programs = []
    for sockets in (8, 64, 256):
        heard: list[str] = []
        ways = sockets // 8 if "tp" in parallel else sockets
        request = replace(asked, arch="sn50-x256", sockets=sockets, batch=512, parallel=parallel.format(ways))
        request = replace(request, model="llama-3.2-1b") if "tp" in parallel else request
        report = run(request, observe=heard.append)
        assert report.setting.sockets_used == sockets
        assert report.setting.batch == 512
        programs.append([said.split()[0] for said in heard])
    assert programs[0] == programs[1] == programs[2] == ["lowering", "mapping", "simulating"]


def test_a_deeper_pipeline_of_equal_stages_is_no_more_programs(tmp_path: Path) -> None:
    path = write(tmp_path, LLAMA | {"num_hidden_layers": 128})
    counts = []
    for stages in (8, 64):
        heard: list[str] = []
        run(
            RunRequest(model=str(path), arch="sn50-x256", sockets=stages, context_tokens=64, parallel=f"pp={stages}"),
            observe=heard.append,
        )
        counts.append(sum(said.startswith("lowering") for said in heard))
    assert counts[1] <= counts[0] + 1 <= 5
