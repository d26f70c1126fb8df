"""The time of a far firing of a timed event graph, and what that time was spent on, at a cost that n does not enter.

After a transient, firings repeat: x_v(k) = x_v(k - c) + g_v, where the growth g_v may differ between events that wait
for circuits of different pace (Baccelli et al. 1992, th. 3.109 and sec. 3.7.5). `makespan` fires the graph until the
last firings repeat like this, proves from the slack of every arc for how many periods it must go on, leaps over them
and fires on. The proof, over the firings [K - c, K) and all arcs u -> v with slack s = x_v - (x_u + d):

    v keeps its growth while it has an arc with s = 0 and g_u = g_v, and no arc with g_u > g_v has used up its slack,
    which lasts floor(s / (g_u - g_v)) periods.

So the result is that of firing n times, also when a slow part overtakes a fast one only after a million firings.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rdusim.kernel.maxplus import EventGraph, FloatArray, Recurrence, arcs_into

# Relative to the times themselves: thousands of roundings, so that a firing's few hundred additions stay below it.
_ROUNDING = 1e-12

# Firings before the first look for a period: a pipeline of buffers of depth 2 needs about its own length to settle.
_FIRST_LOOK = 16

# Firings from a look to the next, and after a leap: one stage falling into another's pace disturbs few firings.
_NEXT_LOOK = 4

# Longest period that is looked for; lcm of the depths of buffers that are critical together.
_LONGEST_PERIOD = 256

_FOR_EVER = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Makespan:
    """`cycles`: time of the last firing of the event. `by_label`: its critical path, summed by label of the arcs.

    `period`: cycles per firing of this event at the end, 0 if nothing repeated before the last firing. `first`, `last`:
    times of every event in the first and the last firing. `fired`: how many firings were computed, not leapt over.
    """

    cycles: float
    by_label: dict[int, float]
    period: float
    first: tuple[float, ...]
    last: tuple[float, ...]
    fired: int


@dataclass(slots=True, kw_only=True)
class _Stretch:
    """Consecutive computed firings: row i is firing `start` + i - depth, the first `depth` rows come from before.

    Up to the start of the next stretch, firings from `stop` on repeat the `period` ones before `stop`, each `growth`
    later than a period ago; differences below `rounding` count as none.
    """

    start: int
    rows: FloatArray
    stop: int
    period: int = 0
    growth: FloatArray | None = None
    rounding: float = 0.0


def makespan(graph: EventGraph, firings: int, event: int) -> Makespan:
    """Time of firing `firings` - 1 of `event`. Raises DeadlockError on a circuit without tokens."""
    assert firings > 0 and 0 <= event < len(graph.names)
    recurrence = Recurrence(graph, horizon=firings)
    stretches = _fire_and_leap(recurrence, _Slack(graph, firings), firings)
    final, depth = stretches[-1], recurrence.depth
    last = final.rows[depth + firings - 1 - final.start]
    growth = next((one.growth[event] / one.period for one in reversed(stretches) if one.growth is not None), 0.0)
    return Makespan(
        cycles=float(last[event]),
        by_label=_Walk(graph, firings, stretches, depth).by_label(event),
        period=float(growth),
        first=tuple(stretches[0].rows[depth].tolist()),
        last=tuple(last.tolist()),
        fired=sum(one.stop - one.start for one in stretches),
    )


def _fire_and_leap(recurrence: Recurrence, slack: _Slack, firings: int) -> list[_Stretch]:
    """Computed stretches with leaps between them; the last row of the last one is firing `firings` - 1."""
    depth = recurrence.depth
    rows = recurrence.start(min(firings, _FIRST_LOOK))
    stretches = [_Stretch(start=0, rows=rows, stop=0)]
    while (now := stretches[-1]).stop < firings:
        stop = min(firings, now.start + len(now.rows) - depth)
        recurrence.fill(now.rows, depth + now.stop - now.start, depth + stop - now.start)
        now.stop = stop
        if stop == firings:
            break
        # Rows from before firing 0 are -inf: a period must not lean on them.
        known = now.rows[depth if not now.start else 0 : depth + stop - now.start]
        leap = slack.leap(known, firings - stop)
        if leap is None:
            more = min(firings - stop, max(_NEXT_LOOK, (stop - now.start) // 2))
            now.rows = np.concatenate([now.rows, np.empty((more, recurrence.events))])
            continue
        now.period, now.growth, now.rounding = leap.period, leap.growth, leap.rounding
        start = stop + leap.periods * leap.period
        rows = np.empty((depth + min(firings - start, _NEXT_LOOK), recurrence.events))
        rows[:depth] = leap.rows_before(known, stop, start, depth)
        stretches.append(_Stretch(start=start, rows=rows, stop=start))
    return stretches


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leap:
    period: int
    periods: int
    growth: FloatArray
    rounding: float

    def rows_before(self, rows: FloatArray, stop: int, start: int, depth: int) -> FloatArray:
        """The `depth` firings before `start`, where `rows` end with firing `stop` - 1 and the leap follows them."""
        after = np.arange(start - depth - stop, start - stop)
        rounds = np.maximum(after // self.period + 1, 0)
        before: FloatArray = rows[len(rows) + after - rounds * self.period] + rounds[:, None] * self.growth
        return before


def _period(rows: FloatArray, reach: NDArray[np.intp], longest: int, rounding: float) -> int:
    """Shortest period c by which firings repeat up to a growth; 0: none.

    Of every event at least the last c firings must, and as many as the rule looks back to it (`reach`).
    """
    depth = int(reach.max())
    steps = np.diff(rows, axis=0)
    alike = np.abs(steps[:-1] - steps[-1]).max(axis=1, initial=0.0) <= rounding
    for period in (np.flatnonzero(alike[::-1]) + 1).tolist():
        window = max(depth, period)
        if period > longest or window + period > len(rows):
            return 0
        drift = rows[-window:] - rows[len(rows) - window - period : -period] - (rows[-1] - rows[-1 - period])
        matters = np.arange(window, 0, -1)[:, None] <= np.maximum(reach, period)
        if np.abs(drift).max(where=matters, initial=0.0) <= rounding:
            return int(period)
    return 0


class _Slack:
    """How long a repeating pattern must go on repeating."""

    def __init__(self, graph: EventGraph, firings: int) -> None:
        arcs = sorted((arc for arc, m in enumerate(graph.tokens) if m < firings), key=graph.target.__getitem__)
        self._source = np.array([graph.source[arc] for arc in arcs], dtype=np.intp)
        self._target = np.array([graph.target[arc] for arc in arcs], dtype=np.intp)
        self._tokens = np.array([graph.tokens[arc] for arc in arcs], dtype=np.intp)
        self._delay = np.array([graph.delay[arc] for arc in arcs], dtype=np.float64)
        self._groups = np.unique(self._target, return_index=True)[1]
        self._reach = np.ones(len(graph.names), dtype=np.intp)
        np.maximum.at(self._reach, self._source, self._tokens)

    def leap(self, rows: FloatArray, room: int) -> _Leap | None:
        """The leap, of at most `room` firings, that may follow `rows`."""
        rounding = _ROUNDING * float(rows[-1].max())
        period = _period(rows, self._reach, min(_LONGEST_PERIOD, room), rounding)
        if not period:
            return None
        growth = rows[-1] - rows[-1 - period]
        periods = min(room // period, self._periods(rows, period, growth, rounding))
        # A leap shorter than the look for the next one is not worth a new stretch.
        if periods * period < min(room // period * period, 2 * _NEXT_LOOK):
            return None
        return _Leap(period=period, periods=periods, growth=growth, rounding=rounding)

    def _periods(self, rows: FloatArray, period: int, growth: FloatArray, rounding: float) -> int:
        """Periods for which every event keeps its growth; 0 if one has no arc that carries it."""
        if not len(self._groups):
            return _FOR_EVER
        firing = np.arange(len(rows) - period, len(rows))[:, None]
        slack = rows[firing, self._target] - (rows[firing - self._tokens, self._source] + self._delay)
        gain = growth[self._source] - growth[self._target]
        carries = (slack <= rounding) & (gain >= -rounding)
        if not np.logical_or.reduceat(carries, self._groups, axis=1).all():
            return 0
        faster = gain > rounding
        if not faster.any():
            return _FOR_EVER
        return int((slack[:, faster].min(axis=0).clip(min=0.0) / gain[faster]).min())


class _Walk:
    """Back along the critical path: arc by arc, and through a leap by whole rounds of the circuit it repeats."""

    def __init__(self, graph: EventGraph, firings: int, stretches: list[_Stretch], depth: int) -> None:
        self._graph, self._stretches, self._depth, self._last = graph, stretches, depth, firings - 1
        self._incoming = arcs_into(graph, horizon=firings)

    def by_label(self, event: int) -> dict[int, float]:
        """Delays on the path to the last firing of `event`, summed by label."""
        passed: Counter[int] = Counter()
        for arc in self._arcs(event, passed):
            passed[arc] += 1
        spent: defaultdict[int, float] = defaultdict(float)
        for arc, times in passed.items():
            spent[self._graph.label[arc]] += times * self._graph.delay[arc]
        return dict(spent)

    def _arcs(self, event: int, passed: Counter[int]) -> Iterator[int]:
        """Arcs of the path, last to first. Rounds that it need not walk go into `passed` directly."""
        firing, at = self._last, len(self._stretches) - 1
        seen: dict[tuple[int, int, int], tuple[int, Counter[int]]] = {}
        while True:
            while firing < self._stretches[at].start:
                at -= 1
            stretch, like = self._stretches[at], firing
            if firing >= stretch.stop:
                like = stretch.stop - stretch.period + (firing - stretch.stop) % stretch.period
                here = (at, event, like)
                if here in seen:
                    firing -= self._rounds(*seen[here], firing, stretch.stop, passed)
                    seen.clear()
                else:
                    seen[here] = (firing, passed.copy())
            arc = self._waited(stretch, event, like, leaping=firing >= stretch.stop)
            if arc < 0:
                return
            yield arc
            event, firing = self._graph.source[arc], firing - self._graph.tokens[arc]

    def _rounds(self, before: int, passed_before: Counter[int], now: int, stop: int, passed: Counter[int]) -> int:
        """Firings to go back by repeating the way from firing `before` to `now` down to `stop`, counted in `passed`."""
        rounds = (now - stop) // (before - now)
        for arc, times in (passed - passed_before).items():
            passed[arc] += rounds * times
        return rounds * (before - now)

    def _waited(self, stretch: _Stretch, event: int, firing: int, *, leaping: bool) -> int:
        """The arc that firing waited for; in a leap one whose source keeps pace, -1 if it waited for none."""
        graph, rows, row = self._graph, stretch.rows, self._depth + firing - stretch.start
        growth = stretch.growth if leaping else None
        best, best_arc = -np.inf, -1
        for arc in self._incoming[event]:
            source = graph.source[arc]
            if growth is not None and growth[source] < growth[event] - stretch.rounding:
                continue
            time = rows[row - graph.tokens[arc], source] + graph.delay[arc]
            if time > best:
                best, best_arc = time, arc
        return best_arc
