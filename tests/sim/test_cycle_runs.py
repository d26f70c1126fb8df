"""Whole sections in the engine `cycle`: times by hand, laws, deadlocks, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from rdusim.arch.load import load_arch
from rdusim.errors import DeadlockError, OptionError
from rdusim.graph.load import load_graph
from rdusim.graph.types import Phase, RunShape
from rdusim.mapping.map_onto import map_onto
from rdusim.mapping.types import MapOptions
from rdusim.pipeline.micro import Micro, load_micro
from rdusim.program.lower import lower
from rdusim.program.types import Fusion, LowerOptions
from rdusim.sim.cycle import cycle
from rdusim.sim.trace import Reason, SectionTiming, Trace

MICROS = Path(__file__).parents[2] / "experiments" / "micro"

micro = cache(lambda name: load_micro(MICROS / f"{name}.yaml"))


@cache
def trace(name: str) -> Trace:
    found: Micro = micro(name)
    return cycle(found.mapping, found.arch)


def timing(name: str) -> SectionTiming:
    (section,) = trace(name).sections
    return section


def written(text: str, tmp_path: Path, *, arch: str = "toy") -> Micro:
    path = tmp_path / "made.yaml"
    path.write_text(f"schema: rdusim-micro/1\nname: made\narch: {arch}\nsection:\n{text}")
    return load_micro(path)


def test_a_stage_alone_takes_its_interval_for_every_tile_and_fills_once(tmp_path: Path) -> None:
    """256 elements in vectors of 4: 64 steps a tile; the chain of 2 + 2 stages and a PMU's latency come once."""
    made = written("  tiles: 5\n  stages:\n    s: {pcus: 1, pmus: 1, simd: {elements: 256}}\n", tmp_path)
    (section,) = cycle(made.mapping, made.arch).sections
    assert section.execution_cycles == 5 * 64 + 4
    assert section.breakdown["compute"] == 5 * 64


def test_a_pipeline_takes_its_first_tile_and_then_one_interval_for_each(tmp_path: Path) -> None:
    """Two neighbours, 64 steps each. A tile's way: fill 4, own PMU 2 hops, read 2, mesh some hops, fill 4."""
    text = (
        "  tiles: {tiles}\n  stages:\n    a: {{pcus: 1, pmus: 1, simd: {{elements: 256}}}}\n"
        "    b: {{pcus: 1, pmus: 1, simd: {{elements: 256}}}}\n"
        "  streams:\n    ab: {{from: a, to: b, tile_bytes: 512, depth: 3}}\n"
    )
    cycles = []
    for tiles in (1, 11):
        made = written(text.format(tiles=tiles), tmp_path)
        cycles.append(cycle(made.mapping, made.arch).cycles - cycle(made.mapping, made.arch).sections[0].launch_cycles)
    assert 2 * 64 + 2 * 4 < cycles[0] < 2 * 64 + 2 * 4 + 12
    assert cycles[1] - cycles[0] == pytest.approx(10 * 64, abs=2)


def test_one_place_makes_writer_and_reader_take_turns() -> None:
    """A stage of depth 1 waits for its reader: about two intervals and the way there and back for each tile."""
    alone = timing("pipeline").stages[0].interval
    tiles = micro("pipeline").mapping.program.sections[0].tiles
    assert timing("pipeline").execution_cycles < (tiles + 12) * alone
    assert timing("one-credit").execution_cycles > 2 * tiles * alone
    waits = {stall.reason for stall in timing("one-credit").stages[0].stalls}
    assert waits == {Reason.CREDIT}


def test_halves_of_a_double_buffer_in_one_bank_slow_both_sides() -> None:
    """With both halves in one bank reads and writes take turns: up to twice the time of two banks."""
    one, two = timing("one-bank").execution_cycles, timing("two-banks").execution_cycles
    assert 1.5 * two < one < 2.2 * two


def test_two_streams_over_one_link_take_as_long_as_the_link_needs_for_both() -> None:
    section = micro("two-streams-one-link").mapping.sections[0]
    vector = micro("two-streams-one-link").arch.socket.tile.rdn.vector_bytes_per_cycle
    least = section.link_load / vector
    assert least > 1.5 * 24 * timing("two-streams-one-link").stages[0].interval
    assert least < timing("two-streams-one-link").execution_cycles < 1.15 * least


def test_more_credits_and_links_never_slow_a_section() -> None:
    """2 credits over a round trip of 4 cycles halve what a net carries, and with it the pace of its stage."""
    found = micro("two-banks")
    cycles = []
    for credits, links in ((1, 1), (2, 1), (4, 1), (16, 2)):
        tile = found.arch.socket.tile
        rdn = replace(tile.rdn, credits=credits, vector_links=links)
        arch = replace(found.arch, socket=replace(found.arch.socket, tile=replace(tile, rdn=rdn)))
        cycles.append(cycle(found.mapping, arch).sections[0].execution_cycles)
    assert cycles == sorted(cycles, reverse=True)
    assert cycles[0] == pytest.approx(4 * cycles[-1], rel=0.2)
    assert cycles[1] == pytest.approx(2 * cycles[-1], rel=0.2)


ALL = ("pipeline", "one-credit", "multicast", "many-to-one", "bursty", "slow-producer", "hbm-mix", "gemm-edges")


