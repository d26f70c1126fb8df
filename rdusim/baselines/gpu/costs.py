"""What serving asks of a node of GPUs: seconds of steps and of copies (the protocol `serve.StepCosts`).

Every step is timed as it is asked for, and once; who asks for many tabulates them (`serve.tabulate`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rdusim.baselines.gpu.timing import step_report
from rdusim.baselines.gpu.types import Fusion, GpuMachine
from rdusim.dtypes import DType
from rdusim.errors import OptionError
from rdusim.graph.types import Phase, RunShape
from rdusim.units import Bytes, BytesPerSecond, Seconds

_HBM: Final = "hbm"
# `ddr`: what the far tier of an RDU node is called, so that one scenario runs on either.
_HOST: Final = ("host", "ddr")


class GpuCosts:
    """Steps of `shapes` (name of an expert's shape -> model) on `gpus` GPUs of a node, under tensor parallelism.

    Raises OptionError for a tier or shape that is unknown, and where a model does not fit.
    """

    def __init__(
        self,
        machine: GpuMachine,
        shapes: Mapping[str, str],
        *,
        gpus: int | None = None,
        kernels: Fusion = Fusion.FUSED,
        dtype: DType = "bf16",
    ) -> None:
        self.machine = machine
        self.shapes = shapes
        self.gpus = machine.node.gpus if gpus is None else gpus
        self.kernels = kernels
        self.dtype: DType = dtype
        self._steps: dict[tuple[str, Phase, int, int], tuple[float, float]] = {}

    def prefill(self, shape: str, batch: int, tokens: int) -> Seconds:
        """`batch` prompts of `tokens` each until their first tokens."""
        return Seconds(self._step(shape, Phase.PREFILL, batch, tokens)[0])

    def decode(self, shape: str, batch: int, context: float) -> Seconds:
        """One further token of each of `batch` sequences with `context` tokens in the cache on average."""
        return Seconds(self._decode(shape, batch, context)[0])

    def decode_bytes(self, shape: str, batch: int, context: float) -> Bytes:
        """Bytes that a decode step moves over the HBM of all GPUs."""
        return Bytes(round(self._decode(shape, batch, context)[1]))

    def switch(self, size: Bytes, source: str, target: str) -> Seconds:
        """Copy `size` bytes between tiers: the links' latency, and the bytes over all links that there are."""
        rate = self.copy_bandwidth(source, target)
        return Seconds(self.machine.node.host_link.latency + size / rate)

    def copy_bandwidth(self, source: str, target: str) -> BytesPerSecond:
        """Over the links between host and the GPUs in use; within HBM, reading and writing share its bandwidth."""
        node, ends = self.machine.node, {self._tier(source), self._tier(target)}
        if ends == {_HBM}:
            return BytesPerSecond(self.memory_bandwidth(_HBM) / 2)
        if len(ends) == 1:
            return BytesPerSecond(node.host_memory.bandwidth / 2)
        links = min(node.host_links, self.gpus)
        return BytesPerSecond(
            min(links * node.host_link.bandwidth * node.host_link.achieved, node.host_memory.bandwidth)
        )

    def memory_bandwidth(self, tier: str) -> BytesPerSecond:
        """What long streams reach, over the GPUs in use."""
        if self._tier(tier) == _HBM:
            memory = self.machine.gpu.memory
            return BytesPerSecond(self.gpus * memory.streaming * memory.bandwidth)
        return self.machine.node.host_memory.bandwidth

    def capacity(self, tier: str) -> Bytes:
        """Bytes of a tier over the whole node, all of them usable, as the SN40L paper counts."""
        node = self.machine.node
        if self._tier(tier) == _HBM:
            return Bytes(node.gpus * self.machine.gpu.memory.capacity)
        return node.host_memory.capacity

    def weight_bytes(self, shape: str) -> Bytes:
        """Of one expert of that shape."""
        step = RunShape(phase=Phase.DECODE, batch=1, query_tokens=1, context_tokens=2, dtype=self.dtype)
        report = step_report(self._model(shape), step, self.machine, gpus=self.gpus, kernels=self.kernels)
        return report.weight_bytes

    def _tier(self, name: str) -> str:
        if name in _HOST:
            return _HOST[0]
        if name != _HBM:
            raise OptionError(f"a node of GPUs has no memory tier {name!r}: it has {_HBM} and {_HOST[0]}")
        return name

    def _model(self, shape: str) -> str:
        if shape not in self.shapes:
            raise OptionError(f"no model is given for the shape {shape!r}: there are {', '.join(self.shapes)}")
        return self.shapes[shape]

    def _decode(self, shape: str, batch: int, context: float) -> tuple[float, float]:
        """Seconds and bytes; between whole contexts on the straight line."""
        whole = max(1, int(context))  # the smallest step that has a past
        low = self._step(shape, Phase.DECODE, batch, whole + 1)
        if context <= whole:
            return low
        high, share = self._step(shape, Phase.DECODE, batch, whole + 2), context - whole
        return low[0] + share * (high[0] - low[0]), low[1] + share * (high[1] - low[1])

    def _step(self, shape: str, phase: Phase, batch: int, tokens: int) -> tuple[float, float]:
        """Seconds and bytes; `tokens`: context at the end of the step."""
        key = shape, phase, batch, tokens
        if key not in self._steps:
            query = 1 if phase is Phase.DECODE else tokens
            step = RunShape(phase=phase, batch=batch, query_tokens=query, context_tokens=tokens, dtype=self.dtype)
            report = step_report(self._model(shape), step, self.machine, gpus=self.gpus, kernels=self.kernels)
            self._steps[key] = report.total_seconds, report.read_bytes + report.written_bytes
        return self._steps[key]
