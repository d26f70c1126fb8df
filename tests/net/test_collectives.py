"""Collectives: what arrives where, how many bytes it takes, and how long."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import ceil, log2
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

import rdusim.net.collectives as folder
from rdusim.arch.types import Layout
from rdusim.errors import ArchError
from rdusim.net.choose import best
from rdusim.net.collectives import ALGORITHMS, ALL_PAIRS
from rdusim.net.place import place
from rdusim.net.run import busiest, nearest, run
from rdusim.net.topology import build
from rdusim.net.types import Topology, Transfer, TransferPlan, Way, shard_sizes
from rdusim.units import Bytes, BytesPerSecond
from tests.net.plans import LAYOUTS, LINK, SLOW, delivered, owed, settings, topology

KINDS = [(kind, name) for kind, algorithms in ALGORITHMS.items() for name in algorithms]
LARGE, SMALL = Bytes(1 << 30), Bytes(64)


@pytest.mark.parametrize(("kind", "name"), KINDS)
@given(settings())
def test_every_shard_arrives_with_every_contribution_exactly_once(
    kind: str, name: str, setting: tuple[tuple[int, ...], Topology]
) -> None:
    participants, way = setting
    plan = ALGORITHMS[kind][name](participants, way)
    final = delivered(kind, plan, len(participants))
    for rank in range(len(participants)):
        for shard, data in owed(kind, len(participants), rank, plan.parts).items():
            assert final[rank, shard] == data
    copies = Counter((one.target, shard) for one in plan.transfers if not one.reduces for shard in one.shards)
    assert max(copies.values(), default=1) == 1


@pytest.mark.parametrize(("kind", "name"), KINDS)
@limits(max_examples=20)
@given(settings())
def test_no_algorithm_moves_less_than_the_least_possible_and_few_move_more(
    kind: str, name: str, setting: tuple[tuple[int, ...], Topology]
) -> None:
    """Least: everyone's part to each other one. More: extra participants fold, all-to-all forwards."""
    participants, way = setting
    count = len(participants)
    plan = ALGORITHMS[kind][name](participants, way)
    moved = sum(len(one.shards) for one in plan.transfers) / plan.parts
    least = {"all_reduce": 2 * (count - 1), "send_receive": count}.get(kind, count - 1)
    folds = name == "halving_doubling" and count & (count - 1)
    more = folds or (kind == "all_to_all" and name != "direct") or name == "scatter_gather"
    assert moved >= least - 1e-9 if more else moved == pytest.approx(least)


@pytest.mark.parametrize(("kind", "name"), KINDS)
@limits(max_examples=20)
@given(settings(), st.integers(1, 10**7))
def test_a_plan_takes_at_least_its_busiest_link_and_its_longest_chain(
    kind: str, name: str, setting: tuple[tuple[int, ...], Topology], size: int
) -> None:
    participants, way = setting
    time = best(kind, (participants,), Bytes(size), way, name)
    (flows,) = place(time.plan, [participants], way)
    assert time.seconds >= max(time.link_seconds, nearest(flows, way)) * (1 - 1e-9)
    assert time.link_seconds == pytest.approx(busiest(flows, way) * size)
    assert best(kind, (participants,), Bytes(size), way).seconds <= time.seconds * (1 + 1e-9)


