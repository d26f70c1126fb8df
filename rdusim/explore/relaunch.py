"""A run's time as a function of what starting a section costs: launches counted anew, executions kept.

Exact: no engine's execution of a section depends on its launch, and the schedule of launches is `sim.schedule`'s own
(engine `steady`). What stands between is what the program was compiled for.
"""

from __future__ import annotations

from collections.abc import Mapping as PyMapping
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from rdusim.arch.types import Arch
from rdusim.graph.types import RunShape
from rdusim.mapping.types import Mapping
from rdusim.pipeline import Stages
from rdusim.pipeline.request import GENERATE
from rdusim.report.generation import weights
from rdusim.sim.schedule import launch_cycles

Noun = TypeVar("Noun")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """A mapped program and its timing. `executions`: cycles of one execution, for each launch; `rest`: all of them."""

    mapping: Mapping
    executions: tuple[float, ...]
    rest: float

    def seconds(self, arch: Arch) -> float:
        """On a machine that differs from the timed one only in `launch` and `system.host`."""
        return (self.rest + sum(launch_cycles(self.mapping, self.executions, arch))) / arch.socket.clock


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedRun:
    """Programs of a run, and how many times each counts: more than one for a generation, of these `contexts`."""

    contexts: tuple[int, ...]
    parts: tuple[tuple[float, Timed], ...]

    def seconds(self, arch: Arch) -> float:
        return sum(weight * timed.seconds(arch) for weight, timed in self.parts)


def timed_run(stages: Stages, contexts: Sequence[int] | None = None) -> TimedRun:
    """The run of a request, of one program or a generation, on one pipeline stage.

    `contexts`: those of a generation that are simulated; None: as the run itself chooses them.
    """
    if stages.plan.phase != GENERATE:
        return TimedRun(contexts=(), parts=((1.0, _timed(stages, stages.shape())),))
    if contexts is None:
        contexts = stages.report().simulator.decode_contexts or ()
    steps = zip(weights(contexts), contexts, strict=True) if contexts else ()
    return TimedRun(
        contexts=tuple(contexts),
        parts=(
            (1.0, _timed(stages, stages.plan.prefill())),
            *((weight, _timed(stages, stages.plan.decode(context))) for weight, context in steps),
        ),
    )


def _timed(stages: Stages, shape: RunShape) -> Timed:
    assert len(stages.parts(shape)) == 1, "a pipeline overlaps its launches"
    trace = stages.trace(shape)
    return Timed(
        mapping=stages.mapping(shape),
        executions=tuple(section.execution_cycles for section in trace.sections),
        rest=sum(section.cycles - section.launch_cycles * section.repeats for section in trace.sections),
    )


def with_values(noun: Noun, values: PyMapping[str, float]) -> Noun:
    """A frozen noun with other numbers at dotted paths, as `{"launch.execute": 2e-6}` of a machine."""
    for path, value in values.items():
        noun = cast("Noun", _with(noun, path.split("."), value))
    return noun


def _with(noun: Any, path: Sequence[str], value: float) -> Any:
    first, *rest = path
    return replace(noun, **{first: _with(getattr(noun, first), rest, value) if rest else value})
