"""The answer to one run: SI units, totals over the sockets that take part. `export.as_json` gives the documented names.

Field names are those of the JSON (docs/cli.md): a field that is None does not apply, and its key is absent there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

FORWARD: Final = "forward"  # the phase of a graph that has no phases, and of an encoder
KERNELS: Final = "kernels"  # of a GPU, in the place of an engine: its time is found kernel by kernel


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What was asked, every default filled in. `sockets` were offered, `sockets_used` take part."""

    model: str
    arch: str
    sockets: int
    sockets_used: int
    phase: str | None
    batch: int
    engine: str
    dtype: str | None = None
    parallelism: Mapping[str, int] = field(default_factory=dict)
    fusion: str | None = None
    orchestration: str | None = None
    kernel_looping: bool | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    context_tokens: int | None = None
    micro_batches: int | None = None
    pipeline_schedule: str | None = None
    pipeline_chunks: int | None = None
    compiled_tokens: int | None = None
    compiled_batch: int | None = None
    draft: str | None = None
    draft_length: int | None = None
    acceptance_rate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Seconds of everything, up to the first token (prefill), and per further token (a decode step, or their mean)."""

    total_seconds: float
    time_to_first_token_seconds: float | None = None
    time_per_output_token_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """Tokens consumed (prefill) or produced (decode, generate) a second by all users together, and work done.

    `model_flops_utilization`: share of the peak of the run's number format over the sockets in use.
    """

    tokens_per_second: float | None
    tokens_per_second_per_user: float | None
    flops_per_second: float
    model_flops_utilization: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUse:
    """A tier over all sockets in use. SRAM has capacity and peak only: what the largest section keeps in its PMUs.

    `bandwidth_utilization`: achieved over the whole run, of peak. `streaming_utilization`: the same while the section
    that moves most bytes streams, from its first to its last byte. `efficiency`: cause -> factor between peak and
    achieved (timing/dram.py:Efficiency, and `waiting` for something to move); their product is the utilization.
    """

    tier: str
    capacity_bytes: int
    peak_bytes: int
    read_bytes: float | None = None
    written_bytes: float | None = None
    achieved_bytes_per_second: float | None = None
    bandwidth_utilization: float | None = None
    streaming_utilization: float | None = None
    peak_bytes_per_second: float | None = None
    efficiency: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitUse:
    """A kind of unit of one socket: how many there are, the largest section's, and shares over the run.

    `configured`: share of units that the running section holds, mean over time. `busy`: share of the run that the units
    in use need at least for their own work (the sum of the sections' bounds on that unit).
    """

    unit: str
    available: int
    peak: int
    configured: float
    busy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkUse:
    """Between sockets. `payload_bytes`: all collectives' results; `busy`: share of the run that links need at least."""

    payload_bytes: float
    busy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionUse:
    """A section: `seconds` of all its repeats, launches included; `bound_seconds` of one execution, per resource.

    `breakdown_seconds`: cause -> seconds of all repeats, largest first; they sum to `seconds`. `flops`, `moved_bytes`
    (by tier, and `p2p`: what goes out to other sockets): of all repeats, on one socket.

    `rdn_slowdown`: time that the busiest mesh link needs, over what stages and memories claim; at least 1.
    `agcu_streams`: address generators that its loads and stores take, each of which gets arguments at a start.
    """

    name: str
    repeats: int
    seconds: float
    execution_seconds: float
    launch_seconds: float
    stages: int
    pcus: int
    pmus: int
    pcu_share: float
    pmu_share: float
    bottleneck: str
    bound_seconds: Mapping[str, float]
    breakdown_seconds: Mapping[str, float] = field(default_factory=dict)
    rdn_slowdown: float = 1.0
    agcu_streams: int = 0
    flops: float = 0.0
    moved_bytes: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intensity:
    """Operational intensity: the model's work against what sections read from and write to off-chip memory."""

    flops: float
    bytes: float

    @property
    def flops_per_byte(self) -> float | None:
        return self.flops / self.bytes if self.bytes else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulator:
    """What made the report. `decode_contexts`: of a generation, those simulated; the others are interpolated."""

    version: str
    wall_seconds: float | None = None
    decode_contexts: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanUse:
    """A way of cutting the model: how long it takes and what bounds it, or at least takes, or why it is refused."""

    parallelism: Mapping[str, int]
    total_seconds: float | None = None
    at_least_seconds: float | None = None
    bound_by: str | None = None
    refused: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpilledSymbol:
    """What of a symbol lies beyond the nearest tier: `repeats` of its `of_repeats` parts, where it has several."""

    name: str
    role: str
    tier: str
    bytes: int
    transfer_bytes: int
    repeats: int | None = None
    of_repeats: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spill:
    """What lies beyond the nearest tier, over all sockets in use, and what a run pays for it.

    `seconds_if_near`: of the same sections on a machine whose nearest tier holds everything, placed and simulated
    again; `added_seconds`: what this run takes longer. Both are absent for a pipeline over sockets, which is not run a
    second time as a whole.
    """

    bytes: int
    transfer_bytes: int
    symbols: tuple[SpilledSymbol, ...]
    seconds_if_near: float | None = None
    added_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeStep:
    """A simulated step of a generation; `steps`: how many steps it stands for, so that a weighted sum is over all."""

    context_tokens: int
    steps: float
    seconds: float
    breakdown_seconds: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that `run` prints and exports. `breakdown_seconds` sums to `latency.total_seconds`."""

    setting: Setting
    latency: Latency
    throughput: Throughput
    memory: tuple[MemoryUse, ...]
    units: tuple[UnitUse, ...]
    links: LinkUse | None
    sections: tuple[SectionUse, ...]
    kernel_launches: int
    breakdown_seconds: Mapping[str, float]
    operational_intensity: Intensity
    notes: tuple[str, ...]
    simulator: Simulator
    spill: Spill | None = None
    plans: tuple[PlanUse, ...] | None = None
    decode_steps: tuple[DecodeStep, ...] | None = None