FORMULAS = [
    ("all_reduce", "direct", "full_mesh", lambda n, a, s: 2 * (a + s / n)),
    ("all_gather", "direct", "full_mesh", lambda n, a, s: a + s / n),
    ("reduce_scatter", "direct", "full_mesh", lambda n, a, s: a + s / n),
    ("all_to_all", "direct", "full_mesh", lambda n, a, s: a + s / n),
    ("broadcast", "direct", "full_mesh", lambda n, a, s: a + s),
    ("send_receive", "direct", "ring", lambda n, a, s: a + s),
    # Patarasuk, Yuan 2009
    ("all_reduce", "ring", "ring", lambda n, a, s: 2 * (n - 1) * (a + s / n)),
    ("all_gather", "ring", "ring", lambda n, a, s: (n - 1) * (a + s / n)),
    ("reduce_scatter", "ring", "ring", lambda n, a, s: (n - 1) * (a + s / n)),
    # Thakur, Rabenseifner, Gropp 2005
    ("all_reduce", "halving_doubling", "full_mesh", lambda n, a, s: 2 * log2(n) * a + 2 * (n - 1) / n * s),
    ("all_gather", "halving_doubling", "full_mesh", lambda n, a, s: log2(n) * a + (n - 1) / n * s),
    ("reduce_scatter", "halving_doubling", "full_mesh", lambda n, a, s: log2(n) * a + (n - 1) / n * s),
    ("all_to_all", "bruck", "full_mesh", lambda n, a, s: log2(n) * (a + s / 2)),
    ("broadcast", "tree", "full_mesh", lambda n, a, s: ceil(log2(n)) * (a + s)),
    ("broadcast", "scatter_gather", "full_mesh", lambda n, a, s: 2 * (a + s / n)),
]


@pytest.mark.parametrize("size", [SMALL, Bytes(10**6), LARGE])
@pytest.mark.parametrize("sockets", [4, 8, 16])
@pytest.mark.parametrize(("kind", "name", "layout", "formula"), FORMULAS)
def test_algorithms_take_what_the_alpha_beta_formulas_say(
    kind: str, name: str, layout: str, formula: object, sockets: int, size: Bytes
) -> None:
    assert callable(formula)
    time = best(kind, (tuple(range(sockets)),), size, topology(layout, sockets), name)
    assert time.seconds == pytest.approx(formula(sockets, LINK.latency, size / LINK.bandwidth), rel=0.05)


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_hierarchy_crosses_between_nodes_with_a_share_of_the_bytes_on_every_rail(size: Bytes) -> None:
    """4 nodes of 4, meshes inside and across: reduce-scatter and all-gather of quarters, all-reduce of sixteenths."""
    way = build(Layout(kind="two_level", node=4, outer="full_mesh", outer_link=SLOW), 16, LINK)
    inside = LINK.latency + size / 4 / LINK.bandwidth
    across = SLOW.latency + size / 16 / SLOW.bandwidth
    time = best("all_reduce", (tuple(range(16)),), size, way, "hierarchical")
    assert time.seconds == pytest.approx(2 * inside + 2 * across, rel=0.05)
    assert best("all_gather", (tuple(range(16)),), size, way, "hierarchical").seconds == pytest.approx(
        inside + across, rel=0.05
    )


def test_the_best_algorithm_depends_on_the_size_and_on_the_links() -> None:
    everyone = (tuple(range(12)),)
    assert best("all_reduce", everyone, LARGE, topology("two_level")).algorithm == "hierarchical"
    assert best("all_reduce", everyone, LARGE, topology("full_mesh")).algorithm == "direct"
    assert best("all_reduce", everyone, LARGE, topology("ring")).algorithm == "ring"
    assert best("all_reduce", everyone, SMALL, topology("ring")).algorithm != "ring"
    assert best("broadcast", everyone, SMALL, topology("full_mesh")).algorithm == "direct"
    assert best("broadcast", everyone, LARGE, topology("full_mesh")).algorithm == "scatter_gather"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ALGORITHMS)
def test_small_messages_wait_for_latency_and_large_ones_for_bandwidth(kind: str, layout: str) -> None:
    participants, way = (tuple(range(12)),), topology(layout)
    small, large = (best(kind, participants, size, way) for size in (SMALL, LARGE))
    assert small.link_seconds < 0.01 * small.seconds
    assert large.link_seconds > 0.3 * large.seconds
    fast = replace(LINK, bandwidth=BytesPerSecond(200e9))
    faster = build(LAYOUTS[layout], 12, fast)
    assert best(kind, participants, LARGE, faster).seconds <= large.seconds * (1 + 1e-9)


