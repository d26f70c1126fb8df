"""What serving asks of a node of RDUs: seconds of simulated steps, and of copies between tiers (`serve.StepCosts`).

Every step is simulated when it is asked for, and once; `cost_tables` asks for few of them and interpolates.
docs/model.md, "Step costs of an RDU node".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, cast

from rdusim.arch.types import MemoryTier
from rdusim.dtypes import DType
from rdusim.errors import OptionError, Problem
from rdusim.graph.types import Phase, RunShape
from rdusim.pipeline.request import RunRequest
from rdusim.pipeline.stages import Cache, Stages
from rdusim.pipeline.step_store import StepStore
from rdusim.timing.dram import efficiency
from rdusim.units import Bytes, BytesPerSecond, Seconds

_HOST: Final = "host"


class RduCosts:
    """Steps of `shapes` (name of an expert's shape -> model) on the sockets of one machine.

    `request`: what all models have in common, its `model` does not count. `observe` hears what is simulated. `store`
    keeps measured steps on disk. `prefill_cuts`: operators behind which a section of a prefill must end. Raises what
    `Stages` raises, and OptionError for a shape or a tier that is unknown.
    """

    def __init__(
        self,
        request: RunRequest,
        shapes: Mapping[str, str],
        *,
        store: StepStore | None = None,
        observe: Callable[[str], None] | None = None,
        prefill_cuts: tuple[str, ...] = (),
    ) -> None:
        self.shapes = shapes
        self.measured = 0
        self._observe = observe
        self._store = store if store is not None else StepStore(None)
        self._stages: dict[tuple[str, Phase], Stages] = {}
        self._request = request
        self._cuts = prefill_cuts
        first = self._of(next(iter(shapes)), Phase.DECODE)
        self.arch, self.sockets = first.arch, first.sockets

    def prefill(self, shape: str, batch: int, tokens: int) -> Seconds:
        """`batch` prompts of `tokens` each until their first tokens."""
        return Seconds(self._step(shape, Phase.PREFILL, batch, tokens)[0])

    def decode(self, shape: str, batch: int, context: float) -> Seconds:
        """One further token of each of `batch` sequences; `context`, rounded, counts the token that the step reads."""
        return Seconds(self._step(shape, Phase.DECODE, batch, max(round(context), 2))[0])

    def decode_bytes(self, shape: str, batch: int, context: float) -> Bytes:
        """Bytes that a decode step moves over the nearest tier of all sockets in use."""
        return Bytes(round(self._step(shape, Phase.DECODE, batch, max(round(context), 2))[1]))

    def switch(self, size: Bytes, source: str, target: str) -> Seconds:
        """Copy `size` bytes, shared out evenly over all sockets, all at once: first byte, then the slower end's rate.

        Raises OptionError for a tier that the machine does not have.
        """
        return Seconds(self._latency(source) + self._latency(target) + size / self.copy_bandwidth(source, target))

    def copy_bandwidth(self, source: str, target: str) -> BytesPerSecond:
        """min(read rate of the source, write rate of the target), each with its losses, times the sockets."""
        return BytesPerSecond(self.sockets * min(self._copy_rate(source, 0.0), self._copy_rate(target, 1.0)))

    def memory_bandwidth(self, tier: str) -> BytesPerSecond:
        """What long reads reach, over all sockets."""
        if tier == _HOST:
            return BytesPerSecond(self.sockets * self.arch.system.host.bandwidth)
        found = self._tier(tier)
        return BytesPerSecond(self.sockets * found.bandwidth * _long(found, 0.0))

    def capacity(self, tier: str) -> Bytes | None:
        """Bytes of a tier over all sockets; None of the host's memory, of which a machine says nothing."""
        return None if tier == _HOST else Bytes(self.sockets * self._tier(tier).capacity)

    @property
    def near(self) -> str:
        """The nearest tier."""
        return self.arch.socket.memory[0].name

    def _copy_rate(self, tier: str, written: float) -> float:
        if tier == _HOST:
            return self.arch.system.host.bandwidth
        found = self._tier(tier)
        return found.bandwidth * _long(found, written) * found.copy_share

    def _latency(self, tier: str) -> float:
        return self.arch.system.host.latency if tier == _HOST else self._tier(tier).latency

    def _tier(self, name: str) -> MemoryTier:
        for tier in self.arch.socket.memory:
            if tier.name == name:
                return tier
        known = ", ".join((*(tier.name for tier in self.arch.socket.memory), _HOST))
        message = f"{self.arch.name} has no memory tier {name!r}"
        raise OptionError(Problem(message=message, field="home", hint=f"it has {known}"))

    def _of(self, shape: str, phase: Phase) -> Stages:
        if shape not in self.shapes:
            known = ", ".join(self.shapes)
            raise OptionError(f"no model is given for the shape {shape!r}: there are {known}")
        if (shape, phase) not in self._stages:
            cuts = self._cuts if phase is Phase.PREFILL else ()
            request = replace(self._request, model=self.shapes[shape], phase=None, cut_after=cuts)
            self._stages[shape, phase] = Stages(request, cache=Cache())
        return self._stages[shape, phase]

    def _step(self, shape: str, phase: Phase, batch: int, tokens: int) -> tuple[float, float]:
        """Seconds, and bytes over the nearest tier; `tokens`: context at the end of the step."""
        stages = self._of(shape, phase)
        query = 1 if phase is Phase.DECODE else tokens
        dtype = cast("DType", self._request.dtype or "bf16")
        step = RunShape(phase=phase, batch=batch, query_tokens=query, context_tokens=tokens, dtype=dtype)

        def measure() -> tuple[float, float]:
            if self._observe is not None:
                self._observe(f"simulating {self.shapes[shape]}: {phase.value}, batch {batch}, {tokens:,} tokens")
            self.measured += 1
            report = stages.report_of(step)
            near = next(use for use in report.memory if use.tier == self.near)
            stages.cache.made.clear()  # a step is asked for once; its mapping would stay in memory for nothing
            return report.latency.total_seconds, (near.read_bytes or 0.0) + (near.written_bytes or 0.0)

        key = self._store.key(self.shapes[shape], self.arch, stages.lower_options(), stages.map_options(), dtype)
        return self._store.get(key, f"{phase.value}/{batch}/{tokens}", measure)


def _long(tier: MemoryTier, written: float) -> float:
    """Share of its peak that a tier reaches in long streams."""
    return efficiency(tier, tier.timing.row, written).total
