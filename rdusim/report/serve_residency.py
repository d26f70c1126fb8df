"""Which experts were in near memory when, told from their switches; and when each of them was switched to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rdusim.report.serve_series import mean_of_steps
from rdusim.serve.types import ServeResult

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Residency:
    """Of one node. `share`: by (expert, bin), part of the time that it was resident. `count`: experts, mean by bin.

    `experts`: the most used of `used`, by requests that began. A copy makes its expert resident when it ends.
    """

    node: int
    experts: Ints
    requests: Ints
    used: int
    share: Floats
    count: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchCounts:
    """Switches by (expert, bin of their beginning), the most switched first; `rest`: those of all other experts.

    `seconds`: of copying by expert shown; `total`: switches of each; `others`: how many experts `rest` is about.
    """

    experts: Ints
    counts: Ints
    rest: Ints
    total: Ints
    seconds: Floats
    others: int


def residency_of(result: ServeResult, node: int, edges: Floats, most: int) -> Residency:
    """At most so many experts.

    What was put out without having been copied in was there from the start; so was what served without a copy.
    """
    served = result.served
    began = (served.node == node) & np.isfinite(served.scheduled)
    requests = np.bincount(served.requests.expert[began], minlength=len(result.experts))
    used = np.flatnonzero(requests)
    chosen = used[np.argsort(-requests[used], kind="stable")][:most]
    events = _events(result, node)
    share = np.zeros((len(chosen), len(edges) - 1))
    for row, expert in enumerate(chosen.tolist()):
        share[row] = _resident(expert, events, edges)
    return Residency(
        node=node,
        experts=chosen,
        requests=requests[chosen],
        used=len(used),
        share=share,
        count=_count(result, node, edges),
    )


def busiest_nodes(result: ServeResult, most: int) -> list[int]:
    """Nodes with most requests, at most so many, in order of their numbers."""
    known = result.served.node[result.served.node >= 0]
    requests = np.bincount(known, minlength=result.nodes)
    return sorted(np.argsort(-requests, kind="stable")[:most].tolist())


def switch_counts(result: ServeResult, edges: Floats, most: int) -> SwitchCounts:
    """Over all nodes. Rows of further experts put out are no switches."""
    rows = result.switches.expert >= 0
    expert = result.switches.expert[rows]
    begin, spent = result.switches.begin[rows], (result.switches.end - result.switches.begin)[rows]
    place = np.clip(np.searchsorted(edges, begin, side="right") - 1, 0, len(edges) - 2)
    total = np.bincount(expert, minlength=len(result.experts))
    seconds = np.bincount(expert, spent, minlength=len(result.experts)).astype(np.float64)
    ever = np.flatnonzero(total)
    chosen = ever[np.argsort(-total[ever], kind="stable")][:most]
    row_of = np.full(len(result.experts), len(chosen))
    row_of[chosen] = np.arange(len(chosen))
    bins = len(edges) - 1
    cells = np.bincount(row_of[expert] * bins + place, minlength=(len(chosen) + 1) * bins)
    counts = cells.reshape(-1, bins).astype(np.int64)
    return SwitchCounts(
        experts=chosen,
        counts=counts[:-1],
        rest=counts[-1],
        total=total[chosen],
        seconds=seconds[chosen],
        others=len(ever) - len(chosen),
    )


def _events(result: ServeResult, node: int) -> tuple[Floats, Ints, Ints]:
    """Time, expert, 1 for in or 0 for out; by time. At one time what goes out goes first."""
    rows = result.switches.node == node
    switches = result.switches
    goes, comes = rows & (switches.evicted >= 0), rows & (switches.expert >= 0)
    time = np.concatenate((switches.begin[goes], switches.end[comes]))
    expert = np.concatenate((switches.evicted[goes], switches.expert[comes]))
    kind = np.concatenate((np.zeros(int(goes.sum()), np.int64), np.ones(int(comes.sum()), np.int64)))
    order = np.argsort(time, kind="stable")
    return time[order], expert[order], kind[order]


def _resident(expert: int, events: tuple[Floats, Ints, Ints], edges: Floats) -> Floats:
    time, experts, kind = events
    mine = np.flatnonzero(experts == expert)
    if not len(mine):
        return np.ones(len(edges) - 1)
    before = 1.0 - float(kind[mine[0]])
    # Sums over a long run leave traces of rounding; a billionth of a bin is none of its time.
    return np.round(mean_of_steps(time[mine], kind[mine].astype(np.float64), edges, before), 9)


def _count(result: ServeResult, node: int, edges: Floats) -> Floats:
    occupancy = result.occupancy
    rows = np.flatnonzero(occupancy.node == node)
    if not len(rows):
        return np.zeros(len(edges) - 1)
    rows = rows[np.argsort(occupancy.time[rows], kind="stable")]
    values = occupancy.resident[rows].astype(np.float64)
    return mean_of_steps(occupancy.time[rows], values, edges, float(values[0]))
