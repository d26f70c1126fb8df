from __future__ import annotations

from dataclasses import replace
from math import isclose

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rdusim.arch.types import Arch
from rdusim.graph.types import OperatorGraph
from rdusim.mapping.types import Mapping
from rdusim.report.summarize import summarize
from rdusim.report.types import Report
from rdusim.sim.trace import Trace
from rdusim.units import Cycles, Hertz

CAUSES = ("compute", "hbm", "launch", "collective", "fill_drain")


def test_a_decode_step_takes_its_cycles_at_the_clock(report: Report) -> None:
    assert report.latency.total_seconds == 5.5e-3
    assert report.latency.time_per_output_token_seconds == 5.5e-3
    assert report.latency.time_to_first_token_seconds is None


def test_rates_count_all_users_and_every_socket(report: Report) -> None:
    assert report.throughput.tokens_per_second == pytest.approx(2 / 5.5e-3)
    assert report.throughput.tokens_per_second_per_user == pytest.approx(1 / 5.5e-3)
    assert report.throughput.flops_per_second == pytest.approx(1e7 / 5.5e-3)
    # 2 sockets x 4 PCUs x 128 MACs x 2 FLOP at 1 MHz
    assert report.throughput.model_flops_utilization == pytest.approx(1e7 / 5.5e-3 / 2.048e9)


def test_memory_is_summed_over_the_sockets_and_its_shares_are_of_one(report: Report) -> None:
    sram, hbm, ddr = report.memory
    assert (sram.tier, sram.capacity_bytes, sram.peak_bytes) == ("sram", 2 * 4 * 1000, 2 * 700)
    assert (hbm.capacity_bytes, hbm.peak_bytes, hbm.read_bytes) == (20_000, 6400, 6400)
    assert hbm.achieved_bytes_per_second == pytest.approx(6400 / 5.5e-3)
    assert hbm.bandwidth_utilization == pytest.approx(3200 / 5.5e-3 / 1e6)
    assert hbm.streaming_utilization == pytest.approx(1.0)  # 800 bytes in 800 cycles at 1 byte a cycle
    assert ddr.streaming_utilization == pytest.approx(0.25)  # 20 bytes in 800 cycles at 0.1 byte a cycle


def test_units_are_weighted_by_the_time_that_sections_hold_them(report: Report) -> None:
    pcu = next(unit for unit in report.units if unit.unit == "pcu")
    assert (pcu.available, pcu.peak) == (4, 3)
    assert pcu.configured == pytest.approx((4400 * 3 + 1100 * 2) / 5500 / 4)
    assert pcu.busy == pytest.approx(5 * 350 / 5500)


def test_collectives_are_counted_over_tiles_and_repeats(report: Report) -> None:
    assert report.links is not None
    assert report.links.payload_bytes == 4 * 2 * 16
    assert report.links.busy == pytest.approx(5 * 20 / 5500)


def test_intensity_counts_what_sections_move_on_every_socket(report: Report) -> None:
    assert report.operational_intensity.bytes == 2 * (4 * 800 + 200)
    assert report.operational_intensity.flops_per_byte == pytest.approx(1e7 / 6800)


def test_a_section_counts_all_its_repeats_on_one_socket(report: Report) -> None:
    decoder, head = report.sections
    assert (decoder.flops, head.flops) == (4e6, 1e6)
    assert decoder.moved_bytes["hbm"] == 4 * 800 and head.moved_bytes == {"ddr": 20.0}
    # A ring over two: each sends half of the 16 bytes to be added up, then the half that it has added up.
    assert decoder.moved_bytes["p2p"] == pytest.approx(4 * 2 * 16)
    for section in report.sections:
        assert sum(section.breakdown_seconds.values()) == pytest.approx(section.seconds)


def test_idle_sockets_and_a_far_tier_in_use_are_noted(
    trace: Trace, mapping: Mapping, graph: OperatorGraph, arch: Arch
) -> None:
    wide = replace(arch, system=replace(arch.system, sockets=8))
    notes = " ".join(summarize(trace, mapping, graph, wide).notes)
    assert "tp=2: 6 of 8 sockets idle" in notes
    assert "ddr" in notes


def test_without_a_setting_the_nouns_say_what_they_know(
    trace: Trace, mapping: Mapping, graph: OperatorGraph, arch: Arch
) -> None:
    setting = summarize(trace, mapping, graph, arch).setting
    assert (setting.model, setting.arch, setting.dtype, setting.parallelism["tp"]) == ("toy", "tiny", "bf16", 2)
    assert (setting.fusion, setting.orchestration, setting.kernel_looping) == ("fused", "hardware", False)


shares = st.dictionaries(st.sampled_from(CAUSES), st.floats(min_value=1e-3, max_value=1e12), min_size=1)


# The fixtures are frozen values: one set of them serves every example.
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(decoder=shares, head=shares, clock=st.floats(min_value=1e3, max_value=1e10))
def test_breakdown_sums_to_the_total(
    trace: Trace,
    mapping: Mapping,
    graph: OperatorGraph,
    arch: Arch,
    decoder: dict[str, float],
    head: dict[str, float],
    clock: float,
) -> None:
    sections = tuple(
        replace(
            timing, breakdown={cause: Cycles(each) for cause, each in share.items()}, cycles=Cycles(sum(share.values()))
        )
        for timing, share in zip(trace.sections, (decoder, head), strict=True)
    )
    total = Cycles(sum(timing.cycles for timing in sections))
    report = summarize(replace(trace, clock=Hertz(clock), cycles=total, sections=sections), mapping, graph, arch)
    assert isclose(sum(report.breakdown_seconds.values()), report.latency.total_seconds)
    assert isclose(sum(section.seconds for section in report.sections), report.latency.total_seconds)
