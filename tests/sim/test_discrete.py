"""Engine `discrete`: laws of its own, and agreement with `steady` where nothing contends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdusim.arch.types import Arch
from rdusim.errors import DeadlockError
from rdusim.graph.load import load_graph
from rdusim.graph.types import Compute, OperatorGraph, Phase, RunShape
from rdusim.mapping.map_onto import map_onto
from rdusim.mapping.types import MapOptions, Mapping, Orchestration
from rdusim.program.lower import lower
from rdusim.program.types import Fusion, LowerOptions, Program, Stage
from rdusim.sim.simulate import simulate
from rdusim.sim.trace import Activity, Reason, SimulateOptions, Trace
from rdusim.timing.work import SimdWork
from rdusim.units import Bytes
from tests.mapping.programs import machine, program, section, sn40l, stream
from tests.strategies import graphs, machines

DISCRETE = SimulateOptions(engine="discrete")
OPTIONS = [
    (LowerOptions(), MapOptions()),
    (LowerOptions(), MapOptions(kernel_looping=True)),
    (LowerOptions(fusion=Fusion.UNFUSED), MapOptions(orchestration=Orchestration.HOST)),
]


def stage(name: str, elements: int, tiles: int) -> Stage:
    """One PCU and one PMU; on the toy machine a vector has 4 elements."""
    work = SimdWork(elements=elements, operations=1, tails=0, passes=1, reduction=False, dtype="bf16")
    return Stage(
        name=name,
        operators=(f"{name}.op",),
        compute=Compute.SIMD,
        tile_shape={},
        tiles=tiles,
        pcus=1,
        pmus=1,
        work=(work,),
        sram=Bytes(1024),
    )


def pipeline(elements: list[int], depths: list[int], tiles: int) -> Program:
    """Stages in a line, each reading what the one before makes."""
    stages = [stage(f"s{number}", size, tiles) for number, size in enumerate(elements)]
    streams = [
        replace(
            stream(f"s{number}>s{number + 1}", f"s{number}", f"s{number + 1}", 2 * elements[number]),
            tiles=tiles,
            depth=depth,
        )
        for number, depth in enumerate(depths)
    ]
    made = section("line", stages, streams=streams)
    return program([replace(made, tiles=tiles)])


def both(program: Program, arch: Arch) -> tuple[Trace, Trace]:
    mapping = map_onto(program, arch)
    return simulate(mapping, arch), simulate(mapping, arch, DISCRETE)


@settings(max_examples=40, deadline=None)
@given(
    elements=st.lists(st.sampled_from([16, 64, 256, 400]), min_size=2, max_size=8),
    tiles=st.integers(1, 200),
    data=st.data(),
)
def test_steady_and_discrete_agree_within_3_per_cent_on_pipelines_without_contention(
    elements: list[int], tiles: int, data: st.DataObject
) -> None:
    depths = data.draw(st.lists(st.integers(1, 4), min_size=len(elements) - 1, max_size=len(elements) - 1))
    steady, discrete = both(pipeline(elements, depths, tiles), machine(rows=6, cols=6, vector_links=4))
    assert discrete.cycles == pytest.approx(steady.cycles, rel=0.03)


def test_a_pipeline_by_hand() -> None:
    """256 elements are 64 vectors: 64 cycles a tile, in two stages of equal pace."""
    arch = machine(rows=4, cols=4)
    _, trace = both(pipeline([256, 256], [3], 10), arch)
    (line,) = trace.sections
    first, second = line.stages
    assert first.busy == second.busy == 640.0
    assert line.execution_cycles == pytest.approx(11 * 64, abs=64)  # one more tile to fill, and latencies


def test_depth_0_is_a_deadlock_that_names_its_stages_and_buffer() -> None:
    arch = machine()
    mapping = map_onto(pipeline([64, 64], [1], 4), arch)
    (mapped,) = mapping.sections
    (only,) = mapped.section.streams
    broken = replace(mapped, section=replace(mapped.section, streams=(replace(only, depth=0),)))
    with pytest.raises(DeadlockError, match="s0>s1") as caught:
        simulate(replace(mapping, sections=(broken,)), arch, DISCRETE)
    assert "depth" in str(caught.value)


def mapped(graph: OperatorGraph, arch: Arch, options: tuple[LowerOptions, MapOptions]) -> Mapping:
    return map_onto(lower(graph, arch, options[0]), arch, options[1])


@settings(max_examples=25, deadline=None)
@given(graph=graphs(), arch=machines(), options=st.sampled_from(OPTIONS))
def test_bytes_are_conserved_no_bound_is_beaten_and_every_cycle_has_a_cause(
    graph: OperatorGraph, arch: Arch, options: tuple[LowerOptions, MapOptions]
) -> None:
    mapping = mapped(graph, arch, options)
    steady, trace = simulate(mapping, arch), simulate(mapping, arch, DISCRETE)
    for tier in steady.read_bytes:
        assert trace.read_bytes[tier] == pytest.approx(steady.read_bytes[tier])
        assert trace.written_bytes[tier] == pytest.approx(steady.written_bytes[tier])
    for timing in trace.sections:
        assert sum(timing.breakdown.values()) == pytest.approx(timing.cycles, abs=1e-3)
        for resource, cycles in timing.bounds.items():
            assert timing.execution_cycles >= cycles * (1 - 1e-9), (timing.name, resource)
    assert trace.cycles == pytest.approx(sum(timing.cycles for timing in trace.sections))


def decode(model: str, context: int = 1024, looping: bool = False) -> tuple[Mapping, Arch]:
    arch = sn40l()
    shape = RunShape(phase=Phase.DECODE, batch=1, query_tokens=1, context_tokens=context)
    program = lower(load_graph(model, shape), arch, LowerOptions(sockets=8))
    return map_onto(program, arch, MapOptions(kernel_looping=looping)), arch


def test_two_runs_give_the_same_to_the_last_bit() -> None:
    mapping, arch = decode("llama-3.2-1b")
    one, other = simulate(mapping, arch, DISCRETE), simulate(mapping, arch, DISCRETE)
    assert one.cycles == other.cycles
    for column in ("start", "end", "bytes", "name"):
        assert np.array_equal(getattr(one.spans, column), getattr(other.spans, column))


def test_stages_say_what_they_waited_for() -> None:
    mapping, arch = decode("llama-3.2-1b")
    trace = simulate(mapping, arch, DISCRETE)
    decoder = max(trace.sections, key=lambda timing: timing.cycles)
    reasons = {stall.reason for timing in decoder.stages for stall in timing.stalls}
    assert Reason.INPUT in reasons
    for timing in decoder.stages:
        assert timing.busy + sum(stall.cycles for stall in timing.stalls) <= decoder.execution_cycles * (1 + 1e-9)
    assert any(stall.on == "hbm" for flow in decoder.streams for stall in flow.stalls)


def test_looped_repeats_take_less_than_repeats_that_drain() -> None:
    arch = sn40l()
    drained = simulate(decode("llama-3.2-1b")[0], arch, DISCRETE)
    looped = simulate(decode("llama-3.2-1b", looping=True)[0], arch, DISCRETE)
    assert looped.cycles < drained.cycles


def test_spans_of_a_stage_never_overlap() -> None:
    mapping, arch = decode("llama-3.2-1b")
    spans = simulate(mapping, arch, DISCRETE).spans
    for name, kind in enumerate(spans.kinds):
        if kind == "stage":
            for section in np.unique(spans.section[spans.name == name]).tolist():
                mine = (spans.name == name) & (spans.section == section)
                order = np.argsort(spans.start[mine], kind="stable")
                start, end = spans.start[mine][order], spans.end[mine][order]
                assert np.all(start[1:] >= end[:-1] - 1e-6), spans.names[name]
    assert set(spans.activity.tolist()) >= {Activity.COMPUTE, Activity.LOAD, Activity.COLLECTIVE, Activity.LAUNCH}


@pytest.mark.parametrize(
    ("model", "sockets", "looping"), [("llama-3.1-8b", 1, False), ("llama-3.2-1b", 2, False), ("llama-3.1-8b", 8, True)]
)
def test_causes_sum_to_the_time_where_operands_do_not_fit_and_where_repeats_overlap(
    model: str, sockets: int, looping: bool
) -> None:
    arch = sn40l()
    shape = RunShape(phase=Phase.DECODE, batch=1, query_tokens=1, context_tokens=4096)
    program = lower(load_graph(model, shape), arch, LowerOptions(sockets=sockets))
    trace = simulate(map_onto(program, arch, MapOptions(kernel_looping=looping)), arch, DISCRETE)
    for timing in trace.sections:
        assert sum(timing.breakdown.values()) == pytest.approx(timing.cycles, rel=1e-9)


def test_what_waits_behind_a_full_memory_is_blamed_on_the_memory() -> None:
    """A decode step that streams weights is bound by HBM in both engines."""
    mapping, arch = decode("llama-3.1-8b", context=4096)
    for options in (None, DISCRETE):
        decoder = max(simulate(mapping, arch, options).sections, key=lambda timing: timing.cycles)
        assert decoder.bottleneck == "hbm"
