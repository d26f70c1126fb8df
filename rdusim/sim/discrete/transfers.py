"""A collective as the transfers of its plan: each holds the links of its way, and waits for the data that it passes on.

All sockets run in step, so that every participant starts a tile at the same time. A message takes the links of its way
one latency after another (cut-through); adding up what arrives streams through PCUs and costs nothing here.
"""

from __future__ import annotations

from rdusim.arch.types import Arch
from rdusim.kernel.actors import Actor, Channel, Use
from rdusim.net.collectives import ALGORITHMS
from rdusim.net.topology import build, routes
from rdusim.program.types import Stage
from rdusim.sim.causes import COLLECTIVE
from rdusim.sim.discrete.types import SectionNet, Wait
from rdusim.sim.trace import Reason
from rdusim.timing import p2p


def transfers(made: SectionNet, stage: Stage, begin: int, done: int, repeats: int, arch: Arch) -> None:
    """Add the transfers of `stage` between its actors `begin` and `done`, by the algorithm that is quickest alone."""
    work, system, clock = stage.collective, arch.system, arch.socket.clock
    assert work is not None
    time = p2p.collective(work.kind, work.participants, work.size, arch, work.stride)
    if time.algorithm == "none":
        return
    topology = build(system.topology, max(system.sockets, work.participants))
    plan = ALGORITHMS[work.kind][time.algorithm](tuple(range(work.participants)), work.size, topology)
    ways = routes(topology)
    links = _links(made, len(topology.links))
    latency = system.link.latency * clock
    joins: dict[tuple[int, ...], int] = {(): begin}
    actors: list[int] = []
    delays: list[float] = []

    def channel(source: int, target: int, delay: float) -> None:
        made.waits.append(Wait(reason=Reason.INPUT, on=stage.name, cause=COLLECTIVE))
        made.net.channel(Channel(name=f"{stage.name} transfer", source=source, target=target, delay=delay))

    def actor(name: str, uses: tuple[Use, ...]) -> int:
        made.causes.append(COLLECTIVE)
        return made.net.actor(Actor(name=name, firings=stage.tiles * repeats, service=0.0, shared=uses))

    for transfer in plan.transfers:
        if transfer.after not in joins:
            joins[transfer.after] = actor(f"{stage.name} joins", ())
            for before in transfer.after:
                channel(actors[before], joins[transfer.after], delays[before])
        way = ways[transfer.source, transfer.target]
        busy = transfer.size / system.link.bandwidth * clock
        name = f"{stage.name} {transfer.source}>{transfer.target}"
        actors.append(actor(name, tuple(Use(resource=links[at], cycles=busy) for at in way)))
        delays.append(latency * len(way))
        channel(joins[transfer.after], actors[-1], 0.0)
    read = made.reads[stage.name] = actor(f"{stage.name} sent", ())
    for number, delay, transfer in zip(actors, delays, plan.transfers, strict=True):
        channel(number, done, delay)
        # Own data is needed until it has been added up everywhere, or has left.
        if transfer.reduces or not transfer.after:
            channel(number, read, delay if transfer.reduces else 0.0)


def _links(made: SectionNet, count: int) -> list[int]:
    """Resources of the links between sockets, the same for all collectives of a section."""
    names = [f"p2p {number}" for number in range(count)]
    if names and names[0] in made.net.shared:
        first = made.net.shared.index(names[0])
    else:
        first = len(made.net.shared)
        made.net.shared.extend(names)
        made.resource_causes.extend([COLLECTIVE] * count)
    return list(range(first, first + count))
