"""From steps of an algorithm to a plan: a message waits for those that brought its sender what it carries."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, zip_longest

from rdusim.net.types import Send, Steps, Transfer, TransferPlan


def plan(parts: int, *phases: Iterable[list[Send]]) -> TransferPlan:
    """The plan of all steps, one phase after the other. Messages of a step wait for none of the same step."""
    transfers: list[Transfer] = []
    brought: dict[tuple[int, int], tuple[int, ...]] = {}  # (rank, shard) -> what it is made of, besides its own
    for step in chain(*phases):
        arrivals: list[tuple[tuple[int, int], int, bool]] = []
        for send in step:
            index = len(transfers)
            transfers.append(
                Transfer(
                    source=send.source,
                    target=send.target,
                    after=_after(brought, send),
                    shards=send.shards,
                    reduces=send.reduces,
                )
            )
            arrivals += [((send.target, shard), index, send.reduces) for shard in send.shards]
        for place, index, reduces in arrivals:
            # What a rank has been given takes the place of what it had: only the last one matters.
            brought[place] = (*brought.get(place, ()), index) if reduces else (index,)
    return TransferPlan(transfers=tuple(transfers), parts=parts)


def side_by_side(*schedules: Steps) -> Steps:
    """Schedules of groups that run at once, step by step; within a step the groups take turns."""
    for steps in zip_longest(*schedules, fillvalue=()):
        yield [send for turn in zip_longest(*steps) for send in turn if send is not None]


def _after(brought: dict[tuple[int, int], tuple[int, ...]], send: Send) -> tuple[int, ...]:
    sets = {brought[place] for shard in send.shards if (place := (send.source, shard)) in brought}
    if len(sets) < 2:
        return next(iter(sets), ())
    return tuple(sorted({index for each in sets for index in each}))
