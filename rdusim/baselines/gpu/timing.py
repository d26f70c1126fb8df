"""A model on GPUs kernel by kernel: every second is given to arithmetic, HBM, NVLink, launches or the host.

docs/model.md, "GPU baselines".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from rdusim.baselines.gpu.exchange import exchange_seconds
from rdusim.baselines.gpu.kernels import Kernel, kernels_of
from rdusim.baselines.gpu.product import Bound, attention_bound, memory_seconds, product_bound
from rdusim.baselines.gpu.types import Fusion, Gpu, GpuMachine, Software
from rdusim.dtypes import DType
from rdusim.errors import OptionError, Problem
from rdusim.graph.load import load_graph
from rdusim.graph.types import OperatorGraph, Phase, Role, RunShape
from rdusim.program.shard import shard
from rdusim.units import Bytes, Seconds, show

_ON_GPU: Final = ("compute", "memory", "collective", "launch")  # causes of a kernel's time


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelTime:
    """One kernel's seconds, of one launch. Arithmetic and HBM: what is not hidden behind the longer of the two.

    `wait`: until the first bytes are there, after the gap before it.
    """

    kernel: Kernel
    compute: Seconds
    memory: Seconds
    collective: Seconds
    wait: Seconds

    @property
    def seconds(self) -> Seconds:
        return Seconds(self.compute + self.memory + self.collective + self.wait)

    @property
    def bound(self) -> str:
        """compute, memory or collective: which one most of the kernel's time goes to."""
        if self.kernel.exchange is not None:
            return "collective"
        return "compute" if self.compute > self.memory else "memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockTime:
    """Kernels of a block of the model, all its repeats: `breakdown_seconds` is what they take of the step's."""

    name: str
    launches: int
    breakdown_seconds: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuReport:
    """One step of a model, or several added up. Bytes and flops are of all `gpus` together.

    `breakdown_seconds`: compute, memory, collective, launch, host; they sum to the total. `blocks` share out all of it
    but the host's; several steps have `prefill/...` and `decode/...`. `weight_bytes` and `cache_bytes` lie in the HBM
    of all GPUs.
    """

    gpu: str
    model: str
    gpus: int
    kernels: Fusion
    total_seconds: Seconds
    breakdown_seconds: Mapping[str, float]
    launches: int
    flops: float
    read_bytes: float
    written_bytes: float
    weight_bytes: Bytes
    cache_bytes: Bytes
    blocks: tuple[BlockTime, ...] = ()
    rows: tuple[KernelTime, ...] = ()


def gpu_report(
    model: str, shape: RunShape, machine: GpuMachine, *, gpus: int = 1, kernels: Fusion = Fusion.FUSED
) -> GpuReport:
    """One step (a prefill, or the decode of one token) under tensor parallelism over `gpus`.

    Raises OptionError when the node has fewer GPUs or their HBM is too small, LowerError when the model cannot be cut.
    """
    report = step_report(model, shape, machine, gpus=gpus, kernels=kernels)
    needed, there = (report.weight_bytes + report.cache_bytes) / gpus, machine.gpu.memory.capacity
    if needed > there:
        raise OptionError(
            Problem(
                message=f"{model} needs {show(needed, 'size')} of HBM on each of {gpus} GPUs, {machine.name} has "
                f"{show(there, 'size')}",
                hint="more GPUs, a smaller batch or a shorter context",
            )
        )
    return report


