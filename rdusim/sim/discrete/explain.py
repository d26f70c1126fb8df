"""Where the time of a run of the event loop went: its critical path by cause, and what every actor waited for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rdusim.kernel.actors import Ints
from rdusim.kernel.events import Firings
from rdusim.sim.causes import AGCU, FILL
from rdusim.sim.discrete.types import SectionNet
from rdusim.sim.trace import Reason, Stall
from rdusim.units import Cycles


def end_of(made: SectionNet, fired: Firings) -> tuple[float, int]:
    """When the last byte has arrived and the last result is there, and the actor that this waited for."""
    ends = {
        actor: float(fired.end[fired.first[actor] + made.net.actors[actor].firings - 1]) + tail
        for actor, tail in made.tails.items()
    }
    last = max(ends, key=lambda actor: ends[actor])
    return ends[last], last


def critical_path(made: SectionNet, fired: Firings) -> dict[str, float]:
    """Cycles by cause along the path that ends last; they sum to the time of the section."""
    spent: dict[str, float] = {}

    def add(cause: str, cycles: float) -> None:
        if cycles > 0.0:
            spent[cause] = spent.get(cause, 0.0) + cycles

    _, actor = end_of(made, fired)
    owner = _resource_of_use(made)
    add(FILL, made.tails[actor])
    firing = made.net.actors[actor].firings - 1
    while True:
        at = int(fired.first[actor]) + firing
        begin, end, ready = float(fired.start[at]), float(fired.end[at]), float(fired.ready[at])
        served = begin + made.net.actors[actor].service
        add(made.causes[actor], min(end, served) - begin)
        if (use := int(fired.slowed[at])) >= 0:
            add(made.resource_causes[owner[use]], end - served)
        exclusive = made.net.actors[actor].exclusive
        if exclusive is not None:
            add(AGCU, begin - ready)
        cause = int(fired.cause[at])
        if cause < 0:
            if firing == 0:
                return spent
            firing -= 1
            continue
        add(made.waits[cause].cause, made.net.channels[cause].delay)
        actor, firing = _giver(made, cause, firing)


def stalls(made: SectionNet, fired: Firings) -> Mapping[int, tuple[Stall, ...]]:
    """By actor: cycles that it waited between its firings, or was held up in them, and for what."""
    owner = _resource_of_use(made)
    found: dict[int, tuple[Stall, ...]] = {}
    for number, actor in enumerate(made.net.actors):
        mine = slice(int(fired.first[number]), int(fired.first[number]) + actor.firings)
        start, end, ready = fired.start[mine], fired.end[mine], fired.ready[mine]
        before = np.concatenate(([0.0], end[:-1]))
        waited: dict[tuple[Reason, str], float] = {}
        channels = fired.cause[mine]
        known = channels >= 0
        sums = np.bincount(channels[known], (ready - before)[known]) if known.any() else np.zeros(0)
        for channel in np.flatnonzero(sums > 0.0).tolist():
            wait = made.waits[channel]
            key = (wait.reason, wait.on)
            waited[key] = waited.get(key, 0.0) + float(sums[channel])
        if actor.exclusive is not None and (lost := float((start - ready).sum())) > 0.0:
            waited[Reason.BANDWIDTH, made.net.exclusive[actor.exclusive.resource]] = lost
        late = fired.slowed[mine] >= 0
        for at in np.flatnonzero(late).tolist():
            key = (Reason.BANDWIDTH, made.net.shared[owner[int(fired.slowed[mine][at])]])
            waited[key] = waited.get(key, 0.0) + float(end[at] - start[at]) - actor.service
        ordered = sorted(waited.items(), key=lambda item: -item[1])
        found[number] = tuple(Stall(reason=reason, on=on, cycles=Cycles(cycles)) for (reason, on), cycles in ordered)
    return found


def _giver(made: SectionNet, number: int, firing: int) -> tuple[int, int]:
    """The actor and firing that gave the last token which a firing needed."""
    channel = made.net.channels[number]
    wanted = channel.need * (firing // channel.need_block + 1) - channel.initial
    batch = -(-wanted // channel.give)
    if channel.at_start:
        return channel.source, (batch - 1) * channel.give_block
    return channel.source, batch * channel.give_block - 1


def _resource_of_use(made: SectionNet) -> Ints:
    return np.array([use.resource for actor in made.net.actors for use in actor.shared], dtype=np.int64)
