"""Actors that fire on tokens from bounded channels and hold shared resources: what the event loop runs.

A synchronous dataflow graph with time (Lee and Messerschmitt, Proc. IEEE 75(9), 1987): firing f of an actor starts when
each of its input channels has had enough tokens, its firing before has ended, and the exclusive resource it asks for is
free. It ends after its service, or later where shared resources serve others first. Tokens appear at the far end of a
channel after its delay. Credits are channels that lead back, filled at the beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """`cycles` that a firing takes of a shared resource, which serves in order of arrival.

    A memory bus that turns: a firing of side 1 takes `turn` cycles more, until what the last firing of side 0 allows
    (its own `turn`) is used up.
    """

    resource: int
    cycles: float
    side: int = 0
    turn: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusive:
    """A resource that one firing holds at a time. Of those that wait for it the most urgent comes next.

    It is held for `cycles`, or for `share` of the time until the firing's first shared resource has served it, if that
    is longer. The urgency of a firing f is `rank` + f // `block` x `step`; the least is served first.
    """

    resource: int
    cycles: float
    share: float = 0.0
    rank: float = 0.0
    step: float = 0.0
    block: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """`firings` times `service` cycles, longer where a shared resource is late."""

    name: str
    firings: int
    service: float
    shared: tuple[Use, ...] = ()
    exclusive: Exclusive | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """Tokens from `source` to `target`, `delay` cycles on the way.

    Every `give_block` firings of the source give `give` tokens, at the end of the last of them or, `at_start`, when the
    first of them begins. Firing f of the target needs `need` x (f // `need_block` + 1) tokens, `initial` ones counted.
    """

    name: str
    source: int
    target: int
    delay: float = 0.0
    initial: int = 0
    give: int = 1
    give_block: int = 1
    need: int = 1
    need_block: int = 1
    at_start: bool = False


@dataclass(slots=True, kw_only=True)
class ActorNet:
    """Actors, channels and resources under construction; numbers are positions."""

    actors: list[Actor] = field(default_factory=list)
    channels: list[Channel] = field(default_factory=list)
    shared: list[str] = field(default_factory=list)
    exclusive: list[str] = field(default_factory=list)

    def actor(self, actor: Actor) -> int:
        self.actors.append(actor)
        return len(self.actors) - 1

    def channel(self, channel: Channel) -> int:
        self.channels.append(channel)
        return len(self.channels) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NetArrays:
    """An ActorNet as columns. `*_first` point into lists sorted by actor (inputs, outputs, uses) or resource."""

    firings: Ints
    service: Floats
    first: Ints  # of an actor's firings in the columns of all firings
    input_first: Ints
    inputs: Ints
    output_first: Ints
    outputs: Ints
    use_first: Ints
    use_resource: Ints
    use_cycles: Floats
    use_side: Ints
    use_turn: Floats
    held: Ints  # exclusive resource of an actor, -1 for none
    held_cycles: Floats
    held_share: Floats
    rank: Floats
    step: Floats
    block: Ints
    member_first: Ints
    members: Ints  # actors of an exclusive resource
    source: Ints
    target: Ints
    delay: Floats
    initial: Ints
    give: Ints
    give_block: Ints
    need: Ints
    need_block: Ints
    at_start: Ints
    resources: int
    exclusives: int


def arrays(net: ActorNet) -> NetArrays:
    """The columns of a net."""
    actors, channels = net.actors, net.channels
    none = Exclusive(resource=-1, cycles=0.0)
    holds = [actor.exclusive or none for actor in actors]
    input_first, inputs = _by(len(actors), [channel.target for channel in channels])
    output_first, outputs = _by(len(actors), [channel.source for channel in channels])
    owners = [number for number, actor in enumerate(actors) for _ in actor.shared]
    use_first, _ = _by(len(actors), owners)
    holders = [number for number, hold in enumerate(holds) if hold.resource >= 0]
    member_first, places = _by(len(net.exclusive), [holds[number].resource for number in holders])
    firings = _ints([actor.firings for actor in actors])
    return NetArrays(
        firings=firings,
        service=_floats([actor.service for actor in actors]),
        first=np.cumsum(firings) - firings,
        input_first=input_first,
        inputs=inputs,
        output_first=output_first,
        outputs=outputs,
        use_first=use_first,
        use_resource=_ints([use.resource for actor in actors for use in actor.shared]),
        use_cycles=_floats([use.cycles for actor in actors for use in actor.shared]),
        use_side=_ints([use.side for actor in actors for use in actor.shared]),
        use_turn=_floats([use.turn for actor in actors for use in actor.shared]),
        held=_ints([hold.resource for hold in holds]),
        held_cycles=_floats([hold.cycles for hold in holds]),
        held_share=_floats([hold.share for hold in holds]),
        rank=_floats([hold.rank for hold in holds]),
        step=_floats([hold.step for hold in holds]),
        block=_ints([hold.block for hold in holds]),
        member_first=member_first,
        members=_ints(holders)[places],
        source=_ints([channel.source for channel in channels]),
        target=_ints([channel.target for channel in channels]),
        delay=_floats([channel.delay for channel in channels]),
        initial=_ints([channel.initial for channel in channels]),
        give=_ints([channel.give for channel in channels]),
        give_block=_ints([channel.give_block for channel in channels]),
        need=_ints([channel.need for channel in channels]),
        need_block=_ints([channel.need_block for channel in channels]),
        at_start=_ints([int(channel.at_start) for channel in channels]),
        resources=len(net.shared),
        exclusives=len(net.exclusive),
    )


def _by(owners: int, owner: Sequence[int]) -> tuple[Ints, Ints]:
    """Where each owner's entries begin, and the entries sorted by owner, in order."""
    column = _ints(owner)
    first = np.zeros(owners + 1, dtype=np.int64)
    first[1:] = np.cumsum(np.bincount(column, minlength=owners)[:owners]) if owners else 0
    return first, np.argsort(column, kind="stable").astype(np.int64)


def _ints(values: Sequence[int]) -> Ints:
    return np.array(values, dtype=np.int64)


def _floats(values: Sequence[float]) -> Floats:
    return np.array(values, dtype=np.float64)
