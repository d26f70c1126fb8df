"""What holds for every graph that is lowered onto and mapped to any machine (design/model.md, 'What is checked')."""

from __future__ import annotations

from collections import Counter
from math import ceil

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdusim.arch.types import Arch
from rdusim.graph.ops import SPECS
from rdusim.graph.types import Compute, Operator, OperatorGraph, Role
from rdusim.mapping.check import check
from rdusim.mapping.map_onto import map_onto
from rdusim.program.lower import lower
from rdusim.program.shard import shard
from rdusim.program.types import Fusion, LowerOptions, Program, Section
from tests.strategies import graphs, machines

FUSIONS = [LowerOptions(fusion=fusion) for fusion in Fusion]


def sharded(graph: OperatorGraph, program: Program) -> OperatorGraph:
    return shard(graph, program.parallelism.tp)


def section_of(program: Program) -> dict[str, int]:
    return {
        name: number
        for number, section in enumerate(program.sections)
        for stage in section.stages
        for name in stage.operators
    }


@settings(max_examples=30)
@given(graph=graphs(), arch=machines(), options=st.sampled_from(FUSIONS))
def test_every_program_can_be_mapped_legally(graph: OperatorGraph, arch: Arch, options: LowerOptions) -> None:
    program = lower(graph, arch, options)
    mapping = map_onto(program, arch)
    assert check(mapping, arch) == []
    assert [mapped.section for mapped in mapping.sections] == list(program.sections)


@settings(max_examples=30)
@given(graph=graphs(), arch=machines(), options=st.sampled_from(FUSIONS))
def test_every_operator_is_in_one_stage_of_a_section_of_its_block(
    graph: OperatorGraph, arch: Arch, options: LowerOptions
) -> None:
    program = lower(graph, arch, options)
    cut = sharded(graph, program)
    made = Counter(name for section in program.sections for stage in section.stages for name in stage.operators)
    assert made == Counter(operator.name for operator in cut.operators)
    where = section_of(program)
    for (numbers, times), block in zip(program.order, cut.blocks, strict=True):
        assert times == block.repeats
        assert {where[name] for name in block.operators} == set(numbers)
        assert all(program.sections[number].repeats == times for number in numbers)


@settings(max_examples=30)
@given(graph=graphs(), arch=machines(), options=st.sampled_from(FUSIONS))
def test_sections_and_their_stages_are_convex_and_in_order(
    graph: OperatorGraph, arch: Arch, options: LowerOptions
) -> None:
    """Data never goes to an earlier section or stage; then no way can leave a section and come back."""
    program = lower(graph, arch, options)
    cut = sharded(graph, program)
    where = section_of(program)
    stage_of = {
        name: (number, index)
        for number, section in enumerate(program.sections)
        for index, stage in enumerate(section.stages)
        for name in stage.operators
    }
    for source, target in cut.digraph.edges:
        assert where[source] <= where[target]
        layouts = SPECS[cut.by_name[source].kind].compute is Compute.MOVE
        assert layouts or stage_of[source] <= stage_of[target]
    for section in program.sections:
        index = {stage.name: number for number, stage in enumerate(section.stages)}
        assert all(index[stream.source] < index[stream.target] for stream in section.streams)
        assert nx.is_directed_acyclic_graph(nx.DiGraph([(s.source, s.target) for s in section.streams]))


@settings(max_examples=30)
@given(graph=graphs(), arch=machines(), options=st.sampled_from(FUSIONS))
def test_a_section_stays_within_what_a_compiler_can_fill(
    graph: OperatorGraph, arch: Arch, options: LowerOptions
) -> None:
    socket = arch.socket
    for section in lower(graph, arch, options).sections:
        assert section.pcus <= socket.pcus * socket.placeable
        assert section.pmus <= socket.pmus * socket.placeable
        assert section.agcu_streams <= socket.agcus * socket.tile.agcu.streams
        for stage in section.stages:
            assert stage.sram <= stage.pmus * socket.tile.pmu.capacity
            assert stage.pcus > 0 or not stage.work
            assert 1 <= stage.tiles <= section.tiles


