"""A mapped section as actors: stages, chunks of loads and stores, transfers between sockets. docs/model.md, "The engine
discrete".

A stage is two actors: one that fires (reads its tiles, works) and one that is done (its once-loaded operands have come
too). Loads and stores move in chunks, the bytes that their AGCUs have in flight at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, gcd

from rdusim.arch.types import Arch, MemoryTier
from rdusim.kernel.actors import Actor, Channel, Exclusive, Use
from rdusim.mapping.needs import needs
from rdusim.mapping.types import Allocation, MappedSection
from rdusim.program.types import MemoryStream, Stage, Stream
from rdusim.sim.access import efficiency_of
from rdusim.sim.alone import comes_whole, loop_copies, memory_time, operand_tail, slowest_stage, stage_times
from rdusim.sim.causes import AGCU, COLLECTIVE, COMPUTE, FILL
from rdusim.sim.discrete.resources import Door, memory_latency, share
from rdusim.sim.discrete.transfers import transfers
from rdusim.sim.discrete.types import Move, SectionNet, Wait
from rdusim.sim.trace import Reason
from rdusim.timing import dram, rdn, tln


def section_net(
    mapped: MappedSection, allocations: Mapping[str, Allocation], arch: Arch, repeats: int = 1
) -> SectionNet:
    """The net of a section; with `repeats` > 1 the executions run into each other (kernel looping)."""
    return _Builder(mapped, allocations, arch, repeats).run()


class _Builder:
    def __init__(self, mapped: MappedSection, allocations: Mapping[str, Allocation], arch: Arch, repeats: int) -> None:
        self.mapped, self.section, self.arch, self.repeats = mapped, mapped.section, arch, repeats
        self.stages = {stage.name: stage for stage in self.section.stages}
        streams = (*self.section.loads, *self.section.stores)
        self.tiers = {stream.name: allocations[stream.buffer].tier for stream in streams}
        self.memory = {tier.name: tier for tier in arch.socket.memory}
        self.made = SectionNet(times=stage_times(mapped, arch))
        self.net = self.made.net
        self.needs = needs(mapped, arch)
        self.pace = max(
            slowest_stage(self.section, self.made.times) * self.section.tiles,
            *(self._memory_cycles(name) for name in self.memory),
        )

    def run(self) -> SectionNet:
        self.shared = share(self.net, self.mapped, self.tiers, self.arch, self.pace)
        self.made.resource_causes.extend(self.shared.causes)
        incoming: dict[str, list[Stream]] = {name: [] for name in self.stages}
        for stream in self.section.streams:
            incoming[stream.target].append(stream)
        for stage in self.section.stages:
            self._stage(stage, incoming[stage.name])
        for stream in self.section.streams:
            self._stream(stream)
        for load in self.section.loads:
            self._load(load)
        for store in self.section.stores:
            self._store(store)
        if self.repeats > 1:
            self._carry()
        return self.made

    # ---- parts ----

    def _actor(self, actor: Actor, cause: str) -> int:
        self.made.causes.append(cause)
        return self.net.actor(actor)

    def _channel(self, channel: Channel, reason: Reason, on: str, cause: str = FILL) -> None:
        self.made.waits.append(Wait(reason=reason, on=on, cause=cause))
        self.net.channel(channel)

    def _flow(
        self, name: str, source: int, target: int, delay: float, *, reason: Reason, on: str, cause: str = FILL
    ) -> None:
        """Data between actors that fire in some whole ratio: each takes all that the other makes."""
        give, give_block, need, need_block = _rates(self._firings(source), self._firings(target))
        channel = Channel(
            name=name,
            source=source,
            target=target,
            delay=delay,
            give=give,
            give_block=give_block,
            need=need,
            need_block=need_block,
        )
        self._channel(channel, reason, on, cause)

    def _firings(self, actor: int) -> int:
        return self.net.actors[actor].firings // self.repeats

    def _stage(self, stage: Stage, incoming: Sequence[Stream]) -> None:
        """Reading its tiles takes the links for as long as they carry; so one tile after another enters."""
        time = self.made.times[stage.name]
        firings = stage.tiles * self.repeats
        uses = tuple(
            Use(resource=resource, cycles=cycles * stream.tiles / stage.tiles)
            for stream in incoming
            for resource, cycles in self.shared.uses[stream.name]
        )
        collective = stage.collective is not None
        service = memory_time(self.mapped, stage, self.arch) if collective else time.interval
        fires = self._actor(
            Actor(name=stage.name, firings=firings, service=service, shared=uses),
            COMPUTE if collective else time.cause,
        )
        self.made.fires[stage.name] = fires
        operands = [
            load
            for load in self.section.loads
            if load.stage == stage.name and load.tiles == 1 and not comes_whole(load, stage)
        ]
        partial = any(self._streams_again(load) for load in self.section.loads if load.stage == stage.name)
        if not (operands or partial or collective):
            self.made.dones[stage.name] = self.made.reads[stage.name] = fires
            self.made.tails[fires] = time.fill
            return
        done = self._actor(Actor(name=f"{stage.name} done", firings=firings, service=0.0), FILL)
        self.made.dones[stage.name] = self.made.reads[stage.name] = done
        self.made.tails[done] = self._fill(stage)
        if collective:
            started = Channel(name=f"{stage.name} starts", source=fires, target=done)
            self._channel(started, Reason.INPUT, stage.name)
            transfers(self.made, stage, fires, done, self.repeats, self.arch)
        else:
            self._flow(f"{stage.name} works", fires, done, 0.0, reason=Reason.INPUT, on=stage.name)

    def _fill(self, stage: Stage) -> float:
        """Cycles from the end of a stage's work to its result in the PMUs."""
        if stage.collective is not None:
            return float(self.arch.socket.tile.pmu.latency)
        return self.made.times[stage.name].fill

    def _stream(self, stream: Stream) -> None:
        """Tiles forwards, with fill and way; credits backwards as soon as the reader has read."""
        source, target = self.stages[stream.source], self.stages[stream.target]
        route = self.mapped.routes[stream.name]
        way = float(rdn.latency(route.hops, self.arch.socket.tile.rdn))
        if route.die_crossing_bytes > 0:
            way += float(tln.latency(self.arch.socket, crosses=True))
        done, fires = self.made.dones[source.name], self.made.fires[target.name]
        cause = COLLECTIVE if source.collective is not None else FILL
        self._flow(stream.name, done, fires, self._fill(source) + way, reason=Reason.INPUT, on=stream.name, cause=cause)
        if not stream.resident:
            back = float(rdn.latency(route.hops, self.arch.socket.tile.rdn))
            self._credits(stream.name, self.made.reads[target.name], self.made.fires[source.name], back, stream)

    def _credits(self, name: str, reader: int, writer: int, delay: float, stream: Stream) -> None:
        writes = self._firings(writer)
        _, _, give, give_block = _rates(writes, self._firings(reader))
        channel = Channel(
            name=f"a place in {name}",
            source=reader,
            target=writer,
            delay=delay,
            initial=stream.depth * max(1, writes // stream.tiles),
            give=give,
            give_block=give_block,
        )
        self._channel(channel, Reason.CREDIT, stream.name)

    # ---- memory ----

    def _memory_cycles(self, tier: str) -> float:
        """Cycles that all loads and stores of one execution keep a tier busy."""
        moved = [stream for stream in (*self.section.loads, *self.section.stores) if self.tiers[stream.name] == tier]
        return sum(stream.bytes / self._tier_rate(stream, self.memory[tier]) for stream in moved)

    def _tier_rate(self, stream: MemoryStream, tier: MemoryTier) -> float:
        """Bytes per cycle of the tier for a stream's pattern; what turning the bus costs is paid when it turns."""
        share = efficiency_of(stream, self.section, tier, 0.0).total
        return tier.bandwidth * share / self.arch.socket.clock

    def _moves(self, stream: MemoryStream, written: bool) -> list[Move]:
        """An actor for each AGCU, which serves first what is needed first."""
        return [self._move(stream, door, written) for door in self.shared.doors[stream.name] if door.bytes > 0.0]

    def _move(self, stream: MemoryStream, door: Door, written: bool) -> Move:
        socket, share = self.arch.socket, door.bytes / stream.tile_bytes
        tier, route = self.memory[self.tiers[stream.name]], self.mapped.routes[stream.name]
        window = socket.tile.agcu.outstanding_requests * socket.tile.agcu.request_size
        batch = tier.timing.batch * tier.channels
        chunks = max(1, ceil(door.bytes / min(window, batch)))
        chunk = door.bytes / chunks
        memory = socket.tile.pmu
        port = memory.read_bytes_per_cycle if written else memory.write_bytes_per_cycle
        ports = max(1, self.stages[stream.stage].pmus) * float(port) * share
        bus = Use(
            resource=self.shared.tiers[tier.name],
            cycles=chunk / self._tier_rate(stream, tier),
            side=int(written),
            turn=dram.turn_cycles(tier, socket.clock, chunk if written else None),
        )
        actor = self._actor(
            Actor(
                name=stream.name,
                firings=stream.tiles * chunks * self.repeats,
                service=chunk / min(door.rate, ports),
                shared=(bus, *self._part_of(stream, share / chunks)),
                exclusive=Exclusive(
                    resource=door.resource,
                    cycles=chunk / door.rate,
                    share=min(1.0, chunk / window),
                    rank=self.needs[stream.name].first,
                    step=self.needs[stream.name].step,
                    block=chunks,
                ),
            ),
            AGCU,
        )
        latency = memory_latency(route, dram.latency(tier, socket.clock), socket)
        tail = float(latency) + float(rdn.latency(route.hops, socket.tile.rdn))
        move = Move(stream=stream, tier=tier.name, written=written, actor=actor, chunks=chunks, chunk=chunk, tail=tail)
        self.made.moves.append(move)
        self.made.tails[actor] = tail
        return move

    def _part_of(self, stream: MemoryStream, share: float) -> tuple[Use, ...]:
        return tuple(
            Use(resource=resource, cycles=cycles * share) for resource, cycles in self.shared.uses[stream.name]
        )

    def _streams_again(self, load: MemoryStream) -> bool:
        """More than its space holds comes with every tile."""
        return load.tiles > 1 and load.prefetch < load.tile_bytes

    def _load(self, load: MemoryStream) -> None:
        stage = self.stages[load.stage]
        fires, done = self.made.fires[stage.name], self.made.dones[stage.name]
        again = self._streams_again(load)
        tail = operand_tail(load, stage, self.made.times[stage.name], self.arch) if load.tiles == 1 else 0.0
        copies = loop_copies(self.section, self.arch.socket.sram) if load.prefetch >= load.bytes else 1
        for move in self._moves(load, False):
            if load.after:
                self._asked(move)
            held = int(load.prefetch * move.chunks // load.tile_bytes)
            if load.tiles == 1:
                if comes_whole(load, stage):
                    self._part(move, fires, move.tail)
                else:
                    self._part(move, done, move.tail + tail)
                    self._first(move, fires)
                self._room(move, done, copies * move.chunks, at_start=False)
                if held < move.chunks:
                    self._room(move, fires, max(1, held), at_start=True)
            elif again:
                self._part(move, done, move.tail)
                self._room(move, fires, max(1, held), at_start=True)
            else:
                self._part(move, fires, move.tail)
                self._room(move, done, held - held % move.chunks, at_start=False)

    def _asked(self, move: Move) -> None:
        """What is gathered by indices that a stage makes cannot be asked for before."""
        stage = self.stages[move.stream.after]
        done, hops = self.made.dones[stage.name], self.mapped.routes[move.stream.name].hops
        _, _, give, give_block = _rates(move.stream.tiles, self._firings(done))
        channel = Channel(
            name=f"indices for {move.stream.name}",
            source=done,
            target=move.actor,
            delay=self._fill(stage) + float(rdn.latency(hops, self.arch.socket.tile.rdn)),
            give=give * move.chunks,
            give_block=give_block,
        )
        self._channel(channel, Reason.INPUT, stage.name)

    def _part(self, move: Move, target: int, delay: float) -> None:
        """The stage needs all chunks of a part."""
        _, _, need, need_block = _rates(move.stream.tiles, self._firings(target))
        channel = Channel(
            name=move.stream.name,
            source=move.actor,
            target=target,
            delay=delay,
            need=need * move.chunks,
            need_block=need_block,
        )
        self._channel(channel, Reason.INPUT, move.stream.name)

    def _first(self, move: Move, target: int) -> None:
        """A stage that follows an operand as it comes begins with its first chunk."""
        channel = Channel(
            name=move.stream.name,
            source=move.actor,
            target=target,
            delay=move.tail,
            initial=move.chunks - 1,
            need=move.chunks,
            need_block=self._firings(target),
        )
        self._channel(channel, Reason.INPUT, move.stream.name)

    def _room(self, move: Move, reader: int, initial: int, at_start: bool) -> None:
        """Space in front of a stage: `initial` chunks, and a part's again each time one is read (or begins to be)."""
        _, _, give, give_block = _rates(move.stream.tiles, self._firings(reader))
        channel = Channel(
            name=f"space for {move.stream.name}",
            source=reader,
            target=move.actor,
            initial=initial,
            give=give * move.chunks,
            give_block=give_block,
            at_start=at_start,
        )
        self._channel(channel, Reason.CREDIT, move.stream.name)

    def _store(self, store: MemoryStream) -> None:
        """A part leaves once its tile is done, from one of two places."""
        stage = self.stages[store.stage]
        fires, done = self.made.fires[stage.name], self.made.dones[stage.name]
        for move in self._moves(store, True):
            _, _, give, give_block = _rates(store.tiles, self._firings(done))
            channel = Channel(
                name=store.name,
                source=done,
                target=move.actor,
                delay=self._fill(stage),
                give=give * move.chunks,
                give_block=give_block,
            )
            self._channel(channel, Reason.INPUT, stage.name)
            _, _, need, need_block = _rates(store.tiles, self._firings(fires))
            channel = Channel(
                name=f"a place in {store.name}",
                source=move.actor,
                target=fires,
                initial=2 * need * move.chunks,
                need=need * move.chunks,
                need_block=need_block,
            )
            self._channel(channel, Reason.CREDIT, store.name)

    def _carry(self) -> None:
        """What a repeat stores is what the next one loads, straight from its PMUs."""
        for stored, loaded in self.section.carried.items():
            for out in self.section.stores:
                for into in self.section.loads:
                    if out.buffer == stored and into.buffer == loaded:
                        self._carried(out, into)

    def _carried(self, out: MemoryStream, into: MemoryStream) -> None:
        done, fires = self.made.dones[out.stage], self.made.fires[into.stage]
        give, give_block, need, need_block = _rates(self._firings(done), self._firings(fires))
        hops = self.mapped.routes[into.name].hops + self.mapped.routes[out.name].hops
        channel = Channel(
            name=f"{out.buffer} of the repeat before",
            source=done,
            target=fires,
            delay=self._fill(self.stages[out.stage]) + float(rdn.latency(hops, self.arch.socket.tile.rdn)),
            initial=self._firings(done) // give_block * give,
            give=give,
            give_block=give_block,
            need=need,
            need_block=need_block,
        )
        self._channel(channel, Reason.INPUT, out.buffer)


def _rates(writes: int, reads: int) -> tuple[int, int, int, int]:
    """give, give_block, need, need_block between a writer and a reader that fire so many times for the same data."""
    if writes % reads == 0:
        return 1, 1, writes // reads, 1
    if reads % writes == 0:
        return 1, 1, 1, reads // writes
    common = gcd(writes, reads)
    return 1, 1, writes // common, reads // common
