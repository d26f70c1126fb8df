"""PMU, AGCU, RDN, TLN and die-to-die, by hand."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdusim.arch.load import load_arch
from rdusim.timing import agcu, pmu, rdn, tln
from rdusim.units import Bytes, Cycles

toy = cache(lambda: load_arch("toy").socket)
sn40l = cache(lambda: load_arch("sn40l").socket)
KIB = 1024


def test_520_mib_of_sram() -> None:
    """facts/targets.csv T02: MICRO'24 Table II."""
    assert sn40l().sram == 520 * KIB * KIB
    assert sn40l().pmus == 1040


@pytest.mark.parametrize(
    ("size", "streams", "units"),
    [
        (64 * KIB, 1, 1),  # full to the last byte
        (64 * KIB + 1, 1, 2),  # one byte more
        (200 * KIB, 3, 4),  # capacity wins
        (200 * KIB, 5, 5),  # bandwidth wins
        (0, 1, 1),
        (0, 0, 0),
    ],
)
def test_capacity_or_bandwidth_counts_pmus_whichever_is_more(size: int, streams: int, units: int) -> None:
    assert pmu.units(size, streams, toy().tile.pmu) == units


def test_pmus_read_and_write_a_vector_a_cycle_each() -> None:
    assert pmu.read_cycles(800, 1, toy().tile.pmu) == 100
    assert pmu.write_cycles(800, 4, toy().tile.pmu) == 25
    assert pmu.read_cycles(800, 0, toy().tile.pmu) == 100  # no PMU is served by one


def test_littles_law_meets_the_port_of_the_toy_agcu_at_its_latency() -> None:
    door = toy().tile.agcu  # 100 requests of 64 B, a port of 64 B a cycle
    assert agcu.rate(Cycles(100), Bytes(64), door) == 64
    assert agcu.rate(Cycles(99), Bytes(64), door) == 64  # the port
    assert agcu.rate(Cycles(200), Bytes(64), door) == 32  # Little's law
    assert agcu.rate(Cycles(100), Bytes(16), door) == 16  # rows of 16 B fill a quarter of each request
    assert agcu.rate(Cycles(100), Bytes(4096), door) == 64
    assert agcu.rate(Cycles(0), Bytes(0), door) == 64  # nothing below a byte and a cycle


def test_a_stream_takes_as_many_agcus_as_its_rate_needs() -> None:
    door = toy().tile.agcu
    assert agcu.count(64.0, Cycles(100), Bytes(64), door) == 1
    assert agcu.count(64.5, Cycles(100), Bytes(64), door) == 2
    assert agcu.count(0.0, Cycles(100), Bytes(64), door) == 1
    assert agcu.count(100.0, Cycles(200), Bytes(64), door) == 4


@given(latency=st.floats(1, 1e5), more=st.floats(0, 1e5), size=st.integers(1, 4096))
def test_a_longer_latency_never_raises_the_rate_of_an_agcu(latency: float, more: float, size: int) -> None:
    door = sn40l().tile.agcu
    slow, fast = (agcu.rate(Cycles(time), Bytes(size), door) for time in (latency + more, latency))
    assert slow <= fast <= door.bytes_per_cycle
    assert fast <= agcu.rate(Cycles(latency), Bytes(size), replace(door, outstanding_requests=1000))


def test_the_agcus_of_an_sn40l_carry_all_of_its_hbm() -> None:
    hbm = sn40l().memory[0]
    latency = Cycles(hbm.latency * sn40l().clock + tln.latency(sn40l(), crosses=True))
    each = agcu.rate(latency, hbm.timing.row, sn40l().tile.agcu)
    assert each * sn40l().agcus * sn40l().clock > hbm.bandwidth


def test_a_route_takes_its_hops_and_a_link_a_vector_a_cycle() -> None:
    mesh = toy().tile.rdn
    assert rdn.latency(0, mesh) == 0
    assert rdn.latency(5, mesh) == 5
    assert rdn.latency(5, sn40l().tile.rdn) == 10
    assert rdn.link_cycles(800.0, mesh) == 100


def test_credits_of_a_hop_bound_a_flow_only_below_the_round_trip() -> None:
    mesh = toy().tile.rdn  # a hop there and back are 2 cycles
    assert rdn.link_cycles(80, replace(mesh, credits=2)) == 10
    assert rdn.link_cycles(80, replace(mesh, credits=1)) == 20


def test_the_tln_of_every_die_and_both_directions_between_dies_are_used() -> None:
    assert tln.tln_cycles(4000.0, toy().tln, 1) == 20
    assert tln.tln_cycles(4000.0, toy().tln, 2) == 10
    assert tln.die_to_die_cycles(4000.0, toy().die_to_die) == 20  # 100 B a cycle each way


def test_memory_is_two_hops_of_the_tln_away_and_the_other_die_one_more() -> None:
    assert tln.latency(toy(), crosses=False) == 2
    assert tln.latency(sn40l(), crosses=False) == 8
    assert tln.latency(sn40l(), crosses=True) == 28