@pytest.mark.parametrize("name", ALL)
def test_every_cycle_has_a_cause_and_no_unit_is_quicker_than_it_can_be(name: str) -> None:
    section = timing(name)
    assert sum(section.breakdown.values()) == pytest.approx(section.cycles)
    assert all(cycles >= 0 for cycles in section.breakdown.values())
    for unit, least in section.bounds.items():
        assert least <= section.execution_cycles + 1e-6, unit


@pytest.mark.parametrize("name", ALL)
def test_bytes_moved_are_bytes_owed(name: str) -> None:
    section, found = micro(name).mapping.program.sections[0], trace(name)
    assert sum(found.read_bytes.values()) == sum(load.bytes for load in section.loads)
    assert sum(found.written_bytes.values()) == sum(store.bytes for store in section.stores)
    assert len(found.sections[0].stages) == len(section.stages)
    spans = found.spans
    for stage in section.stages:
        assert np.sum(spans.name == spans.names.index(stage.name)) == stage.tiles


def test_buffers_never_hold_more_than_their_depth() -> None:
    for name in ("pipeline", "one-credit", "bursty"):
        counters = trace(name).counters
        assert counters is not None
        for stream in micro(name).mapping.program.sections[0].streams:
            levels = counters.value[counters.name == counters.names.index(stream.name)]
            assert levels.min() >= 0 and levels.max() <= stream.depth
            assert levels[-1] == 0


def test_the_same_mapping_gives_the_same_trace_to_the_last_bit() -> None:
    found = micro("multicast")
    one, other = cycle(found.mapping, found.arch), cycle(found.mapping, found.arch)
    assert one.cycles == other.cycles and one.events == other.events
    assert one.sections == other.sections
    assert np.array_equal(one.spans.start, other.spans.start)


def test_a_buffer_without_places_is_a_deadlock_that_names_it() -> None:
    found = micro("no-credit")
    with pytest.raises(DeadlockError, match=r"'s3' -> 's4' -> 's3'.*a place in 't3' \(0 of 0 places taken\)"):
        cycle(found.mapping, found.arch)


def test_a_circle_of_full_buffers_is_a_deadlock_that_names_its_stages() -> None:
    found = micro("full-circle")
    with pytest.raises(DeadlockError) as caught:
        cycle(found.mapping, found.arch)
    said = str(caught.value)
    assert "'make' -> 'divide' -> 'sum' -> 'make'" in said
    assert "'shortcut' (2 of 2 places taken)" in said and "more depth" in said


def test_a_machine_of_full_size_is_refused_with_a_way_out() -> None:
    with pytest.raises(OptionError, match=r"2,080 switches.*discrete"):
        cycle(micro("pipeline").mapping, load_arch("sn40l"))


def test_kernel_looping_and_long_runs_are_refused_with_a_way_out() -> None:
    toy = load_arch("toy")
    shape = RunShape(phase=Phase.PREFILL, batch=2, query_tokens=1, context_tokens=1)
    mapping = map_onto(lower(load_graph("toy-mlp", shape), toy, LowerOptions()), toy, MapOptions())
    looped = replace(mapping, launches=tuple(replace(entry, prefetch=True) for entry in mapping.launches))
    huge = replace(mapping.sections[0].section, streams=())
    loads = tuple(replace(load, tiles=10_000_000) for load in huge.loads)
    long = replace(mapping, sections=(replace(mapping.sections[0], section=replace(huge, loads=loads)),))
    with pytest.raises(OptionError, match="cannot loop"):
        cycle(looped, toy)
    with pytest.raises(OptionError, match="smaller shape"):
        cycle(long, toy)


@pytest.mark.parametrize("fusion", list(Fusion))
@pytest.mark.parametrize("sockets", [1, 2])
def test_a_small_model_runs_with_its_collectives(fusion: Fusion, sockets: int) -> None:
    toy = load_arch("toy")
    shape = RunShape(phase=Phase.PREFILL, batch=2, query_tokens=1, context_tokens=1)
    program = lower(load_graph("toy-mlp", shape), toy, LowerOptions(fusion=fusion, sockets=sockets))
    found = cycle(map_onto(program, toy), toy)
    spent = {cause for section in found.sections for cause in section.breakdown}
    assert ("collective" in spent) == (sockets == 2)
    for section in found.sections:
        for unit, least in section.bounds.items():
            assert least <= section.execution_cycles + 1e-6, unit


def test_two_dies_pay_for_what_crosses_between_their_tiles() -> None:
    """The same pipeline on one tile, and with its second half on a tile of the other die."""
    base = micro("pipeline")
    arch = replace(base.arch, socket=replace(base.arch.socket, dies=2, tiles_per_die=1))
    placements = {
        placed.stage: placed
        if number < 4
        else replace(
            placed,
            pcus=tuple(replace(site, tile=1) for site in placed.pcus),
            pmus=tuple(replace(site, tile=1) for site in placed.pmus),
        )
        for number, placed in enumerate(base.mapping.sections[0].placements)
    }
    apart = map_onto(base.mapping.program, arch, sites=placements)
    found = cycle(apart, arch).sections[0]
    hop = arch.socket.die_to_die.hop_cycles
    assert timing("pipeline").execution_cycles + hop <= found.execution_cycles
    assert found.execution_cycles < timing("pipeline").execution_cycles + 40 * hop
    assert found.bounds["die_to_die"] > 0