def step_report(
    model: str, shape: RunShape, machine: GpuMachine, *, gpus: int = 1, kernels: Fusion = Fusion.FUSED
) -> GpuReport:
    """The same, whether or not it fits in HBM: for tables, whose grid goes further than what is asked."""
    if not 1 <= gpus <= machine.node.gpus:
        hint = f"a {machine.node.name} has {machine.node.gpus}"
        raise OptionError(Problem(message=f"{gpus} GPUs were asked for", hint=hint))
    graph = shard(load_graph(model, shape), gpus)
    weights, cache = _held(graph, Role.WEIGHT), _held(graph, Role.KV_CACHE)
    rows = tuple(_timed(kernel, machine) for kernel in kernels_of(graph, kernels))
    breakdown, blocks = _breakdown(rows, machine.software, kernels)
    repeats = [row.kernel.repeats for row in rows]
    return GpuReport(
        gpu=machine.name,
        model=model,
        gpus=gpus,
        kernels=kernels,
        total_seconds=Seconds(sum(breakdown.values())),
        breakdown_seconds=breakdown,
        launches=sum(repeats),
        flops=gpus * sum(row.kernel.flops * times for row, times in zip(rows, repeats, strict=True)),
        read_bytes=gpus * sum(row.kernel.read * times for row, times in zip(rows, repeats, strict=True)),
        written_bytes=gpus * sum(row.kernel.written * times for row, times in zip(rows, repeats, strict=True)),
        weight_bytes=Bytes(gpus * weights),
        cache_bytes=Bytes(gpus * cache),
        blocks=blocks,
        rows=rows,
    )


def gpu_generation(
    model: str,
    machine: GpuMachine,
    *,
    input_tokens: int,
    output_tokens: int,
    batch: int = 1,
    gpus: int = 1,
    kernels: Fusion = Fusion.FUSED,
    dtype: DType = "bf16",
) -> GpuReport:
    """Prefill, which gives the first token, and a decode step for every further one over the growing context.

    Steps are linear in the context but for the rounding of waves: a few are timed, the trapezoids between are summed.
    """
    first = RunShape(
        phase=Phase.PREFILL, batch=batch, query_tokens=input_tokens, context_tokens=input_tokens, dtype=dtype
    )
    reports = [(1.0, gpu_report(model, first, machine, gpus=gpus, kernels=kernels))]
    for context, weight in _weights(input_tokens + 1, input_tokens + output_tokens - 1):
        step = RunShape(phase=Phase.DECODE, batch=batch, query_tokens=1, context_tokens=context, dtype=dtype)
        reports.append((weight, gpu_report(model, step, machine, gpus=gpus, kernels=kernels)))
    return _total(reports)


def _timed(kernel: Kernel, machine: GpuMachine) -> KernelTime:
    gpu, software = machine.gpu, machine.software
    if kernel.exchange is not None:
        seconds = exchange_seconds(kernel.exchange, gpu.nvlink)
        return KernelTime(
            kernel=kernel, compute=Seconds(0.0), memory=Seconds(0.0), collective=seconds, wait=Seconds(0.0)
        )
    bound = _bound(kernel, gpu, software)
    compute, hidden = max(bound.compute, _vector_seconds(kernel, gpu)), 1.0 - software.overlap
    return KernelTime(
        kernel=kernel,
        compute=Seconds(compute if compute > bound.memory else hidden * compute),
        memory=Seconds(hidden * bound.memory if compute > bound.memory else bound.memory),
        collective=Seconds(0.0),
        wait=gpu.memory.latency,
    )


def _bound(kernel: Kernel, gpu: Gpu, software: Software) -> Bound:
    """Tensor cores and HBM. Element-wise kernels have as many blocks as they have work for."""
    if kernel.attention:
        return attention_bound(kernel.products, kernel.size, gpu, software)
    if kernel.products:
        return product_bound(kernel.products[0], kernel.size, gpu, software)
    blocks = max(1.0, kernel.size / gpu.bytes_in_flight)
    return Bound(compute=Seconds(0.0), memory=memory_seconds(kernel.size, blocks, gpu))


def _vector_seconds(kernel: Kernel, gpu: Gpu) -> Seconds:
    cycles = kernel.vector_work / gpu.vector_lanes + kernel.special_work / gpu.special_lanes
    return Seconds(cycles / (gpu.sms * gpu.clock))


