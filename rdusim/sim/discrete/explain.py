"""Where the time of a run of the event loop went: its critical path by cause, and what every actor waited for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

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

    holders = _Holders(made, fired)
    _, actor = end_of(made, fired)
    add(FILL, made.tails[actor])
    firing = made.net.actors[actor].firings - 1
    until = float(fired.end[fired.first[actor] + firing])  # what the path has been followed back to
    while True:
        at = int(fired.first[actor]) + firing
        begin, ready = float(fired.start[at]), float(fired.ready[at])
        for cause, cycles in _working(made, fired, holders.uses, actor, at, until).items():
            add(cause, cycles)
        if begin > ready and (holder := holders.before(actor, begin)) is not None:
            (actor, firing), until = holder, begin  # it held the AGCU: the path goes on there
            continue
        add(AGCU, begin - ready)
        number = int(fired.cause[at])
        if number < 0:
            if firing == 0:
                return spent
            firing -= 1
            until = ready
            continue
        channel = made.net.channels[number]
        add(made.waits[number].cause, channel.delay)
        actor, firing = _giver(made, number, firing)
        given = int(fired.first[actor]) + firing
        until = float(fired.start[given] if channel.at_start else fired.end[given])


def _working(made: SectionNet, fired: Firings, uses: Ints, actor: int, at: int, until: float) -> dict[str, float]:
    """Causes of a firing's cycles up to `until`: its service, then the resource that was late.

    What moves bytes has no work of its own: where a resource was late, all of it was waiting for that one.
    """
    begin, use = float(fired.start[at]), int(fired.slowed[at])
    if use < 0:
        return {made.causes[actor]: until - begin}
    late = made.resource_causes[int(uses[use])]
    if made.causes[actor] == AGCU:
        return {late: until - begin}
    served = min(until, begin + made.net.actors[actor].service)
    return {made.causes[actor]: served - begin, late: until - served}


class _Holders:
    """Who held an exclusive resource when."""

    def __init__(self, made: SectionNet, fired: Firings) -> None:
        self.made, self.uses = made, _resource_of_use(made)
        self.fired = fired
        self.known: dict[int, tuple[NDArray[np.float64], Ints, Ints]] = {}

    def before(self, actor: int, begin: float) -> tuple[int, int] | None:
        """Actor and firing that held, until `begin`, what `actor` holds from then on."""
        exclusive = self.made.net.actors[actor].exclusive
        assert exclusive is not None
        starts, actors, firings = self._of(exclusive.resource)
        at = int(np.searchsorted(starts, begin, side="left")) - 1
        return (int(actors[at]), int(firings[at])) if at >= 0 else None

    def _of(self, resource: int) -> tuple[NDArray[np.float64], Ints, Ints]:
        if resource not in self.known:
            members = [
                number
                for number, actor in enumerate(self.made.net.actors)
                if actor.exclusive is not None and actor.exclusive.resource == resource
            ]
            counts = [self.made.net.actors[number].firings for number in members]
            starts = np.concatenate(
                [
                    self.fired.start[self.fired.first[number] : self.fired.first[number] + count]
                    for number, count in zip(members, counts, strict=True)
                ]
            )
            actors = np.repeat(np.array(members, dtype=np.int64), counts)
            firings = np.concatenate([np.arange(count, dtype=np.int64) for count in counts])
            order = np.argsort(starts, kind="stable")
            self.known[resource] = starts[order], actors[order], firings[order]
        return self.known[resource]


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
