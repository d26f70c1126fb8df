"""How sockets are joined, and which way messages take."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdusim.arch.load import load_arch
from rdusim.arch.types import Layout
from rdusim.net.topology import build, routes
from rdusim.net.types import Topology
from tests.net.plans import LAYOUTS, LINK, SLOW, topology


@pytest.mark.parametrize(
    ("layout", "sockets", "links", "hops"),
    [
        (Layout(kind="full_mesh"), 8, 56, 1),
        (Layout(kind="ring"), 8, 16, 4),
        (Layout(kind="torus"), 16, 64, 4),
        (Layout(kind="torus", dims="4x4x4"), 64, 384, 6),
        (Layout(kind="switch"), 8, 16, 2),
        (Layout(kind="two_level"), 16, 2 * 56 + 16, 2),
        (Layout(kind="two_level", outer="switch"), 64, 8 * 56 + 2 * 64, 3),
        (Layout(kind="two_level", node=8), 8, 56, 1),
    ],
)
def test_topologies_have_the_links_and_the_diameter_of_the_book(
    layout: Layout, sockets: int, links: int, hops: int
) -> None:
    made = build(layout, sockets, LINK)
    assert len(made.links) == links
    assert max(len(way) for way in _ways(made).values()) == hops


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_way_leads_from_its_source_to_its_target(name: str) -> None:
    made = topology(name)
    for (source, target), way in _ways(made).items():
        ends = [source, *(made.links[at].target for at in way)]
        assert ends[-1] == target and [made.links[at].source for at in way] == ends[:-1]


@pytest.mark.parametrize(("dims", "sockets"), [("8", 8), ("4x4", 16), ("8x8", 64), ("4x4x4", 64)])
def test_all_to_all_loads_every_link_of_a_ring_or_torus_alike(dims: str, sockets: int) -> None:
    """Shortest ways at random load some links of an 8x8 torus half as much again."""
    loads = _loads(build(Layout(kind="torus", dims=dims), sockets, LINK))
    assert max(loads.values()) == min(loads.values())


def test_each_level_and_each_edge_has_its_own_link() -> None:
    made = topology("two_level")
    inside = {way.link for way in made.links if way.source // 4 == way.target // 4}
    across = {way.link for way in made.links if way.source // 4 != way.target // 4}
    assert (inside, across) == ({LINK}, {SLOW})
    odd = {way[:2]: way.link for way in topology("custom").links}
    assert odd[0, 1].bandwidth == odd[1, 0].bandwidth == 50e9 and odd[0, 1].latency == LINK.latency
    assert odd[5, 0].latency == 0.0 and odd[5, 0].bandwidth == LINK.bandwidth


@given(st.sampled_from([8, 16, 64, 256]))
def test_an_sn50_grows_by_nodes_of_eight_over_two_ports_a_socket(sockets: int) -> None:
    system = load_arch("sn50", [f"system.sockets={sockets}"]).system
    made = build(system.topology, sockets, system.link)
    ways = routes(made)
    assert len(ways.path(0, 7) or ()) == 1
    if sockets > 8:
        across = ways.path(0, 8) or ()
        assert [made.links[at].link.bandwidth for at in across] == [200e9, 200e9]


def _ways(made: Topology) -> dict[tuple[int, int], tuple[int, ...]]:
    pairs = [(source, target) for source in range(made.sockets) for target in range(made.sockets)]
    ways = {pair: routes(made).path(*pair) for pair in pairs}
    assert None not in ways.values()
    return {pair: way for pair, way in ways.items() if way is not None}


def _loads(made: Topology) -> Counter[int]:
    return Counter(at for way in _ways(made).values() for at in way)
