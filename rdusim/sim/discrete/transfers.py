"""A collective as the transfers of its plan: each holds the links of its way, and waits for the data that it passes on.

All sockets run in step, so that every participant starts a tile at the same time, and the groups that share its links
do too. A message takes the links of its way one latency after another (cut-through); adding up what arrives streams
through PCUs and costs nothing here.
"""

from __future__ import annotations

from typing import Final

from rdusim.arch.types import Arch
from rdusim.kernel.actors import Actor, Channel, Use
from rdusim.net.choose import plan_of
from rdusim.net.topology import build
from rdusim.net.types import CollectiveTime, Flows
from rdusim.program.types import CollectiveWork, Stage
from rdusim.sim.causes import COLLECTIVE
from rdusim.sim.discrete.types import SectionNet, Wait
from rdusim.sim.trace import Reason
from rdusim.timing import p2p

_MOST: Final = 1024  # transfers; a collective of more is one transfer over one link, as long and as busy as all are


def transfers(made: SectionNet, stage: Stage, begin: int, done: int, repeats: int, arch: Arch) -> None:
    """Add the transfers of `stage` between its actors `begin` and `done`, by the algorithm that is quickest alone."""
    work = stage.collective
    assert work is not None
    time = plan_of(work.kind, work.participants, work.stride, work.size, arch.system)
    if time.flows is None:
        return
    adding = _Adding(made, stage, repeats, arch)
    if len(time.flows.paths) > _MOST:
        adding.whole(work, time, begin, done)
    else:
        adding.each(time.flows, work, begin, done)


class _Adding:
    """Actors and channels of one stage's collective."""

    def __init__(self, made: SectionNet, stage: Stage, repeats: int, arch: Arch) -> None:
        self.made, self.stage, self.arch, self.clock = made, stage, arch, arch.socket.clock
        self.firings = stage.tiles * repeats

    def each(self, flows: Flows, work: CollectiveWork, begin: int, done: int) -> None:
        """An actor for every transfer. The tile is read when it has been added up everywhere, or has left."""
        system = self.arch.system
        sockets = max(system.sockets, work.participants * work.stride)
        links = [way.link for way in build(system.topology, sockets, system.link).links]
        number = self._resources(sorted({link for path in flows.paths for link in path}))
        joins: dict[int | None, int] = {None: begin}
        actors: list[int] = []
        delays: list[float] = []
        for path, shards, start, (source, target) in zip(
            flows.paths, flows.shards, flows.start, flows.names, strict=True
        ):
            if start not in joins:
                assert start is not None
                joins[start] = self._actor("joins", ())
                for before in flows.joins[start]:
                    self._channel(actors[before], joins[start], delays[before])
            size = work.size * shards / flows.parts
            uses = (Use(resource=number[at], cycles=size / links[at].bandwidth * self.clock) for at in path)
            actors.append(self._actor(f"{source}>{target}", tuple(uses)))
            delays.append(sum(links[at].latency for at in path) * self.clock)
            self._channel(joins[start], actors[-1], 0.0)
        read = self.made.reads[self.stage.name] = self._actor("sent", ())
        for actor, delay, start, reduces in zip(actors, delays, flows.start, flows.reduces, strict=True):
            self._channel(actor, done, delay)
            if reduces or start is None:
                self._channel(actor, read, delay if reduces else 0.0)

    def whole(self, work: CollectiveWork, time: CollectiveTime, begin: int, done: int) -> None:
        """One actor for all transfers, over a link that large collectives share."""
        (number,) = self._resources([-1]).values()
        occupied = time.link_seconds * self.clock
        actor = self._actor("all transfers", (Use(resource=number, cycles=occupied),))
        self._channel(begin, actor, 0.0)
        self._channel(actor, done, max(0.0, time.seconds * self.clock - occupied))
        read = self.made.reads[self.stage.name] = self._actor("sent", ())
        kept = p2p.kept(work.kind, work.participants, work.size, self.arch, work.stride) * self.clock
        self._channel(actor, read, max(0.0, kept - occupied))

    def _channel(self, source: int, target: int, delay: float) -> None:
        self.made.waits.append(Wait(reason=Reason.INPUT, on=self.stage.name, cause=COLLECTIVE))
        self.made.net.channel(Channel(name=f"{self.stage.name} transfer", source=source, target=target, delay=delay))

    def _actor(self, name: str, uses: tuple[Use, ...]) -> int:
        self.made.causes.append(COLLECTIVE)
        return self.made.net.actor(
            Actor(name=f"{self.stage.name} {name}", firings=self.firings, service=0.0, shared=uses)
        )

    def _resources(self, links: list[int]) -> dict[int, int]:
        """Resources of links between sockets, the same for all collectives of a section."""
        known = {name: number for number, name in enumerate(self.made.net.shared)}
        found: dict[int, int] = {}
        for link in links:
            name = "p2p" if link < 0 else f"p2p {link}"
            if name not in known:
                self.made.net.shared.append(name)
                self.made.resource_causes.append(COLLECTIVE)
            found[link] = known.get(name, len(self.made.net.shared) - 1)
        return found
