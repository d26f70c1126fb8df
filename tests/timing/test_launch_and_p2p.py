from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdusim.arch.load import load_arch
from rdusim.arch.types import Arch
from rdusim.timing import launch, p2p
from rdusim.units import Bytes, BytesPerSecond, Seconds

toy = cache(lambda: load_arch("toy"))
sn40l = cache(lambda: load_arch("sn40l"))
SCALARS = BytesPerSecond(4e9)  # 40 B of arguments take 10 ns


def test_hardware_shows_program_arguments_and_execute() -> None:
    """10 units x 100 B at 1 GB/s are 1 us; 3 streams x 10 ns; execute 100 ns."""
    found = launch.hardware(10, 3, True, toy().launch, SCALARS)
    assert found.staged == 0.0
    assert found.exposed == pytest.approx(1000e-9 + 30e-9 + 100e-9)


def test_a_kept_program_is_not_loaded_again() -> None:
    found = launch.hardware(10, 3, False, toy().launch, SCALARS)
    assert found.exposed == pytest.approx(30e-9 + 100e-9)
    assert launch.hardware(1000, 3, False, toy().launch, SCALARS) == found


def test_the_host_stages_the_call_and_the_program_behind_the_execution_before() -> None:
    """Call 1 us, link 1 us, 1000 B at 1 GB/s 1 us; then the units load what was sent, another 1 us."""
    found = launch.host(10, 3, toy().launch, SCALARS, toy().system.host)
    assert found.staged == pytest.approx(3e-6)
    assert found.exposed == pytest.approx(1000e-9 + 30e-9 + 100e-9)


@given(units=st.integers(0, 2080), streams=st.integers(0, 768), loads=st.booleans())
def test_the_host_is_never_quicker_than_hardware(units: int, streams: int, loads: bool) -> None:
    by_host = launch.host(units, streams, sn40l().launch, SCALARS, sn40l().system.host)
    by_hardware = launch.hardware(units, streams, loads, sn40l().launch, SCALARS)
    assert by_host.exposed >= by_hardware.exposed
    assert by_host.staged > by_hardware.staged


def test_all_reduce_over_two_sockets_exchanges_halves_twice() -> None:
    """2 x (100 ns + 500 B / 10 GB/s)."""
    found = p2p.collective("all_reduce", 2, Bytes(1000), toy())
    assert found.latency + found.occupied == pytest.approx(2 * (100e-9 + 50e-9))
    assert found.occupied == pytest.approx(2 * 50e-9)
    assert found.bytes_per_socket == 1000


@pytest.mark.parametrize("size", [8192, 1 << 20])
def test_all_reduce_over_a_full_mesh_of_eight_is_two_rounds_of_eighths(size: int) -> None:
    link = sn40l().system.link
    found = p2p.collective("all_reduce", 8, Bytes(size), sn40l())
    assert found.algorithm == "direct"
    assert found.latency + found.occupied == pytest.approx(2 * (link.latency + size / 8 / link.bandwidth))
    assert found.latency == pytest.approx(2 * link.latency)
    assert found.bytes_per_socket == 2 * 7 * size // 8


def test_all_gather_is_one_round() -> None:
    link = sn40l().system.link
    found = p2p.collective("all_gather", 8, Bytes(8192), sn40l())
    assert found.latency + found.occupied == pytest.approx(link.latency + 1024 / link.bandwidth)


def test_alone_there_is_nothing_to_exchange() -> None:
    found = p2p.collective("all_reduce", 1, Bytes(1000), toy())
    assert found.occupied == found.latency == 0.0
    nothing = p2p.collective("all_reduce", 2, Bytes(0), toy())
    assert nothing.occupied == nothing.latency == 0.0


def linked(arch: Arch, bandwidth: float, latency: float) -> Arch:
    link = replace(
        arch.system.link,
        bandwidth=BytesPerSecond(arch.system.link.bandwidth * bandwidth),
        latency=Seconds(arch.system.link.latency * latency),
    )
    return replace(arch, system=replace(arch.system, link=link))


@given(
    kind=st.sampled_from(["all_reduce", "all_gather"]),
    participants=st.sampled_from([2, 4, 8]),
    size=st.integers(1, 1 << 24),
    faster=st.floats(1, 10),
    nearer=st.floats(0, 1),
)
def test_a_better_link_never_slows_a_collective(
    kind: str, participants: int, size: int, faster: float, nearer: float
) -> None:
    worse = p2p.collective(kind, participants, Bytes(size), sn40l())
    better = p2p.collective(kind, participants, Bytes(size), linked(sn40l(), faster, nearer))
    assert better.occupied + better.latency <= (worse.occupied + worse.latency) * (1 + 1e-9)


@given(participants=st.sampled_from([2, 4, 8]), size=st.integers(8, 1 << 24))
def test_a_collective_never_beats_its_links(participants: int, size: int) -> None:
    """All-reduce: each socket must send and receive at least size x (n - 1) / n, over n - 1 links."""
    link = sn40l().system.link
    found = p2p.collective("all_reduce", participants, Bytes(size), sn40l())
    assert found.latency >= link.latency * (1 - 1e-6)
    assert found.occupied >= size / participants / link.bandwidth
