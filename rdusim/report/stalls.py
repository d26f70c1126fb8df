"""What every stage, load and store of an execution waited for: values of `explain`, and their table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rdusim.report.export import Json
from rdusim.sim.trace import Reason
from rdusim.units import show

if TYPE_CHECKING:
    from rdusim.sim.trace import StageTiming, StreamTiming

NOT_RECORDED = "engine steady records no waits; --engine discrete does"


def records_waits(engine: str) -> bool:
    """Engine `steady` divides bandwidth once and for all: it does not see a single tile wait."""
    return engine != "steady"


def waits(timing: StageTiming | StreamTiming, execution: float, clock: float) -> dict[str, Json]:
    """Keys of a stage or stream of `explain`: seconds and shares of one execution by reason, and the longest wait.

    `execution`: cycles that shares are of.
    """
    cycles = dict.fromkeys(Reason, 0.0)
    for stall in timing.stalls:
        cycles[stall.reason] += stall.cycles
    found: dict[str, Json] = {
        "wait_seconds": {reason.value: spent / clock for reason, spent in cycles.items()},
        "wait_cycles": {reason.value: spent for reason, spent in cycles.items()},
        "wait_share": {reason.value: spent / execution if execution else 0.0 for reason, spent in cycles.items()},
    }
    # Parts of one wait (several transfers over the same link) are named together.
    on: dict[tuple[Reason, str], float] = {}
    for stall in timing.stalls:
        on[stall.reason, stall.on] = on.get((stall.reason, stall.on), 0.0) + stall.cycles
    if on:
        reason, name = max(on, key=lambda key: on[key])
        spent = on[reason, name]
        found["longest_wait"] = {"reason": reason.value, "on": name, "seconds": spent / clock, "cycles": spent}
    return found


def stall_rows(timed: Iterable[Mapping[str, Any]], execution: float) -> Iterable[tuple[str, ...]]:
    """Rows of the table: name, busy, a wait for each reason, the longest. Times with their share of `execution`.

    A load or store that never waited has none.
    """
    for each in timed:
        busy = each.get("busy_seconds")
        if "wait_seconds" not in each or (busy is None and "longest_wait" not in each):
            continue
        longest = each.get("longest_wait")
        yield (
            each["name"],
            "" if busy is None else _part(busy, execution),
            *(_part(each["wait_seconds"][reason.value], execution) for reason in Reason),
            f"{longest['reason']}: {_other_end(longest['on'], each['name'])}" if longest else "",
        )


def _other_end(flow: str, name: str) -> str:
    """Of a stream `one>other` that a stage waited for, the end that is not the stage; everything else as it is."""
    ends = flow.removesuffix(" kept").split(">")
    return next((end for end in ends if end != name), flow) if name in ends else flow


def stall_columns() -> tuple[str, ...]:
    """Titles of `stall_rows`; a leading `<` stands for left."""
    return "<", "busy", *(reason.value for reason in Reason), "<most for"


def _part(seconds: float, execution: float) -> str:
    if not seconds or not execution:
        return "-"
    return f"{show(seconds, 'time')} {show(seconds / execution, 'share')}"
