"""Groups that run at once: who shares links, what that costs, and that those who look alike are run once."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdusim.arch.load import load_arch
from rdusim.arch.types import Edge, Layout
from rdusim.net import choose
from rdusim.net.choose import best, plan_of
from rdusim.net.collectives import ALGORITHMS
from rdusim.net.place import groups_of, place
from rdusim.net.run import Span, run
from rdusim.net.topology import build
from rdusim.net.types import Flows, Topology
from rdusim.units import Bytes
from tests.net.plans import LAYOUTS, LINK, topology

LARGE = Bytes(1 << 30)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 50))
def test_groups_are_apart_and_fill_the_machine_up_to_a_remainder(members: int, stride: int, sockets: int) -> None:
    groups = groups_of(members, stride, sockets)
    assert [socket for group in groups for socket in group] == sorted(
        {socket for group in groups for socket in group}, key=lambda at: (at // (members * stride), at % stride, at)
    )
    assert len(groups) == sockets // (members * stride) * stride
    assert all(b - a == stride for group in groups for a, b in pairwise(group))


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_groups_in_nodes_of_their_own_do_not_feel_each_other(kind: str) -> None:
    system = load_arch("sn50-x256").system
    alone = load_arch("sn50").system
    for size in (1024, 10**6):
        together, single = (plan_of(kind, 8, 1, Bytes(size), each) for each in (system, alone))
        assert together.seconds == pytest.approx(single.seconds)
        assert together.flows is not None and single.flows is not None
        assert len(together.flows.paths) == len(single.flows.paths)  # 32 groups look alike: one is run


def test_two_groups_over_the_same_links_take_twice_as_long() -> None:
    """Four sockets in a row: 0 and 2 talk over the links that 1 and 3 talk over too."""
    edges = tuple(Edge(name=f"{at}-{at + 1}") for at in range(3))
    line = build(Layout(kind="custom", links=edges), 4, LINK)
    alone = best("send_receive", ((0, 2),), LARGE, line)
    both = best("send_receive", ((0, 2), (1, 3)), LARGE, line)
    assert alone.link_seconds == pytest.approx(LARGE / LINK.bandwidth)
    assert both.link_seconds == pytest.approx(2 * LARGE / LINK.bandwidth)
    assert both.seconds == pytest.approx(2 * alone.seconds, rel=0.01)


def test_rails_of_a_two_level_machine_are_apart() -> None:
    system = load_arch("sn50", ["system.sockets=64"]).system
    rail = plan_of("all_reduce", 8, 8, LARGE, system)
    assert rail.link_seconds == pytest.approx(2 * 7 / 8 * LARGE / 200e9)  # two phases over an up-link of 200 GB/s
    assert rail.flows is not None and len({name[0] % 8 for name in rail.flows.names}) == 1


@pytest.mark.parametrize("name", LAYOUTS)
@given(data=st.data())
def test_more_groups_never_make_a_plan_quicker(name: str, data: st.DataObject) -> None:
    way = topology(name)
    kind = data.draw(st.sampled_from([*ALGORITHMS]))
    algorithm = data.draw(st.sampled_from([*ALGORITHMS[kind]]))
    members, stride = data.draw(st.sampled_from([(2, 1), (3, 1), (3, 2), (2, 6), (4, 3)]))
    size = Bytes(data.draw(st.integers(1, 10**7)))
    groups = tuple(groups_of(members, stride, 12))
    alone = best(kind, groups[:1], size, way, algorithm)
    assert best(kind, groups, size, way, algorithm).link_seconds >= alone.link_seconds * (1 - 1e-9)


@pytest.mark.parametrize("layout", ["full_mesh", "switch", "two_level"])
@pytest.mark.parametrize("kind", ALGORITHMS)
def test_times_drawn_from_few_runs_are_those_of_a_run_at_the_size(layout: str, kind: str) -> None:
    way = build(Layout(kind=layout), 32, LINK)
    groups = (tuple(range(32)),)
    for size in (1, 777, 70_000, 3_000_001, 10**9):
        for name in ALGORITHMS[kind]:
            time = best(kind, groups, Bytes(size), way, name)
            (flows,) = place(time.plan, [*groups], way)
            assert time.seconds == pytest.approx(
                run(flows, way, size).seconds, rel=0.2 if name == "scatter_gather" else 1e-6
            )


def test_a_collective_of_a_crowd_needs_few_runs_for_many_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    way = build(Layout(kind="two_level", node=8, outer="switch"), 64, LINK)
    sizes: list[float] = []

    def counted(flows: Flows, topology: Topology, size: float) -> Span:
        sizes.append(size)
        return run(flows, topology, size)

    monkeypatch.setattr(choose, "run", counted)
    for exponent in range(30):
        best("all_gather", (tuple(range(64)),), Bytes(1000 + 3**exponent // 2**exponent), way)
    assert len(sizes) < 20
