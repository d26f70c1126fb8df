"""rdusim: how long a model takes on a reconfigurable dataflow accelerator, and why.

Six verbs over frozen nouns; each is a function from values to a value:

    arch = load_arch("sn40l")
    graph = load_graph("llama-3.1-8b", RunShape(phase=Phase.DECODE, batch=1, query_tokens=1, context_tokens=4096))
    program = lower(graph, arch, LowerOptions())
    mapping = map_onto(program, arch, MapOptions())
    trace = simulate(mapping, arch, SimulateOptions())
    report = summarize(trace, mapping, graph, arch)

`rdusim.pipeline.run` does all of it for one request. Names are imported when first used, so that `import rdusim` costs
nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rdusim.arch.load import load_arch
    from rdusim.arch.types import Arch
    from rdusim.errors import RdusimError
    from rdusim.graph.load import load_graph
    from rdusim.graph.types import OperatorGraph, Phase, RunShape
    from rdusim.mapping.map_onto import map_onto
    from rdusim.mapping.types import MapOptions, Mapping, Orchestration
    from rdusim.program.lower import lower
    from rdusim.program.types import Fusion, LowerOptions, Parallelism, Program
    from rdusim.report.summarize import summarize
    from rdusim.report.types import Report
    from rdusim.sim.simulate import simulate
    from rdusim.sim.trace import SimulateOptions, Trace

__version__ = "0.1.0"

__all__ = [
    "Arch",
    "Fusion",
    "LowerOptions",
    "MapOptions",
    "Mapping",
    "OperatorGraph",
    "Orchestration",
    "Parallelism",
    "Phase",
    "Program",
    "RdusimError",
    "Report",
    "RunShape",
    "SimulateOptions",
    "Trace",
    "load_arch",
    "load_graph",
    "lower",
    "map_onto",
    "simulate",
    "summarize",
]

_HOME = {
    "Arch": "rdusim.arch.types",
    "Fusion": "rdusim.program.types",
    "LowerOptions": "rdusim.program.types",
    "MapOptions": "rdusim.mapping.types",
    "Mapping": "rdusim.mapping.types",
    "OperatorGraph": "rdusim.graph.types",
    "Orchestration": "rdusim.mapping.types",
    "Parallelism": "rdusim.program.types",
    "Phase": "rdusim.graph.types",
    "Program": "rdusim.program.types",
    "RdusimError": "rdusim.errors",
    "Report": "rdusim.report.types",
    "RunShape": "rdusim.graph.types",
    "SimulateOptions": "rdusim.sim.trace",
    "Trace": "rdusim.sim.trace",
    "load_arch": "rdusim.arch.load",
    "load_graph": "rdusim.graph.load",
    "lower": "rdusim.program.lower",
    "map_onto": "rdusim.mapping.map_onto",
    "simulate": "rdusim.sim.simulate",
    "summarize": "rdusim.report.summarize",
}


def __getattr__(name: str) -> object:
    """Import an exported name from its home when it is first asked for (PEP 562)."""
    if (home := _HOME.get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(home), name)
    globals()[name] = value  # not state: the next look-up finds the same object without coming here
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
