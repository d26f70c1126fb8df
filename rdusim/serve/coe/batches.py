"""Batches as in the paper: route a batch, copy its experts, run its groups; then the next batch.

docs/model.md, "A batch of the composition".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rdusim.serve.coe.columns import Columns
from rdusim.serve.coe.node import Group, Node
from rdusim.serve.coe.types import CoeSettings, Grouping


def run_batches(
    node: Node, rows: Sequence[int], columns: Columns, settings: CoeSettings, tell: Callable[[int], None]
) -> None:
    """Serve the requests `rows` in order; a batch takes what has arrived by then. `tell` is told after each."""
    arrival, expert = columns.arrival, columns.expert
    begin, batches = 0, 0
    while begin < len(rows):
        if node.now < arrival[rows[begin]]:
            node.idle()
            node.now = arrival[rows[begin]]
        end = begin + 1
        while end < len(rows) and end - begin < settings.batch and arrival[rows[end]] <= node.now:
            end += 1
        batch = rows[begin:end]
        node.route(batch)
        stalled = node.stalled
        if settings.grouping is Grouping.PAIRS:
            groups = [Group((request,), expert[request], stalled) for request in batch]
        else:
            groups = _by_expert(batch, expert, node)
        if settings.overlap:
            _run_overlapped(node, groups)
        else:
            _run_after_copies(node, groups)
        begin, batches = end, batches + 1
        tell(batches)
    node.idle()


def _by_expert(batch: Sequence[int], expert: Sequence[int], node: Node) -> list[Group]:
    """One group an expert; those in the region first, so that the others' copies have something to hide behind."""
    members: dict[int, list[int]] = {}
    for request in batch:
        members.setdefault(expert[request], []).append(request)
    resident = node.cache.resident
    order = sorted(members, key=lambda number: number not in resident)
    return [Group(members[number], number, node.stalled) for number in order]


def _run_after_copies(node: Node, groups: Sequence[Group]) -> None:
    """Copy all experts, then run all groups; where they do not fit together, as many at once as do."""
    begin = 0
    while begin < len(groups):
        keep: set[int] = set()
        end = begin
        while end < len(groups) and node.cache.fits(groups[end].expert, keep):
            node.load(groups[end], keep)
            keep.add(groups[end].expert)
            end += 1
        for group in groups[begin:end]:
            node.run(group)
        begin = end


def _run_overlapped(node: Node, groups: Sequence[Group]) -> None:
    """Double buffering: while a group runs, the next one's expert is copied."""
    loaded = False
    for place, group in enumerate(groups):
        if not loaded:
            node.load(group)
        loaded = node.run(group, groups[place + 1] if place + 1 < len(groups) else None)