def _breakdown(
    rows: tuple[KernelTime, ...], software: Software, kernels: Fusion
) -> tuple[dict[str, float], tuple[BlockTime, ...]]:
    """Seconds by what they are given to, of all and of each block. `launch`: gaps, waits for first bytes and the CPU.

    Eager: the CPU issues kernels in order, one every `host_launch`, and runs ahead where they take longer than that.
    """
    spent = dict.fromkeys(_ON_GPU, 0.0)
    of_block: dict[str, dict[str, float]] = {}
    issued = done = 0.0
    for row in _in_order(rows):
        issued += software.host_launch if kernels is Fusion.EAGER else 0.0
        begin = max(done + software.graph_gap, issued)
        here = of_block.setdefault(row.kernel.block, dict.fromkeys(_ON_GPU, 0.0))
        given = row.compute, row.memory, row.collective, begin - done + row.wait
        for cause, seconds in zip(_ON_GPU, given, strict=True):
            spent[cause] += seconds
            here[cause] += seconds
        done = begin + row.seconds
    launches = Counter[str]()
    for row in rows:
        launches[row.kernel.block] += row.kernel.repeats
    blocks = tuple(
        BlockTime(name=name, launches=launches[name], breakdown_seconds=causes) for name, causes in of_block.items()
    )
    return spent | {"host": software.host_step}, blocks


def _in_order(rows: tuple[KernelTime, ...]) -> Iterator[KernelTime]:
    """Every launch: the kernels of a block in a row, the block as often as it repeats."""
    blocks: dict[str, list[KernelTime]] = {}
    for row in rows:
        blocks.setdefault(row.kernel.block, []).append(row)
    for block in blocks.values():
        for _ in range(block[0].kernel.repeats):
            yield from block


def _held(graph: OperatorGraph, role: Role) -> int:
    """Bytes of a role in one GPU's HBM; caches are the past and what this step adds."""
    total, seen = 0, set[str]()
    for block in graph.blocks:
        for name in block.operators:
            operator = graph.by_name[name]
            for operand in (*operator.inputs, *operator.outputs):
                if operand.tensor not in seen and graph.tensors[operand.tensor].role is role:
                    seen.add(operand.tensor)
                    tensor = graph.tensors[operand.tensor]
                    total += block.repeats * tensor.bytes
    return total


def _weights(first: int, last: int) -> list[tuple[int, float]]:
    """Contexts to time and how many steps each stands for, so that they sum to the steps from `first` to `last`."""
    if last < first:
        return []
    if last - first < 4:
        return [(context, 1.0) for context in range(first, last + 1)]
    points = [first + (last - first) * part // 4 for part in range(5)]
    found = dict.fromkeys(points, 0.0)
    for low, high in pairwise(points):
        steps = high - low
        found[low] += (steps + 1) / 2
        found[high] += (steps - 1) / 2
    found[last] += 1.0
    return list(found.items())


def _total(reports: list[tuple[float, GpuReport]]) -> GpuReport:
    largest = reports[-1][1]
    return GpuReport(
        gpu=largest.gpu,
        model=largest.model,
        gpus=largest.gpus,
        kernels=largest.kernels,
        total_seconds=Seconds(sum(times * report.total_seconds for times, report in reports)),
        breakdown_seconds={
            cause: sum(times * report.breakdown_seconds[cause] for times, report in reports)
            for cause in largest.breakdown_seconds
        },
        launches=round(sum(times * report.launches for times, report in reports)),
        flops=sum(times * report.flops for times, report in reports),
        read_bytes=sum(times * report.read_bytes for times, report in reports),
        written_bytes=sum(times * report.written_bytes for times, report in reports),
        weight_bytes=largest.weight_bytes,
        cache_bytes=largest.cache_bytes,
        blocks=(*_summed("prefill", reports[:1]), *_summed("decode", reports[1:])),
    )


def _summed(phase: str, reports: list[tuple[float, GpuReport]]) -> Iterator[BlockTime]:
    """Blocks of several steps of one phase; they are those of each step."""
    for index, block in enumerate(reports[0][1].blocks if reports else ()):
        each = [(times, report.blocks[index]) for times, report in reports]
        yield BlockTime(
            name=f"{phase}/{block.name}",
            launches=round(sum(times * part.launches for times, part in each)),
            breakdown_seconds={
                cause: sum(times * part.breakdown_seconds[cause] for times, part in each) for cause in _ON_GPU
            },
        )
