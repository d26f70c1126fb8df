"""A run whose machine is a GPU answers with the same nouns, times of the baseline, and nothing that only an RDU has."""

from __future__ import annotations

from dataclasses import replace
from math import isclose
from pathlib import Path

import pytest

from rdusim.baselines.gpu.load import load_gpu
from rdusim.baselines.gpu.timing import gpu_generation
from rdusim.errors import RdusimError
from rdusim.pipeline.gpu_run import is_gpu, resolve_on_gpus, run_on_gpus
from rdusim.pipeline.request import RunRequest
from rdusim.pipeline.stages import run

ONE = RunRequest(model="llama-2-7b", arch="gpu/h100", sockets=1)


@pytest.mark.parametrize("phase", ["prefill", "decode", "generate"])
def test_causes_and_parts_take_all_the_time(phase: str) -> None:
    run = run_on_gpus(replace(ONE, phase=phase))
    total = run.report.latency.total_seconds
    assert isclose(sum(run.report.breakdown_seconds.values()), total)
    assert isclose(sum(part.seconds for part in run.parts), total)
    for part in run.parts:
        assert isclose(sum(part.breakdown_seconds.values()), part.seconds), part.name
    assert sum(part.launches for part in run.parts) == run.report.kernel_launches


def test_a_generation_takes_what_the_baseline_says() -> None:
    report = run_on_gpus(replace(ONE, phase="generate", input_tokens=128, output_tokens=128)).report
    known = gpu_generation("llama-2-7b", load_gpu("h100"), input_tokens=128, output_tokens=128)
    assert report.latency.total_seconds == known.total_seconds
    latency = report.latency
    assert latency.time_to_first_token_seconds is not None and latency.time_per_output_token_seconds is not None
    steps = 127 * latency.time_per_output_token_seconds
    assert isclose(latency.time_to_first_token_seconds + steps, latency.total_seconds)
    assert isclose(report.throughput.tokens_per_second or 0.0, 128 / latency.total_seconds)


def test_what_only_an_rdu_has_is_absent_and_said_to_be_left_out() -> None:
    report = run_on_gpus(replace(ONE, kernel_looping=True, kv_cache="paged")).report
    assert report.units == () and report.sections == () and report.links is None
    assert any("--kernel-looping" in note and "--kv-cache" in note for note in report.notes)
    assert not run_on_gpus(ONE).report.notes


def test_all_gpus_of_the_node_take_part_and_so_many_as_divide_the_model() -> None:
    assert resolve_on_gpus(replace(ONE, sockets=None)).gpus == 8
    assert resolve_on_gpus(replace(ONE, sockets=None, parallel="tp=2,pp=2")).gpus == 4
    found = run_on_gpus(RunRequest(model="monarch-fft", arch="h100"))
    assert found.report.setting.sockets_used == 1 and "idle" in found.report.notes[0]


def test_unfused_is_eager_and_slower() -> None:
    eager, fused = run_on_gpus(replace(ONE, fusion="unfused")).report, run_on_gpus(ONE).report
    assert eager.kernel_launches > 2 * fused.kernel_launches
    assert eager.latency.total_seconds > fused.latency.total_seconds


def test_a_gpu_is_no_machine_of_a_run_and_what_it_is_good_for_is_said() -> None:
    with pytest.raises(RdusimError, match=r"another kind .*rdusim compare MODEL --with gpu/h100"):
        run(ONE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"phase": "train"}, "know no training"),
        ({"draft": "llama-2-7b", "acceptance_rate": 0.5}, "no speculative decoding"),
        ({"batch": 0}, "at least 1"),
        ({"overrides": ("gpu.sm=1",)}, "gpu.sms"),
        ({"batch": 4096}, "needs"),
    ],
)
def test_what_gpus_cannot_do_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(RdusimError, match=message):
        run_on_gpus(replace(ONE, **change))  # type: ignore[arg-type]


def test_a_machine_is_a_gpu_by_its_name_or_by_the_schema_of_its_file(tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text("schema: rdusim-gpu/1\nextends: h100\nname: mine\n", encoding="utf-8")
    assert is_gpu("gpu/h100") and is_gpu("h100") and is_gpu(str(own)) and is_gpu("gpu/none")
    assert not is_gpu("sn40l") and not is_gpu(str(tmp_path / "none.yaml"))