def covered(tensor: str, cut: OperatorGraph, inside: set[str], loaded: set[str]) -> bool:
    """Whether a tensor is there: loaded, computed in this section, or a layout of tensors that are there."""
    if tensor in loaded:
        return True
    maker = cut.producer.get(tensor)
    if maker is None:
        return False
    if SPECS[cut.by_name[maker].kind].compute is Compute.MOVE:
        return all(covered(operand.tensor, cut, inside, loaded) for operand in cut.by_name[maker].inputs)
    return maker in inside


def with_roots(tensor: str, cut: OperatorGraph) -> set[str]:
    """The tensor, and if it is a layout, what it is a layout of."""
    maker = cut.by_name.get(cut.producer.get(tensor, ""))
    if maker is None or SPECS[maker.kind].compute is not Compute.MOVE:
        return {tensor}
    return {tensor}.union(*(with_roots(operand.tensor, cut) for operand in maker.inputs))


def operators_of(section: Section, cut: OperatorGraph) -> list[Operator]:
    return [cut.by_name[name] for stage in section.stages for name in stage.operators]


@settings(max_examples=30)
@given(graph=graphs(), arch=machines(), options=st.sampled_from(FUSIONS))
def test_what_a_section_reads_is_loaded_or_made_in_it(graph: OperatorGraph, arch: Arch, options: LowerOptions) -> None:
    program = lower(graph, arch, options)
    cut = sharded(graph, program)
    for section in program.sections:
        loaded = {load.buffer for load in section.loads}
        operators = operators_of(section, cut)
        inside = {operator.name for operator in operators}
        for operator in operators:
            for operand in operator.inputs:
                assert covered(operand.tensor, cut, inside, loaded), f"{section.name}: {operand.tensor}"
        made = {operand.tensor for operator in operators for operand in operator.outputs}
        assert not loaded & made


@settings(max_examples=30)
@given(graph=graphs(), arch=machines(), options=st.sampled_from(FUSIONS))
def test_what_is_loaded_was_stored_before_or_came_from_outside(
    graph: OperatorGraph, arch: Arch, options: LowerOptions
) -> None:
    """And nothing is stored that nobody wants: a result, or what a result is a layout of."""
    program = lower(graph, arch, options)
    cut = sharded(graph, program)
    there = {name for name in cut.tensors if name not in cut.producer}
    wanted = {load.buffer for section in program.sections for load in section.loads}
    carried = {tensor for block in cut.blocks for pair in block.carried.items() for tensor in pair}
    for section in program.sections:
        assert {load.buffer for load in section.loads} <= there
        for store in section.stores:
            there.add(store.buffer)
    outputs = {name for name, tensor in cut.tensors.items() if tensor.role is Role.OUTPUT}
    stored = {store.buffer for section in program.sections for store in section.stores}
    assert stored <= {root for name in wanted | carried | outputs for root in with_roots(name, cut)}
    assert all(covered(name, cut, set(), there) for name in outputs)


@settings(max_examples=30)
@given(graph=graphs(), arch=machines(), options=st.sampled_from(FUSIONS))
def test_bytes_loaded_and_stored_are_the_bytes_of_the_tensors(
    graph: OperatorGraph, arch: Arch, options: LowerOptions
) -> None:
    """To the rounding of a part to bytes; only what has no room to stay is loaded again for every tile."""
    program = lower(graph, arch, options)
    cut = sharded(graph, program)
    buffers = {buffer.name: buffer for buffer in program.buffers}
    moved: Counter[str] = Counter()
    for section in program.sections:
        for stream in (*section.loads, *section.stores):
            size = cut.tensors[stream.buffer].bytes
            again = stream.tile_bytes > stream.prefetch and stream.tiles > 1
            assert size <= stream.bytes
            assert stream.bytes < size + stream.tiles or (again and stream.bytes % size == 0)
            assert stream.bytes <= size * section.tiles + stream.tiles
            moved[stream.buffer] += stream.bytes * section.repeats
    assert buffers.keys() == moved.keys()
    for name, buffer in buffers.items():
        assert buffer.transfer_bytes == moved[name]
        assert buffer.size % max(1, cut.tensors[name].bytes) == 0


