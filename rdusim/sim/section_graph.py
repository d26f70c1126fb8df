"""A mapped section as a timed event graph: who waits for whom, by how long, how many tiles apart.

Events of a stage are its start and its end on a tile, of a load the arrival of a part in its PMUs, of a store the
departure. Firing k is tile k of the section. Operands loaded once arrive at fixed times: their events have no arc to a
later firing. docs/model.md, "Section", has the equations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rdusim.arch.types import Arch
from rdusim.kernel.maxplus import EventGraph, event_graph
from rdusim.mapping.doors import link_bytes
from rdusim.mapping.needs import needs
from rdusim.mapping.types import MappedSection
from rdusim.program.types import MemoryStream, Stage, Stream
from rdusim.sim.alone import StageTime, comes_whole, operand_tail, stage_times
from rdusim.sim.attribution import Shares, lasting, serving
from rdusim.sim.causes import AGCU, COLLECTIVE, DIE, FILL, RDN, TLN, Causes
from rdusim.sim.flow import Flow, in_order
from rdusim.timing import p2p, rdn, tln
from rdusim.units import Cycles

Arc = tuple[int, int, float, int, int]  # from, to, delay, tokens, cause


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionGraph:
    """Events by stage, load and store name; `end` fires when everything of a tile has happened."""

    graph: EventGraph
    starts: dict[str, int]
    ends: dict[str, int]
    moved: dict[str, int]  # load or store -> event at which its part is there
    begun: dict[str, int]  # load of everything -> event at which it begins
    end: int
    times: dict[str, StageTime]
    shared: dict[str, float]  # resource -> cycles per tile that all streams together occupy it


def section_graph(
    mapped: MappedSection, moves: Sequence[Flow], arch: Arch, causes: Causes, loop: int | None = None
) -> SectionGraph:
    """The event graph of one execution; with `loop`, firing k is repeat k of a section of one tile (kernel looping).

    `loop`: copies of the once-loaded operands that the PMUs have room for; the next repeat's run that far ahead.
    """
    return _Builder(mapped, moves, arch, causes, loop).run()


class _Builder:
    def __init__(
        self, mapped: MappedSection, moves: Sequence[Flow], arch: Arch, causes: Causes, loop: int | None
    ) -> None:
        self.mapped, self.section, self.moves, self.arch = mapped, mapped.section, moves, arch
        self.causes, self.loop = causes, loop
        self.names: list[str] = []
        self.arcs: list[Arc] = []
        self.starts: dict[str, int] = {}
        self.ends: dict[str, int] = {}
        self.dones: dict[str, int] = {}  # its tile has been read and worked on: its places are free
        self.moved: dict[str, int] = {}
        self.begun: dict[str, int] = {}
        self.stages = {stage.name: stage for stage in self.section.stages}
        self.times = stage_times(mapped, arch)

    def run(self) -> SectionGraph:
        self.origin = self._event("start")
        for stage in self.section.stages:
            self._stage(stage)
        self.last = self._event("end")
        for stream in self.section.streams:
            self._stream(stream)
        self._resident_loads([flow for flow in self.moves if not flow.written and flow.stream.tiles == 1])
        for flow in self.moves:
            if not flow.written and flow.stream.tiles > 1:
                self._tiled_load(flow)
            elif flow.written:
                self._store(flow)
        for tier in dict.fromkeys(flow.tier for flow in self.moves):
            self._reads(tier)
        shared = self._shared()
        if self.loop is not None:
            self._carry()
        for name in self.ends.values():
            self._arc(name, self.last, 0.0, 0, FILL)
        return SectionGraph(
            graph=event_graph(self.names, self.arcs),
            starts=self.starts,
            ends=self.ends,
            moved=self.moved,
            begun=self.begun,
            end=self.last,
            times=self.times,
            shared=shared,
        )

    def _event(self, name: str) -> int:
        self.names.append(name)
        return len(self.names) - 1

    def _arc(self, source: int, target: int, delay: float, tokens: int, cause: str | Shares) -> None:
        label = self.causes.number[cause] if isinstance(cause, str) else self.causes.mixture(cause)
        self.arcs.append((source, target, delay, tokens, label))

    def _share(self, tiles: int) -> float:
        """Part of its firings' time that falls on one tile of the section, for something that fires less often."""
        return tiles / self.section.tiles if self.loop is None and tiles > 1 else 1.0

    def _periodic(self, tiles: int) -> bool:
        return tiles > 1 or self.section.tiles == 1

    def _stage(self, stage: Stage) -> None:
        """start -> end: the tile's time; start -> next start: one tile at a time. What fires once has no next.

        A stage reads its tiles over the mesh while it works: it is busy as long as its ways are.
        """
        time = self.times[stage.name]
        ways = [self._way(stream) for stream in self.section.streams if stream.target == stage.name]
        start, end = self._event(f"{stage.name} start"), self._event(f"{stage.name} end")
        self.starts[stage.name], self.ends[stage.name] = start, end
        busy, cause = max((time.interval * self._share(stage.tiles), time.cause), (max(ways, default=0.0), RDN))
        inner = self._event(f"{stage.name} busy")
        self._arc(self.origin, start, 0.0, 0, FILL)
        self._arc(start, inner, busy, 0, cause)
        done = inner
        if stage.collective is not None:
            work, done = stage.collective, self._event(f"{stage.name} sent")
            sent = p2p.kept(work.kind, work.participants, work.size, self.arch, work.stride) * self.arch.socket.clock
            self._arc(start, done, sent, 0, COLLECTIVE)
            self._arc(inner, end, time.fill, 0, COLLECTIVE)
        else:
            if any(flow.stream.stage == stage.name and flow.stream.tiles == 1 for flow in self.moves):
                done = self._event(f"{stage.name} done")
                self._arc(inner, done, 0.0, 0, FILL)
            self._arc(done, end, time.fill, 0, FILL)
        self.dones[stage.name] = done
        if self._periodic(stage.tiles):
            self._arc(inner, start, 0.0, 1, cause)

    def _way(self, stream: Stream) -> float:
        """Cycles that the most loaded link of a stream carries a tile of the section."""
        rdn_, most = self.arch.socket.tile.rdn, link_bytes(self.mapped.routes[stream.name], self.arch.socket)
        fires = 1 if self.stages[stream.target].tiles == 1 else self.section.tiles
        return float(rdn.link_cycles(most / rdn_.vector_links, rdn_)) * stream.tiles / fires

    def _stream(self, stream: Stream) -> None:
        """Data forwards with the latency of the way; credits backwards: a place is free when its tile has been used."""
        route = self.mapped.routes[stream.name]
        source, target = self.stages[stream.source], self.stages[stream.target]
        latency = rdn.latency(route.hops, self.arch.socket.tile.rdn)
        if route.die_crossing_bytes > 0:
            latency = Cycles(latency + tln.latency(self.arch.socket, crosses=True))
        self._arc(self.ends[source.name], self.starts[target.name], float(latency), 0, FILL)
        if not stream.resident and self._periodic(stream.tiles) and self._periodic(source.tiles):
            back = float(rdn.latency(route.hops, self.arch.socket.tile.rdn))
            self._arc(self.dones[target.name], self.starts[source.name], back, stream.depth, FILL)

    def _resident_loads(self, loads: Sequence[Flow]) -> None:
        """All issued at once (sim/flow.in_order); what its PMUs cannot hold waits for its stage to start."""
        rounds: dict[str, int] = {}
        if self.loop is not None:
            for tier in dict.fromkeys(flow.tier for flow in loads):
                rounds[tier] = self._round(tier, [flow for flow in loads if flow.tier == tier])
        times = in_order(loads, self.section)
        serves = [serving(loads, times, at) for at in range(len(loads))]
        for flow, (begin, end), spent in zip(loads, times, serves, strict=True):
            self._resident_load(flow, begin, end, rounds.get(flow.tier), spent)
        for stage in dict.fromkeys(flow.stream.after for flow in loads if flow.stream.after):
            gathered = [at for at, flow in enumerate(loads) if flow.stream.after == stage]
            first = min(times[at][0] for at in gathered)
            for at in gathered:
                begin, end = times[at]
                self._found(loads[at], stage, begin - first, end - begin, serves[at])

    def _round(self, tier: str, loads: Sequence[Flow]) -> int:
        """Kernel looping: when the tier and the busiest AGCU have served a repeat, they turn to the next one."""
        doors: dict[int, float] = {}
        for flow in loads:
            for switch, size in flow.doors.items():
                doors[switch] = doors.get(switch, 0.0) + size / flow.door_rate
        moved, carried = sum(flow.stream.bytes / flow.left_rate for flow in loads), max(doors.values(), default=0.0)
        served = self._event(f"{tier} has served a repeat")
        self._arc(self.origin, served, moved, 0, tier)
        self._arc(served, served, max(moved, carried), 1, tier if moved >= carried else AGCU)
        return served

    def _resident_load(self, flow: Flow, begin: float, end: float, before: int | None, serves: Shares) -> None:
        """`before`: under kernel looping, when the repeat before has been served.

        `serves`: what the time from the first request on is spent on.
        """
        stream = flow.stream
        started, there = self._event(f"{stream.name} begins"), self._event(stream.name)
        self.moved[stream.name], self.begun[stream.name] = there, started
        first = float(flow.latency) + self._hops(stream)
        self._arc(self.origin, started, first + begin, 0, {**lasting(serves, begin), FILL: first})
        self._arc(started, there, end - begin, 0, serves)
        beyond = stream.bytes - stream.prefetch
        if beyond > 0:
            self._arc(self.starts[stream.stage], there, beyond / flow.rate, 0, flow.limit)
        self._arrive(flow, there)
        if self.loop is not None and before is not None:
            room = self.loop if beyond <= 0 else 1
            self._arc(before, there, float(flow.latency) + end, 1, {**lasting(serves, end), FILL: float(flow.latency)})
            self._arc(self.dones[stream.stage], there, stream.bytes / flow.rate, room, flow.limit)
            self._arc(there, there, stream.bytes / flow.rate, 1, flow.limit)

    def _found(self, flow: Flow, stage: str, begin: float, takes: float, serves: Shares) -> None:
        """What a stage finds the indices of is asked for when it ends, in order with all that it finds."""
        name, ask = flow.stream.name, float(flow.latency) + 2 * self._hops(flow.stream)
        if name in self.begun:
            self._arc(self.ends[stage], self.begun[name], ask + begin, 0, {FILL: ask, **lasting(serves, begin)})
        spent = {FILL: ask, **lasting(serves, begin + takes)}
        self._arc(self.ends[stage], self.moved[name], ask + begin + takes, 0, spent)

    def _arrive(self, flow: Flow, there: int) -> None:
        """What moves in front of the rest must be there; otherwise a stage follows what comes, from the first bytes on.

        It is done when the last bank of its operand has arrived and been worked on.
        """
        stage = self.stages[flow.stream.stage]
        if comes_whole(flow.stream, stage):
            self._arc(there, self.starts[flow.stream.stage], 0.0, 0, FILL)
            return
        self._arc(self.begun[flow.stream.name], self.starts[flow.stream.stage], 0.0, 0, FILL)
        time = self.times[stage.name]
        tail = operand_tail(flow.stream, stage, time, self.arch)
        self._arc(there, self.dones[stage.name], tail, 0, time.cause if time.cause != COLLECTIVE else FILL)

    def _tiled_load(self, flow: Flow) -> None:
        """Part after part, as far ahead as its space allows; `_shared` holds all of them to what the tier can do."""
        stream, there = flow.stream, self._event(flow.stream.name)
        self.moved[stream.name] = there
        service = self._service(flow)
        way = self._hops(stream)
        self._arc(self.origin, there, float(flow.latency) + way + stream.tile_bytes / flow.burst, 0, flow.limit)
        self._arc(there, there, service, 1, flow.limit)
        self._arc(there, self.starts[stream.stage], 0.0, 0, FILL)
        if stream.after:
            self._found(flow, stream.after, 0.0, stream.tile_bytes / flow.burst, {flow.limit: 1.0})
        ahead = max(1, stream.prefetch // max(1, stream.tile_bytes))
        if stream.prefetch < stream.tile_bytes:  # streamed again for every tile, while the stage works on it
            beyond = service * (stream.tile_bytes - stream.prefetch) / stream.tile_bytes
            self._arc(self.starts[stream.stage], there, float(flow.latency) + 2 * way + beyond, 1, flow.limit)
        else:
            self._arc(self.dones[stream.stage], there, float(flow.latency) + 2 * way + service, ahead, flow.limit)

    def _reads(self, tier: str) -> None:
        """Loads with the tiles take turns on their tier, in the order of their needs, round after round.

        Once the space in front of them is full, operands loaded once that are needed before the next part come first.
        """
        loads = [flow for flow in self.moves if flow.tier == tier and not flow.written]
        tiled = [flow for flow in loads if flow.stream.tiles > 1]
        if not tiled or self.loop is not None:
            return
        tiles, need = self.section.tiles, needs(self.mapped, self.arch)
        rounds = [flow.stream.bytes / tiles / flow.tier_rate for flow in tiled]
        ahead = min(
            max(1, flow.stream.prefetch // max(1, flow.stream.tile_bytes)) * max(1, tiles // flow.stream.tiles)
            for flow in tiled
        )
        # The next part has no place before those in front of it have been read.
        following = max(min(need[flow.stream.name].of(ahead) for flow in tiled), ahead * sum(rounds))
        before = sum(
            flow.stream.bytes / flow.tier_rate
            for flow in loads
            if flow.stream.tiles == 1 and need[flow.stream.name].first < following
        )
        latency, read = min(float(flow.latency) for flow in tiled), self._event(f"{tier} has been read")
        self._arc(self.origin, read, latency + sum(rounds), 0, tier)
        self._arc(read, read, sum(rounds), 1, tier)
        self._arc(self.origin, read, latency + before + (ahead + 1) * sum(rounds), ahead, tier)
        order = sorted(range(len(tiled)), key=lambda at: need[tiled[at].stream.name].first)
        passed = 0.0
        for at in order[:-1]:
            passed += rounds[at]
            self._arc(read, self.moved[tiled[at].stream.name], passed, 1, tier)
        self._arc(read, self.moved[tiled[order[-1]].stream.name], 0.0, 0, tier)

    def _store(self, flow: Flow) -> None:
        """A part leaves once its tile is done; its buffer is free when it has left."""
        stream, there = flow.stream, self._event(flow.stream.name)
        self.moved[stream.name] = there
        self._arc(self.ends[stream.stage], there, stream.tile_bytes / flow.burst, 0, flow.limit)
        if self._periodic(stream.tiles):
            self._arc(there, there, self._service(flow), 1, flow.limit)
            if self.section.tiles > 1:
                self._arc(there, self.starts[stream.stage], 0.0, 2, flow.limit)
        self._arc(there, self.last, float(flow.latency) + self._hops(stream), 0, FILL)

    def _hops(self, stream: MemoryStream) -> float:
        """Cycles between a stage and the AGCUs of one of its loads or stores."""
        return float(rdn.latency(self.mapped.routes[stream.name].hops, self.arch.socket.tile.rdn))

    def _service(self, flow: Flow) -> float:
        """Cycles of a tile of the section that a part keeps its own way busy."""
        return flow.stream.tile_bytes / flow.burst * self._share(flow.stream.tiles)

    def _shared(self) -> dict[str, float]:
        """Resources that many streams use in turn: each tile keeps them busy for the sum of its uses."""
        socket, tiles = self.arch.socket, self.section.tiles
        routes = self.mapped.routes
        busy: dict[str, float] = {}

        def add(resource: str, cycles: float) -> None:
            if cycles > 0.0:
                busy[resource] = busy.get(resource, 0.0) + cycles / tiles

        for stage in self.section.stages:
            if stage.collective is not None:
                work, clock = stage.collective, socket.clock
                time = p2p.collective(work.kind, work.participants, work.size, self.arch, work.stride)
                add(COLLECTIVE, time.occupied * clock * stage.tiles)
        fired = [(stream.name, stream.tiles) for stream in self.section.streams]
        for name, times in [*fired, *((flow.stream.name, flow.stream.tiles) for flow in self.moves)]:
            add(TLN, float(tln.tln_cycles(routes[name].tln_bytes, socket.tln, socket.dies)) * times)
            add(DIE, float(tln.die_to_die_cycles(routes[name].die_crossing_bytes, socket.die_to_die)) * times)
        add(RDN, float(rdn.link_cycles(self.mapped.link_load, socket.tile.rdn)))
        doors: dict[int, float] = {}
        for flow in self.moves:
            add(flow.tier, flow.stream.bytes / flow.tier_rate)
            for switch, size in flow.doors.items():
                doors[switch] = doors.get(switch, 0.0) + size * flow.stream.tiles / flow.door_rate
        add(AGCU, max(doors.values(), default=0.0))
        for resource, cycles in busy.items():
            used = self._event(f"{resource} in use")
            over = [flow for flow in self.moves if flow.tier == resource]
            first = min((float(flow.latency) for flow in over), default=0.0)
            self._arc(self.origin, used, first + cycles, 0, resource)
            self._arc(used, used, cycles, 1, resource)
            self._arc(used, self.last, 0.0, 0, resource)
            for flow in self._latest(over):
                self._arc(used, self.moved[flow.stream.name], 0.0, 0, resource)
        return busy

    def _latest(self, over: Sequence[Flow]) -> list[Flow]:
        """The streams over a tier that end last: its stores, or the last load that runs with the tiles."""
        stores = [flow for flow in over if flow.written and self._periodic(flow.stream.tiles)]
        return stores or [flow for flow in over if not flow.written and flow.stream.tiles > 1][-1:]

    def _carry(self) -> None:
        """Kernel looping: what a repeat stores is what the next one loads, straight from its PMUs."""
        for store, load in self.section.carried.items():
            leaving = [flow for flow in self.moves if flow.written and flow.stream.buffer == store]
            coming = [flow for flow in self.moves if not flow.written and flow.stream.buffer == load]
            for out in leaving:
                for into in coming:
                    hops = self.mapped.routes[into.stream.name].hops + self.mapped.routes[out.stream.name].hops
                    latency = float(rdn.latency(hops, self.arch.socket.tile.rdn))
                    self._arc(self.ends[out.stream.stage], self.starts[into.stream.stage], latency, 1, FILL)
