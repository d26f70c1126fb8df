from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdusim.baselines.gpu.exchange import exchange_seconds
from rdusim.baselines.gpu.kernels import Exchange, Product
from rdusim.baselines.gpu.load import load_gpu
from rdusim.baselines.gpu.product import product_bound
from rdusim.baselines.gpu.timing import GpuReport, gpu_generation, gpu_report
from rdusim.baselines.gpu.types import Fusion, GpuMachine
from rdusim.baselines.published import Row, load_targets, select
from rdusim.baselines.published_rows import ROWS
from rdusim.errors import OptionError
from rdusim.graph.types import Phase, RunShape
from rdusim.units import Bytes

H100, A100 = load_gpu("h100"), load_gpu("a100")


def step(phase: str, tokens: int = 512, batch: int = 1) -> RunShape:
    query = 1 if phase == "decode" else tokens
    return RunShape(phase=Phase(phase), batch=batch, query_tokens=query, context_tokens=tokens)


def roofline(report: GpuReport, machine: GpuMachine) -> float:
    """What peak arithmetic and peak HBM bandwidth need at least for what was done."""
    gpu = machine.gpu
    peak = 2 * gpu.sms * gpu.tensor_macs_per_cycle["bf16"] * gpu.clock
    products = sum(p.flops * row.kernel.repeats for row in report.rows for p in row.kernel.products)
    moved = (report.read_bytes + report.written_bytes) / report.gpus
    return max(products / peak, moved / gpu.memory.bandwidth)


@pytest.mark.parametrize("machine", [A100, H100], ids=lambda machine: str(machine.name))
@pytest.mark.parametrize(("phase", "batch"), [("prefill", 1), ("prefill", 4), ("decode", 1), ("decode", 48)])
def test_nothing_is_faster_than_its_roofline(machine: GpuMachine, phase: str, batch: int) -> None:
    for gpus in (1, 8):
        for kernels in Fusion:
            report = gpu_report("llama-2-7b", step(phase, batch=batch), machine, gpus=gpus, kernels=kernels)
            assert report.total_seconds > roofline(report, machine)
            assert sum(report.breakdown_seconds.values()) == pytest.approx(report.total_seconds)


BETTER = (
    "gpu.memory.bandwidth=2.5TB/s",
    "gpu.memory.latency=500ns",
    "gpu.memory.streaming=1",
    "gpu.bytes_in_flight=64KiB",
    "gpu.clock=2GHz",
    "gpu.sms=144",
    "gpu.l2_bytes_per_cycle=128B",
    "gpu.nvlink.bandwidth=900GB/s",
    "gpu.nvlink.latency=1us",
    "software.tensor_share=1",
    "software.overlap=1",
    "software.graph_gap=0s",
    "software.host_launch=1us",
    "software.host_step=0s",
)


@pytest.mark.parametrize("better", BETTER)
def test_more_of_anything_is_never_slower(better: str) -> None:
    for phase in ("prefill", "decode"):
        for kernels in Fusion:
            before, after = (
                gpu_report("llama-3.1-8b", step(phase, 300, 3), load_gpu("a100", with_), gpus=2, kernels=kernels)
                for with_ in ((), (better,))
            )
            assert after.total_seconds <= before.total_seconds * (1 + 1e-12)


