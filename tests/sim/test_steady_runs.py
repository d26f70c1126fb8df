"""Whole runs of the engine `steady` whose answer is known in direction or size."""

from __future__ import annotations

import pytest

from rdusim.arch.load import load_arch
from rdusim.graph.load import load_graph
from rdusim.graph.types import Phase, RunShape
from rdusim.mapping.map_onto import map_onto
from rdusim.mapping.types import MapOptions, Orchestration
from rdusim.program.lower import lower
from rdusim.program.types import Fusion, LowerOptions
from rdusim.sim.schedule import launch_cycles
from rdusim.sim.simulate import simulate
from rdusim.sim.trace import Trace
from rdusim.timing import launch
from rdusim.timing.rdn import scalar_bandwidth


def prefill(model: str, tokens: int, *, machine: str = "sn40l", sockets: int = 8, looping: bool = False) -> Trace:
    arch = load_arch(machine)
    shape = RunShape(phase=Phase.PREFILL, batch=1, query_tokens=tokens, context_tokens=tokens)
    program = lower(load_graph(model, shape), arch, LowerOptions(sockets=sockets))
    return simulate(map_onto(program, arch, MapOptions(kernel_looping=looping)), arch)


@pytest.mark.parametrize("model", ["llama-3.1-8b", "falcon-40b", "llama-2-70b"])
@pytest.mark.parametrize("tokens", [256, 512, 2048])
def test_looped_sections_of_many_tiles_beat_no_resource(model: str, tokens: int) -> None:
    for section in prefill(model, tokens, looping=True).sections:
        for resource, cycles in section.bounds.items():
            assert section.execution_cycles >= cycles * (1 - 1e-9), (section.name, resource)


def test_eight_sockets_of_a_mesh_in_a_larger_machine_are_as_good_as_the_small_machine() -> None:
    assert prefill("llama-3.1-8b", 512, machine="sn40l-x16", sockets=8).cycles == prefill("llama-3.1-8b", 512).cycles


def test_bytes_read_grow_no_faster_than_the_square_of_a_prompt() -> None:
    """The causal mask is n x n; weights stay the same: a mask loaded anew for every tile would grow faster."""
    short, long = (prefill("llama-3.1-8b", tokens).read_bytes["hbm"] for tokens in (4096, 16384))
    assert long <= 16 * short


def test_the_host_stages_a_start_behind_the_section_that_really_runs_before_it() -> None:
    """Sections in turn, the first one long: behind it all that the host does for the second one is hidden."""
    arch = load_arch("sn40l")
    shape = RunShape(phase=Phase.DECODE, batch=1, query_tokens=1, context_tokens=64)
    program = lower(load_graph("llama-3.2-1b", shape), arch, LowerOptions(fusion=Fusion.UNFUSED))
    mapping = map_onto(program, arch, MapOptions(orchestration=Orchestration.HOST))
    (group,) = (sections for sections, times in program.order if times > 1)
    executions = [0.0] * len(mapping.launches)
    executions[group[0]] = 1e9
    added = launch_cycles(mapping, executions, arch)
    second = program.sections[group[1]]
    scalars = scalar_bandwidth(arch.socket.tile.rdn, arch.socket.clock)
    units = second.pcus + second.pmus
    time = launch.host(units, second.agcu_streams, arch.launch, scalars, arch.system.host)
    assert added[group[1]] == pytest.approx(second.repeats * time.exposed * arch.socket.clock)
