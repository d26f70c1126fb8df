"""Hierarchical: within the nodes first, so that of S bytes only S / m cross from node to node, on each of m rails.

n = m k participants in k nodes of m. All-reduce is a reduce-scatter within the nodes, an all-reduce of each shard
across them, and an all-gather within. With full meshes inside and across 4 latency + 2 size / (m B_in) + 2 size /
(m k B_out): the formulas of its phases (direct.py) one after the other. A level goes direct where everyone is as far
from everyone, and otherwise in a ring.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isqrt
from typing import TypeAlias

from rdusim.net.collectives import direct, ring
from rdusim.net.draft import plan, side_by_side
from rdusim.net.topology import routes
from rdusim.net.types import Steps, Topology, TransferPlan

Groups: TypeAlias = list[tuple[int, ...]]
Owned: TypeAlias = Callable[[int], Sequence[int]]  # shards that a rank collects, or hands out, in a phase


def all_reduce(participants: tuple[int, ...], topology: Topology) -> TransferPlan:
    """Add up within, across, and hand out the same way back."""
    level = _Levels(participants, topology)
    return plan(
        len(participants),
        level.scattered(level.nodes, level.rail),
        level.scattered(level.rails, _own),
        level.gathered(level.rails, _own),
        level.gathered(level.nodes, level.rail),
    )


def reduce_scatter(participants: tuple[int, ...], topology: Topology) -> TransferPlan:
    """Within: a rail's shards to the one who is on it. Across: each its own."""
    level = _Levels(participants, topology)
    return plan(len(participants), level.scattered(level.nodes, level.rail), level.scattered(level.rails, _own))


def all_gather(participants: tuple[int, ...], topology: Topology) -> TransferPlan:
    """Across while there is little, then within all that came over one's rail."""
    level = _Levels(participants, topology)
    return plan(len(participants), level.gathered(level.rails, _own), level.gathered(level.nodes, level.rail))


def all_to_all(participants: tuple[int, ...], topology: Topology) -> TransferPlan:
    """Within: everything for a rail to the one who is on it. Across: what a node has for each; m + k - 2 messages."""
    level, count = _Levels(participants, topology), len(participants)
    within = [
        [[[source * count + target for target in level.rail(by)] for by in node] for source in node]
        for node in level.nodes
    ]
    across = [
        [[[source * count + target for source in level.node(by)] for target in rail] for by in rail]
        for rail in level.rails
    ]
    return plan(
        count,
        side_by_side(*(direct.exchanged(node, shards) for node, shards in zip(level.nodes, within, strict=True))),
        side_by_side(*(direct.exchanged(rail, shards) for rail, shards in zip(level.rails, across, strict=True))),
    )


def _own(rank: int) -> Sequence[int]:
    return (rank,)


class _Levels:
    """`nodes`: ranks near each other, equally many in each; `rails`: the first of all nodes, the second of all, ..."""

    def __init__(self, participants: tuple[int, ...], topology: Topology) -> None:
        self._participants, self._topology = participants, topology
        self.nodes = _nodes(participants, topology)
        self.rails: Groups = list(zip(*self.nodes, strict=True))
        self._node = {rank: node for node in self.nodes for rank in node}
        self._rail = {rank: rail for rail in self.rails for rank in rail}

    def node(self, rank: int) -> tuple[int, ...]:
        return self._node[rank]

    def rail(self, rank: int) -> tuple[int, ...]:
        return self._rail[rank]

    def scattered(self, groups: Groups, owned: Owned) -> Steps:
        return side_by_side(*(self._how(group)[0](*self._order(group, owned)) for group in groups))

    def gathered(self, groups: Groups, owned: Owned) -> Steps:
        return side_by_side(*(self._how(group)[1](*self._order(group, owned)) for group in groups))

    def _how(self, group: tuple[int, ...]) -> tuple[Callable[..., Steps], Callable[..., Steps]]:
        if self._even(group):
            return direct.scattered, direct.gathered
        return ring.scattered, ring.gathered

    def _order(self, group: tuple[int, ...], owned: Owned) -> tuple[tuple[int, ...], list[Sequence[int]]]:
        order = group if self._even(group) else ring.ring_order(group, self._participants, self._topology)
        return order, [owned(rank) for rank in order]

    def _even(self, group: tuple[int, ...]) -> bool:
        ways, at = routes(self._topology), self._participants
        return len({len(ways.path(at[one], at[other]) or ()) for one in group for other in group if one != other}) < 2


def _nodes(participants: tuple[int, ...], topology: Topology) -> Groups:
    """Ranks by node of the topology; where that is uneven, or one node only, by equal numbers in a row."""
    found: dict[int, list[int]] = {}
    for rank, socket in enumerate(participants):
        found.setdefault(socket // topology.node, []).append(rank)
    if len(found) > 1 and len({len(ranks) for ranks in found.values()}) == 1:
        return [tuple(ranks) for ranks in found.values()]
    count = len(participants)
    size = next(size for size in range(isqrt(count), 0, -1) if count % size == 0)
    return [tuple(range(first, first + size)) for first in range(0, count, size)]