@settings(max_examples=30)
@given(graph=graphs(), arch=machines())
def test_a_weight_of_a_repeated_block_exists_once_for_each_repeat(graph: OperatorGraph, arch: Arch) -> None:
    program = lower(graph, arch, LowerOptions())
    cut = sharded(graph, program)
    repeats = {name: block.repeats for block in cut.blocks for name in block.operators}
    for buffer in program.buffers:
        if buffer.role == Role.WEIGHT:
            (times,) = {repeats[reader] for reader in cut.consumers[buffer.name]}
            assert buffer.size == times * cut.tensors[buffer.name].bytes
            assert buffer.resident


@settings(max_examples=30)
@given(graph=graphs(), arch=machines(), data=st.data())
def test_a_section_ends_where_the_user_says(graph: OperatorGraph, arch: Arch, data: st.DataObject) -> None:
    free = sharded(graph, lower(graph, arch, LowerOptions()))
    name = data.draw(st.sampled_from([op.name for op in free.operators if SPECS[op.kind].compute is not Compute.MOVE]))
    program = lower(graph, arch, LowerOptions(cut_after=(name,)))
    section = program.sections[section_of(program)[name]]
    last = section.stages[-1]
    assert name in last.operators
    behind = last.operators[last.operators.index(name) + 1 :]
    assert all(SPECS[free.by_name[other].kind].compute is Compute.MOVE for other in behind)


@settings(max_examples=30)
@given(graph=graphs(), arch=machines())
def test_fusing_loads_and_stores_no_more_than_one_kernel_per_operator(graph: OperatorGraph, arch: Arch) -> None:
    """Unless an operand is streamed again for every tile: then time was saved elsewhere."""

    def traffic(program: Program) -> int:
        return sum(buffer.transfer_bytes for buffer in program.buffers)

    fused, unfused = (lower(graph, arch, LowerOptions(fusion=fusion)) for fusion in (Fusion.FUSED, Fusion.UNFUSED))
    again = any(load.tile_bytes > load.prefetch for section in fused.sections for load in section.loads)
    parts = sum(
        stream.tiles * section.repeats for section in fused.sections for stream in (*section.loads, *section.stores)
    )
    assert again or traffic(fused) <= traffic(unfused) + parts
    assert fused.kernel_launches <= unfused.kernel_launches


@pytest.mark.parametrize("options", FUSIONS)
@settings(max_examples=25)
@given(graph=graphs(), arch=machines())
def test_lowering_and_mapping_twice_give_the_same(options: LowerOptions, graph: OperatorGraph, arch: Arch) -> None:
    first, second = lower(graph, arch, options), lower(graph, arch, options)
    assert first == second
    assert map_onto(first, arch) == map_onto(second, arch)


@settings(max_examples=30)
@given(graph=graphs(), arch=machines())
def test_stream_buffers_hold_their_depth_in_the_srams_of_their_stages(graph: OperatorGraph, arch: Arch) -> None:
    for section in lower(graph, arch, LowerOptions()).sections:
        kept: Counter[str] = Counter()
        for stream in section.streams:
            assert stream.depth >= 1
            kept[stream.source] += stream.tile_bytes * stream.depth
        for load in section.loads:
            kept[load.stage] += load.prefetch
        for store in section.stores:
            kept[store.stage] += ceil(store.bytes / section.tiles)
        for stage in section.stages:
            assert stage.sram >= kept[stage.name]