@given(m=st.integers(1, 5000), n=st.integers(1, 9000), k=st.integers(1, 9000), batch=st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_no_product_beats_the_tensor_cores_or_the_memory(m: int, n: int, k: int, batch: int) -> None:
    product = Product(batch=batch, m=m, n=n, k=k, dtype="bf16")
    size = 2 * batch * (m * k + k * n + m * n)
    gpu = A100.gpu
    found = product_bound(product, size, gpu, A100.software)
    assert found.compute >= product.flops / (2 * gpu.sms * 1024 * gpu.clock * A100.software.tensor_share) * (1 - 1e-9)
    assert found.memory >= size / gpu.memory.bandwidth
    faster = replace(gpu, memory=replace(gpu.memory, bandwidth=2 * gpu.memory.bandwidth))
    assert product_bound(product, size, faster, A100.software).seconds(0.5) <= found.seconds(0.5)


def test_a_product_of_one_wave_and_a_little_more_pays_for_blocks_that_wait() -> None:
    software = replace(A100.software, overlap=1.0)

    def seconds(columns: int) -> float:
        product = Product(batch=1, m=256, n=columns, k=1024, dtype="bf16")
        return product_bound(product, 0, A100.gpu, software).seconds(1.0)

    wave = 1024 * 256 * 128 / 1024 / (software.tensor_share * A100.gpu.clock)  # each SM a tile of 256 x 128
    assert seconds(108 * 128) == pytest.approx(wave)
    assert 1.05 * wave < seconds(108 * 128 + 32) <= 2 * wave


def test_collectives_take_the_ring_when_large_and_one_round_when_small() -> None:
    link = H100.gpu.nvlink
    rate = link.bandwidth * link.streaming
    small, large = (Exchange(kind="all_reduce", participants=8, size=Bytes(size)) for size in (1024, 2**30))
    assert exchange_seconds(small, link) == pytest.approx(link.latency + 7 * 1024 / rate)
    assert exchange_seconds(large, link) == pytest.approx(14 * link.latency + 14 / 8 * 2**30 / rate)
    assert exchange_seconds(replace(small, participants=1), link) == 0


def test_the_cpu_holds_eager_kernels_up_only_where_they_are_short() -> None:
    """Llama-3.1-8B decode on H100 takes 8.4 ms eager and 5.1 ms in graphs (facts, secondary; no target)."""
    eager, fused = (
        gpu_report("llama-3.1-8b", step("decode"), load_gpu("h100", ["software.host_step=0s"]), kernels=kernels)
        for kernels in (Fusion.EAGER, Fusion.FUSED)
    )
    assert eager.breakdown_seconds["launch"] > 5 * fused.breakdown_seconds["launch"]
    assert eager.total_seconds == pytest.approx(8.4e-3, rel=0.15)
    assert fused.total_seconds == pytest.approx(5.1e-3, rel=0.15)
    long = gpu_report("llama-3.1-8b", step("prefill", 4096), H100, kernels=Fusion.EAGER)
    assert long.breakdown_seconds["launch"] < 0.05 * long.total_seconds


def test_a_generation_is_the_sum_of_its_steps() -> None:
    whole = gpu_generation("gpt2", H100, input_tokens=100, output_tokens=40)
    steps = [gpu_report("gpt2", step("prefill", 100), H100)]
    steps += [gpu_report("gpt2", step("decode", context), H100) for context in range(101, 140)]
    assert whole.total_seconds == pytest.approx(sum(report.total_seconds for report in steps), rel=1e-3)
    assert whole.launches == sum(report.launches for report in steps)
    assert whole.read_bytes == pytest.approx(sum(report.read_bytes for report in steps), rel=1e-3)


def test_what_does_not_fit_or_is_not_there_is_refused_with_a_way_out() -> None:
    with pytest.raises(OptionError, match=r"bloom-176b needs .* on each of 1 GPUs, h100 has .*more GPUs"):
        gpu_report("bloom-176b", step("decode"), H100)
    with pytest.raises(OptionError, match="a dgx-h100 has 8"):
        gpu_report("llama-2-7b", step("decode"), H100, gpus=16)
    with pytest.raises(OptionError, match="no tensor cores for fp8"):
        gpu_report("llama-2-7b", replace(step("decode"), dtype="fp8"), A100)


@pytest.mark.parametrize("row", [row for row in select(ROWS, ["gpu"]) if row.main], ids=lambda row: str(row.target))
def test_measured_latencies_of_gpus_are_met(row: Row) -> None:
    """All of T80-T85 were in view when the assumed parameters were chosen: this is calibration, not prediction."""
    assert row.case is not None
    target, case = load_targets()[row.target], row.case
    published = target.value * (1e-3 if target.unit == "ms" else 1.0)
    found = gpu_generation(
        case.model, load_gpu(row.gpu), input_tokens=case.input_tokens or 0, output_tokens=case.output_tokens or 0
    ).total_seconds
    print(f"{row.target} {row.gpu}: published {published:.4g} s, {found:.4g} s, {found / published - 1:+.1%}")
    assert found == pytest.approx(published, rel=0.15)
