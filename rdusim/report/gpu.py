"""A model on GPUs in the nouns of a run, so that it can stand beside one; what only an RDU has is absent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from rdusim import __version__
from rdusim.graph.types import Phase
from rdusim.report.comparison import Part
from rdusim.report.summarize import FLOPS_PER_MAC, throughput
from rdusim.report.types import Intensity, Latency, MemoryUse, Report, Setting, Simulator
from rdusim.report.weighted import summed

if TYPE_CHECKING:
    from rdusim.baselines.gpu.timing import GpuReport
    from rdusim.baselines.gpu.types import GpuMachine

HBM: Final = "hbm"
HOST: Final = "host"

_CAUSE: Final[Mapping[str, str]] = {"memory": HBM}  # a GPU has one memory, an RDU names the tier


def report_of_gpus(
    found: GpuReport,
    machine: GpuMachine,
    setting: Setting,
    *,
    tokens: float | None,
    first: float | None,
    notes: tuple[str, ...],
) -> Report:
    """`tokens`: of all users, None for a graph that knows none. `first`: seconds of a generation's prefill."""
    total, memory = found.total_seconds, machine.gpu.memory
    moved = found.read_bytes + found.written_bytes
    peak_bandwidth = found.gpus * memory.bandwidth
    macs = machine.gpu.tensor_macs_per_cycle.get(setting.dtype or "")
    peak = macs and FLOPS_PER_MAC * macs * machine.gpu.sms * machine.gpu.clock * found.gpus
    return Report(
        setting=setting,
        latency=_latency(setting, total, first),
        throughput=throughput(tokens, total, setting.batch, found.flops, peak),
        memory=(
            MemoryUse(
                tier=HBM,
                capacity_bytes=found.gpus * memory.capacity,
                peak_bytes=found.weight_bytes + found.cache_bytes,
                read_bytes=found.read_bytes,
                written_bytes=found.written_bytes,
                achieved_bytes_per_second=moved / total,
                bandwidth_utilization=moved / total / peak_bandwidth,
                peak_bytes_per_second=peak_bandwidth,
            ),
        ),
        units=(),
        links=None,
        sections=(),
        kernel_launches=found.launches,
        breakdown_seconds=_named(found.breakdown_seconds),
        operational_intensity=Intensity(flops=found.flops, bytes=moved),
        notes=notes,
        simulator=Simulator(version=__version__),
    )


def parts_of_gpus(found: GpuReport) -> tuple[Part, ...]:
    """Blocks of kernels, and what the host does between steps."""
    blocks = (
        Part(
            name=block.name,
            launches=block.launches,
            seconds=sum(block.breakdown_seconds.values()),
            breakdown_seconds=_named(block.breakdown_seconds),
        )
        for block in found.blocks
    )
    host = found.breakdown_seconds[HOST]
    return (*blocks, Part(name=HOST, launches=0, seconds=host, breakdown_seconds={HOST: host}))


def _named(causes: Mapping[str, float]) -> dict[str, float]:
    return summed([(1.0, {_CAUSE.get(cause, cause): seconds for cause, seconds in causes.items()})])


def _latency(setting: Setting, total: float, first: float | None) -> Latency:
    latency = Latency(total_seconds=total)
    if setting.phase == Phase.PREFILL:
        return replace(latency, time_to_first_token_seconds=total)
    if setting.phase == Phase.DECODE:
        return replace(latency, time_per_output_token_seconds=total)
    steps = (setting.output_tokens or 1) - 1
    if first is None or not steps:
        return replace(latency, time_to_first_token_seconds=first)
    return replace(latency, time_to_first_token_seconds=first, time_per_output_token_seconds=(total - first) / steps)
