"""A GPU, the software on it and the node it stands in: frozen, in SI units. arch/gpu/*.yaml has numbers and sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from rdusim.units import Bytes, BytesPerSecond, Hertz, Seconds


class Fusion(StrEnum):
    """Which operators share a kernel, and who starts kernels.

    EAGER: one kernel each, launched by the CPU (PyTorch). FUSED: what an inference engine fuses, in CUDA graphs.
    """

    EAGER = "eager"
    FUSED = "fused"


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuMemory:
    """HBM of one GPU. `bandwidth` is the peak; `streaming` the share of it that a long stream reaches."""

    capacity: Bytes
    bandwidth: BytesPerSecond
    latency: Seconds
    streaming: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NvLink:
    """From one GPU into the switch that joins all, one direction. `latency` of a step of a collective."""

    bandwidth: BytesPerSecond
    latency: Seconds
    streaming: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU. `tensor_macs_per_cycle`, lanes and bytes are those of one SM (streaming multiprocessor)."""

    sms: int
    clock: Hertz
    power_watts: int
    tensor_macs_per_cycle: Mapping[str, int]
    vector_lanes: int
    special_lanes: int
    bytes_in_flight: Bytes
    l2_bytes_per_cycle: Bytes
    memory: GpuMemory
    nvlink: NvLink


@dataclass(frozen=True, slots=True, kw_only=True)
class Software:
    """What kernels make of the GPU, and what lies between them.

    `tensor_share`, `attention_share`: of the tensor cores' peak in the main loop. `attention_keys`: fewest
    keys of one head that are worth a block of their own. `overlap`: share of the shorter of arithmetic and memory that
    hides behind the longer. `graph_gap`: between kernels of a CUDA graph; `host_launch`: of the CPU, to launch one;
    `host_step`: of the host between two steps of a model.
    """

    tensor_share: float
    attention_share: float
    attention_keys: int
    overlap: float
    graph_gap: Seconds
    host_launch: Seconds
    host_step: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLink:
    """One way from host memory to GPUs. `achieved`: share of `bandwidth` that a copy reaches."""

    bandwidth: BytesPerSecond
    achieved: float
    latency: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class HostMemory:
    capacity: Bytes
    bandwidth: BytesPerSecond


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """GPUs behind one host. `host_links`: how many copy at once (1 as the SN40L paper counts, or one for each GPU)."""

    name: str
    gpus: int
    host_links: int
    host_link: HostLink
    host_memory: HostMemory


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuMachine:
    """What `load_gpu` returns."""

    name: str
    gpu: Gpu
    software: Software
    node: Node
