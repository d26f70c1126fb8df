"""Flits, credits, ports and banks of the engine `cycle`, by hand."""

from __future__ import annotations

from functools import cache

import pytest

from rdusim.arch.load import load_arch
from rdusim.sim.cycle.clock import Clock
from rdusim.sim.cycle.network import Edge, Node, Port
from rdusim.sim.cycle.scratchpad import Scratchpad, port_shape

pmu = cache(lambda: load_arch("toy").socket.tile.pmu)  # 8 B vectors, one read and one write a cycle

UNLIMITED = 1 << 30


class Bench:
    """Ports that have something to do are served, cycle by cycle, until nothing moves."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.ports: dict[Port | Scratchpad, None] = {}

    def ask(self, port: Port | Scratchpad) -> None:
        self.ports[port] = None

    def port(self, width: int = 1, period: int = 1) -> Port:
        return Port(self.ask, width, period)

    def way(self, hops: int, hop: int = 2, credits: int = 16, ports: list[Port] | None = None) -> tuple[Node, Node]:
        """A chain of switches; whoever sits at its end takes flits at once."""
        first = node = Node()
        for number in range(hops):
            head = Node()
            Edge(self.clock, node, head, ports[number] if ports else self.port(), hop, credits)
            node = head
        node.notify = lambda: node.take_until(node.arrived)
        return first, node

    def run(self, cycles: int = 10_000) -> int:
        """The cycle after which nothing is left to do."""
        for _ in range(cycles):
            self.clock.deliver()
            ports, self.ports = self.ports, {}
            for port in ports:
                if port.serve(self.clock.now):
                    self.ports[port] = None
            following = self.clock.now + 1 if self.ports else self.clock.next()
            if following is None:
                break
            self.clock.now = following
        return self.clock.now


def arrival(hops: int, flits: int, *, hop: int = 2, credits: int = 16) -> int:
    """Cycle at which the last of `flits` reaches the end."""
    bench = Bench()
    first, last = bench.way(hops, hop, credits)
    at = []

    def took() -> None:
        last.take_until(last.arrived)
        at.append(bench.clock.now)

    last.notify = took
    first.add(flits)
    bench.run()
    assert last.arrived == flits
    return at[-1]


def test_a_flit_takes_hop_cycles_at_every_switch() -> None:
    assert arrival(1, 1) == 2
    assert arrival(5, 1) == 10
    assert arrival(5, 1, hop=3) == 15


def test_a_net_moves_a_vector_a_cycle_where_credits_cover_the_round_trip() -> None:
    assert arrival(4, 100) == 4 * 2 + 99
    assert arrival(4, 100, credits=4) == 4 * 2 + 99


@pytest.mark.parametrize(("credits", "hop"), [(1, 2), (2, 2), (1, 4), (3, 4)])
def test_fewer_credits_than_a_round_trip_slow_a_net_in_proportion(credits: int, hop: int) -> None:
    """As timing/rdn.link_cycles says: credits / (2 hop_cycles) vectors a cycle."""
    assert arrival(3, 200, hop=hop, credits=credits) == pytest.approx(200 * 2 * hop / credits, rel=0.05)


def test_two_nets_share_a_link_in_turn_and_two_vector_links_carry_both() -> None:
    ends = {}
    for width in (1, 2):
        bench = Bench()
        shared = bench.port(width)
        nets = [bench.way(1, ports=[shared]) for _ in range(2)]
        for first, _ in nets:
            first.add(50)
        bench.clock.deliver()
        ends[width] = bench.run()
        assert shared.carried == 100
    assert ends[1] == pytest.approx(100, abs=5) and ends[2] == pytest.approx(50, abs=5)


def test_neither_of_two_nets_gets_ahead_on_a_shared_link() -> None:
    bench = Bench()
    shared = bench.port()
    (one, end), (other, other_end) = (bench.way(1, ports=[shared]) for _ in range(2))
    one.add(50)
    other.add(50)
    for _ in range(41):
        bench.run(1)
        assert abs(end.arrived - other_end.arrived) <= 1


def test_a_tree_carries_a_flit_once_over_the_links_that_its_targets_share() -> None:
    bench = Bench()
    trunk = bench.port()
    root, fork = Node(), Node()
    Edge(bench.clock, root, fork, trunk, 2, 16)
    leaves = []
    for _ in range(3):
        leaf = Node()
        leaf.notify = lambda leaf=leaf: leaf.take_until(leaf.arrived)  # type: ignore[misc]
        Edge(bench.clock, fork, leaf, bench.port(), 2, 16)
        leaves.append(leaf)
    root.add(30)
    bench.run()
    assert trunk.carried == 30
    assert [leaf.arrived for leaf in leaves] == [30, 30, 30]


def test_the_slowest_branch_of_a_tree_holds_the_others_back_by_its_credits() -> None:
    bench = Bench()
    root, fork, quick, stuck = Node(), Node(), Node(), Node()
    Edge(bench.clock, root, fork, bench.port(), 2, 4)
    quick.notify = lambda: quick.take_until(quick.arrived)
    Edge(bench.clock, fork, quick, bench.port(), 2, 4)
    Edge(bench.clock, fork, stuck, bench.port(), 2, 4)  # nobody takes anything there
    root.add(30)
    bench.run()
    assert stuck.arrived == 4
    assert quick.arrived == 8  # what the stuck branch holds, and what waits at the fork


def pmu_cycles(read_banks: list[int], write_banks: list[int], flits: int = 40) -> tuple[int, int]:
    """Cycles of so many reads and writes of one PMU at the same time, and conflicts of banks."""
    bench = Bench()
    scratchpad = Scratchpad(pmu(), 8, bench.ask)
    for port, banks in ((scratchpad.read, read_banks), (scratchpad.write, write_banks)):
        tail, head = Node(), Node()
        Edge(bench.clock, tail, head, port, 1, UNLIMITED).banks = banks
        tail.add(flits)
    return bench.run(), scratchpad.conflicts


def test_a_pmu_reads_and_writes_at_once_unless_both_want_one_bank() -> None:
    assert pmu_cycles([0], [1]) == (40, 0)
    assert pmu_cycles([], [0]) == (40, 0)
    assert pmu_cycles([2], [2])[0] == pytest.approx(80, abs=1)


def test_banks_that_meet_now_and_then_cost_a_turn_now_and_then() -> None:
    cycles, conflicts = pmu_cycles([0, 1], [0, 1])
    assert 40 < cycles < 80 and conflicts == cycles - 40


def test_a_port_narrower_than_a_vector_needs_several_cycles_for_it() -> None:
    assert port_shape(64, 8) == (8, 1)
    assert port_shape(8, 8) == (1, 1)
    assert port_shape(2, 8) == (1, 4)
    bench = Bench()
    first, _ = bench.way(1, hop=1, ports=[bench.port(*port_shape(2, 8))])
    first.add(10)
    assert bench.run() == pytest.approx(40, abs=4)