def test_a_full_mesh_of_8_is_7_times_a_ring_of_the_same_links() -> None:
    ring, mesh = (best("all_reduce", (tuple(range(8)),), LARGE, topology(at, 8)) for at in ("ring", "full_mesh"))
    assert ring.seconds == pytest.approx(7 * mesh.seconds, rel=0.01)
    assert (ring.algorithm, mesh.algorithm) == ("ring", "direct")
    assert mesh.bytes_per_socket == ring.bytes_per_socket == 2 * 7 * LARGE // 8


def test_messages_on_one_link_follow_each_other_and_over_two_links_cut_through() -> None:
    line = _line(LINK, LINK)
    second = LARGE / LINK.bandwidth
    assert _run([(0, 1), (0, 1)], line) == pytest.approx(2 * second + LINK.latency)
    assert _run([(0, 2)], line) == pytest.approx(second + 2 * LINK.latency)
    assert _run([(0, 2), (1, 2)], line) == pytest.approx(2 * second + LINK.latency)


@pytest.mark.parametrize("links", [(LINK, SLOW), (SLOW, LINK)])
def test_a_message_takes_as_long_as_its_slowest_link_wherever_that_is(links: tuple[object, object]) -> None:
    latency = LINK.latency + SLOW.latency
    assert _run([(0, 2)], _line(*links)) == pytest.approx(LARGE / SLOW.bandwidth + latency)


@given(st.integers(0, 10**9), st.integers(1, 100))
def test_shards_are_equal_but_for_a_byte_and_make_up_the_whole(size: int, shards: int) -> None:
    sizes = shard_sizes(Bytes(size), shards)
    assert sum(sizes) == size and max(sizes) - min(sizes) <= 1


def test_one_participant_or_no_bytes_take_no_time() -> None:
    assert best("all_reduce", ((3,),), LARGE, topology("ring", 8)).seconds == 0.0
    assert best("all_reduce", ((0, 1),), Bytes(0), topology("ring", 8)).seconds == 0.0


def test_every_algorithm_file_is_in_the_table() -> None:
    files = {path.stem for path in Path(str(folder.__file__)).parent.glob("*.py")} - {"__init__"}
    assert {name for algorithms in ALGORITHMS.values() for name in algorithms} == files
    for kind, names in ALL_PAIRS.items():
        few = set(ALGORITHMS[kind]) - set(names)
        assert few  # of a crowd, something is left to try
        for name in few:
            assert len(ALGORITHMS[kind][name](tuple(range(64)), topology("full_mesh", 64)).transfers) < 64 * 63


def test_wrong_input_is_named_with_what_is_known_all_at_once() -> None:
    with pytest.raises(ArchError, match=r"system.topology: two_level: nodes of 4 do not divide 7 sockets"):
        topology("two_level", 7)
    with pytest.raises(ArchError) as caught:
        best("all_sum", ((0, 9), (0,)), LARGE, topology("ring", 8))
    text = str(caught.value)
    assert len(caught.value.problems) == 3
    for part in ("unknown collective 'all_sum'", "socket 9", "different sockets"):
        assert part in text
    with pytest.raises(ArchError, match=r"unknown algorithm 'star' for all_reduce.*direct, ring"):
        best("all_reduce", ((0, 1),), LARGE, topology("ring", 8), "star")
    cut = Topology(name="cut", sockets=3, nodes=3, links=(Way(0, 1, LINK), Way(1, 0, LINK)), node=3)
    with pytest.raises(ArchError, match="no way from socket 0 to socket 2"):
        best("all_reduce", ((0, 2),), LARGE, cut)


def _line(*links: object) -> Topology:
    ways = tuple(Way(at, at + 1, link) for at, link in enumerate(links))  # type: ignore[arg-type]
    return Topology(name="line", sockets=len(links) + 1, nodes=len(links) + 1, links=ways, node=len(links) + 1)


def _run(ways: list[tuple[int, int]], topology: Topology) -> float:
    transfers = (Transfer(source=a, target=b, after=(), shards=range(1), reduces=False) for a, b in ways)
    (flows,) = place(TransferPlan(transfers=tuple(transfers)), [tuple(range(topology.sockets))], topology)
    return run(flows, topology, LARGE).seconds
