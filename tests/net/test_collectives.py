"""Collectives: what arrives where, how many bytes it takes, and how long."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import log2
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rdusim.net.collectives as folder
from rdusim.arch.types import Link
from rdusim.errors import ArchError
from rdusim.net.collectives import ALGORITHMS
from rdusim.net.run import best, run
from rdusim.net.topology import TOPOLOGIES, build, routes
from rdusim.net.types import Topology, Transfer, TransferPlan, shard_sizes
from rdusim.units import Bytes, BytesPerSecond, Seconds

LINK = Link(bandwidth=BytesPerSecond(100e9), latency=Seconds(1e-6))
KINDS = [(kind, name) for kind, algorithms in ALGORITHMS.items() for name in algorithms]
LARGE, SMALL = Bytes(1 << 30), Bytes(64)


@st.composite
def settings(draw: st.DrawFn) -> tuple[tuple[int, ...], Bytes, Topology]:
    name = draw(st.sampled_from(list(TOPOLOGIES)))
    topology = build(name, 2 * draw(st.integers(1, 6)))
    sockets = draw(st.permutations(range(topology.sockets)))
    return tuple(sockets[: draw(st.integers(2, topology.sockets))]), Bytes(draw(st.integers(0, 10**6))), topology


@pytest.mark.parametrize(("kind", "name"), KINDS)
@given(settings())
def test_every_shard_arrives_with_every_contribution_exactly_once(
    kind: str, name: str, setting: tuple[tuple[int, ...], Bytes, Topology]
) -> None:
    participants, size, topology = setting
    plan = ALGORITHMS[kind][name](participants, size, topology)
    final = _deliver(plan, participants, gathering=kind == "all_gather")
    everyone = Counter(participants)
    for rank, socket in enumerate(participants):
        if kind == "all_reduce":
            assert all(data == everyone for (at, _), data in final.items() if at == socket)
        elif kind == "reduce_scatter":
            assert final[socket, rank] == everyone
        else:
            assert [final[socket, shard] for shard in range(len(participants))] == [Counter([p]) for p in participants]
    copies = Counter((one.target, shard) for one in plan.transfers if not one.reduces for shard in one.shards)
    assert max(copies.values(), default=1) == 1


@pytest.mark.parametrize(("kind", "name"), KINDS)
@given(settings())
def test_no_algorithm_moves_less_than_the_least_possible_and_only_folding_moves_more(
    kind: str, name: str, setting: tuple[tuple[int, ...], Bytes, Topology]
) -> None:
    participants, size, topology = setting
    moved = sum(one.size for one in ALGORITHMS[kind][name](participants, size, topology).transfers)
    least = (2 if kind == "all_reduce" else 1) * (len(participants) - 1) * size
    folds = name == "halving_doubling" and len(participants) & (len(participants) - 1)
    assert moved >= least if folds else moved == least


@pytest.mark.parametrize(("kind", "name"), KINDS)
@given(settings())
def test_a_plan_takes_at_least_its_busiest_link_and_one_latency(
    kind: str, name: str, setting: tuple[tuple[int, ...], Bytes, Topology]
) -> None:
    participants, size, topology = setting
    time = best(kind, participants, Bytes(size + 1), topology, LINK, name)
    assert time.seconds >= time.link_seconds + LINK.latency * (1 - 1e-9)
    assert best(kind, participants, Bytes(size + 1), topology, LINK).seconds <= time.seconds


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("sockets", [2, 8, 16])
@pytest.mark.parametrize(
    ("name", "topology"), [("direct", "full_mesh"), ("ring", "ring"), ("halving_doubling", "full_mesh")]
)
def test_all_reduce_takes_what_the_alpha_beta_formula_says(name: str, topology: str, sockets: int, size: Bytes) -> None:
    whole = size / LINK.bandwidth
    formula = {
        "direct": 2 * (LINK.latency + whole / sockets),
        "ring": 2 * (sockets - 1) * (LINK.latency + whole / sockets),
        "halving_doubling": 2 * log2(sockets) * LINK.latency + 2 * (sockets - 1) / sockets * whole,
    }[name]
    time = best("all_reduce", tuple(range(sockets)), size, build(topology, sockets), LINK, name)
    assert time.seconds == pytest.approx(formula, rel=0.05)


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("kind", ALGORITHMS)
def test_small_messages_wait_for_latency_and_large_ones_for_bandwidth(kind: str, topology: str) -> None:
    participants, way = tuple(range(8)), build(topology, 8)
    small, large = (best(kind, participants, size, way, LINK) for size in (SMALL, LARGE))
    assert small.link_seconds < 0.01 * small.seconds
    assert best(kind, participants, SMALL, way, replace(LINK, latency=Seconds(2e-6))).seconds > 1.9 * small.seconds
    assert (
        best(kind, participants, LARGE, way, replace(LINK, bandwidth=BytesPerSecond(200e9))).seconds
        < 0.52 * large.seconds
    )


def test_a_full_mesh_of_8_is_7_times_a_ring_of_the_same_links() -> None:
    ring, mesh = (best("all_reduce", tuple(range(8)), LARGE, build(name, 8), LINK) for name in ("ring", "full_mesh"))
    assert ring.seconds == pytest.approx(7 * mesh.seconds, rel=0.01)
    assert (ring.algorithm, mesh.algorithm) == ("ring", "direct")
    assert mesh.bytes_per_socket == ring.bytes_per_socket == 2 * 7 * LARGE // 8


def test_messages_on_one_link_follow_each_other_and_over_two_links_cut_through() -> None:
    line = Topology(name="line", sockets=3, nodes=3, links=((0, 1), (1, 2)))
    second = LARGE / LINK.bandwidth
    assert _run([(0, 1), (0, 1)], line) == pytest.approx(2 * second + LINK.latency)
    assert _run([(0, 2)], line) == pytest.approx(second + 2 * LINK.latency)
    assert _run([(0, 2), (1, 2)], line) == pytest.approx(2 * second + LINK.latency)


@given(st.integers(0, 10**9), st.integers(1, 100))
def test_shards_are_equal_but_for_a_byte_and_make_up_the_whole(size: int, shards: int) -> None:
    sizes = shard_sizes(Bytes(size), shards)
    assert sum(sizes) == size and max(sizes) - min(sizes) <= 1


def test_one_participant_or_no_bytes_take_no_time() -> None:
    assert best("all_reduce", (3,), LARGE, build("ring", 8), LINK).seconds == 0.0
    assert best("all_reduce", (0, 1), Bytes(0), build("ring", 8), LINK).seconds == 0.0


@pytest.mark.parametrize(
    ("name", "sockets", "links", "hops"),
    [
        ("full_mesh", 8, 56, 1),
        ("ring", 8, 16, 4),
        ("torus", 16, 64, 4),
        ("switch", 8, 16, 2),
        ("two_level", 16, 128, 2),
    ],
)
def test_topologies_have_the_links_and_the_diameter_of_the_book(name: str, sockets: int, links: int, hops: int) -> None:
    topology = build(name, sockets)
    assert len(topology.links) == links
    ways = routes(topology)
    assert len(ways) == sockets**2 and max(map(len, ways.values())) == hops
    for (source, target), way in ways.items():
        ends = [source, *(topology.links[at][1] for at in way)]
        assert ends[-1] == target and [topology.links[at][0] for at in way] == ends[:-1]


def test_every_algorithm_file_is_in_the_table() -> None:
    files = {path.stem for path in Path(str(folder.__file__)).parent.glob("*.py")} - {"__init__"}
    assert {name for algorithms in ALGORITHMS.values() for name in algorithms} == files


def test_wrong_input_is_named_with_what_is_known_all_at_once() -> None:
    with pytest.raises(ArchError, match=r"unknown topology 'star'.*full_mesh, ring"):
        build("star", 8)
    with pytest.raises(ArchError, match="7 sockets"):
        build("two_level", 7)
    bad = Link(bandwidth=BytesPerSecond(0.0), latency=Seconds(-1.0))
    with pytest.raises(ArchError) as caught:
        best("all_sum", (0, 9), LARGE, build("ring", 8), bad)
    text = str(caught.value)
    assert len(caught.value.problems) == 4
    for part in ("unknown collective 'all_sum'", "link.latency", "link.bandwidth", "socket 9"):
        assert part in text
    with pytest.raises(ArchError, match="no way from socket 0 to socket 2"):
        best("all_reduce", (0, 2), LARGE, Topology(name="cut", sockets=3, nodes=3, links=((0, 1),)), LINK)


def _run(ways: list[tuple[int, int]], topology: Topology) -> float:
    transfers = (Transfer(source=a, target=b, size=LARGE, after=(), shards=range(1), reduces=False) for a, b in ways)
    return run(TransferPlan(transfers=tuple(transfers)), topology, LINK)


def _deliver(
    plan: TransferPlan, participants: tuple[int, ...], *, gathering: bool
) -> dict[tuple[int, int], Counter[int]]:
    """By (socket, shard), whose contributions it holds at the end and how often; carried data is what `after` says."""
    shards = max(one.shards.stop for one in plan.transfers)
    own = {
        (socket, shard): Counter([socket] if not gathering or participants[shard] == socket else [])
        for socket in participants
        for shard in range(shards)
    }
    carried: list[dict[int, Counter[int]]] = []

    def holds(socket: int, shard: int, brought: tuple[int, ...]) -> Counter[int]:
        data = own[socket, shard]
        for index in sorted(brought):
            if plan.transfers[index].target == socket and shard in carried[index]:
                data = data + carried[index][shard] if plan.transfers[index].reduces else carried[index][shard]
        return data

    for index, one in enumerate(plan.transfers):
        assert all(before < index for before in one.after)
        carried.append({shard: holds(one.source, shard, one.after) for shard in one.shards})
    everything = tuple(range(len(plan.transfers)))
    return {(socket, shard): holds(socket, shard, everything) for socket, shard in own}
