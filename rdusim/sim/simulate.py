"""The verb: a mapping on a machine becomes a trace, by the engine asked for."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as PyMapping
from types import MappingProxyType
from typing import Final

from rdusim.arch.types import Arch
from rdusim.errors import OptionError, Problem
from rdusim.mapping.mesh import mesh_of
from rdusim.mapping.types import Mapping
from rdusim.sim.cycle import cycle, machine_too_large
from rdusim.sim.discrete import discrete
from rdusim.sim.steady import steady
from rdusim.sim.trace import SimulateOptions, Trace

ENGINES: Final[PyMapping[str, Callable[[Mapping, Arch], Trace]]] = MappingProxyType(
    {"steady": steady, "discrete": discrete, "cycle": cycle}
)


def engine_problems(engine: str, arch: Arch) -> list[Problem]:
    """Why an engine runs nothing on a machine: known before there is a program."""
    return machine_too_large(mesh_of(arch.socket)) if engine == "cycle" else []


def simulate(mapping: Mapping, arch: Arch, options: SimulateOptions | None = None) -> Trace:
    """Run an engine: cycles of the socket's clock, of one socket, for the whole program, launches and repeats included.

    The breakdown of the trace sums to its cycles: each has one cause.

    Raises OptionError for an unknown engine, DeadlockError where buffers wait for each other in a circle.
    """
    engine = (options or SimulateOptions()).engine
    if engine not in ENGINES:
        raise OptionError(f"--engine: no engine '{engine}': choose one of {', '.join(ENGINES)}")
    return ENGINES[engine](mapping, arch)
