"""Where a plan runs: every group of the machine runs it at once, and groups that share links belong together."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from rdusim.errors import ArchError, Problem
from rdusim.net.topology import routes
from rdusim.net.types import Flows, Topology, TransferPlan

Group = tuple[int, ...]  # sockets, by rank


def groups_of(participants: int, stride: int, sockets: int) -> list[Group]:
    """All groups of `participants` sockets that are `stride` apart, side by side over the whole machine."""
    block = participants * stride
    return [
        tuple(range(base + first, base + first + block, stride))
        for base in range(0, sockets - block + 1, block)
        for first in range(stride)
    ]


def place(plan: TransferPlan, groups: list[Group], topology: Topology) -> list[Flows]:
    """What the runner takes: once for each set of groups that share links, and for sets that look alike only once.

    Raises ArchError where a message has no way.
    """
    pairs = list(dict.fromkeys((transfer.source, transfer.target) for transfer in plan.transfers))
    paths = {group: [_path(topology, group[one], group[other]) for one, other in pairs] for group in groups}
    used = {group: {link for path in paths[group] for link in path} for group in groups}
    different: dict[Hashable, list[Group]] = {}
    for together in _sharing(used):
        different.setdefault(_looks((path for group in together for path in paths[group]), topology), together)
    return [
        _flows(plan, together, [dict(zip(pairs, paths[group], strict=True)) for group in together])
        for together in different.values()
    ]


def _path(topology: Topology, source: int, target: int) -> tuple[int, ...]:
    found = routes(topology).path(source, target)
    if found is None:
        raise ArchError(
            Problem(
                field="system.topology",
                message=f"no way from socket {source} to socket {target} in topology '{topology.name}'",
            )
        )
    return found


def _sharing(used: dict[Group, set[int]]) -> list[list[Group]]:
    """Groups, put together where they share a link, directly or through others."""
    sets: list[tuple[list[Group], set[int]]] = []
    for group, links in used.items():
        apart, mine, all_links = [], [group], set(links)
        for groups, theirs in sets:
            if theirs.isdisjoint(links):
                apart.append((groups, theirs))
            else:
                mine, all_links = groups + mine, theirs | all_links
        sets = [*apart, (mine, all_links)]
    return [groups for groups, _ in sets]


def _looks(paths: Iterable[tuple[int, ...]], topology: Topology) -> Hashable:
    """The same for paths that differ only in which links they are of."""
    numbers: dict[int, int] = {}
    return tuple(
        tuple((numbers.setdefault(link, len(numbers)), topology.links[link].link) for link in path) for path in paths
    )


def _flows(plan: TransferPlan, groups: list[Group], paths: list[dict[tuple[int, int], tuple[int, ...]]]) -> Flows:
    """Transfers of all groups, the groups taking turns, so that none is always first."""
    joins: dict[tuple[int, tuple[int, ...]], int] = {}
    start: list[int | None] = []
    for transfer in plan.transfers:
        for at in range(len(groups)):
            start.append(joins.setdefault((at, transfer.after), len(joins)) if transfer.after else None)
    return Flows(
        paths=tuple(ways[each.source, each.target] for each in plan.transfers for ways in paths),
        shards=tuple(len(each.shards) for each in plan.transfers for _ in groups),
        start=tuple(start),
        joins=tuple(tuple(before * len(groups) + at for before in after) for at, after in joins),
        names=tuple((group[each.source], group[each.target]) for each in plan.transfers for group in groups),
        reduces=tuple(each.reduces for each in plan.transfers for _ in groups),
        parts=plan.parts,
        hops=sum(len(ways[each.source, each.target]) for each in plan.transfers for ways in paths),
    )
