"""A mapped section as a fabric: stages, buffers, nets and AGCUs joined as the mapping says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rdusim.arch.types import Arch
from rdusim.graph.types import Compute
from rdusim.mapping.mesh import OUT, Mesh
from rdusim.mapping.needs import needs
from rdusim.mapping.types import Allocation, Flow, MappedSection, Net, SramRange
from rdusim.program.types import MemoryStream, Stream
from rdusim.sim.cycle.agcu import AgcuRun, Share, Transfer
from rdusim.sim.cycle.buffers import UNLIMITED, Buffer, Operand
from rdusim.sim.cycle.compute import Intake, Outlet
from rdusim.sim.cycle.crew import Crew, crew_of
from rdusim.sim.cycle.fabric import Fabric
from rdusim.sim.cycle.network import Node, Port
from rdusim.sim.cycle.own import MOVING, STATIONARY, Read, overlaps, reads_of
from rdusim.sim.cycle.wiring import Wiring


def build(mapped: MappedSection, allocations: Mapping[str, Allocation], mesh: Mesh, arch: Arch) -> Fabric:
    """Everything of a section in place, nothing moved yet."""
    return _Builder(mapped, allocations, mesh, arch).run()


class _Builder:
    def __init__(self, mapped: MappedSection, allocations: Mapping[str, Allocation], mesh: Mesh, arch: Arch) -> None:
        self.mapped, self.section, self.mesh, self.arch = mapped, mapped.section, mesh, arch
        self.allocations = allocations
        self.fabric = Fabric(arch.socket)
        self.wiring = Wiring(arch, mesh, self.fabric)
        self.crews: dict[str, Crew] = {}
        self.agcus: dict[int, AgcuRun] = {}
        self.needs = needs(mapped, arch)

    def run(self) -> Fabric:
        placed = {placement.stage: placement for placement in self.mapped.placements}
        for stage in self.section.stages:
            pcus = self.mesh.switches_of(placed[stage.name].pcus).tolist()
            pmus = self.mesh.switches_of(placed[stage.name].pmus).tolist()
            self.crews[stage.name] = crew_of(self.mapped, stage, pcus, pmus, self.fabric, self.arch)
        for number, stream in enumerate(self.section.streams):
            self._stream(stream, number)
        for load in self.section.loads:
            self._load(load)
        for stage in self.section.stages:
            self._reads(self.crews[stage.name])
        for store in self.section.stores:
            self._store(store)
        self.fabric.agcus = list(self.agcus.values())
        self.fabric.links = self.wiring.links
        self.fabric.scratchpads = self.wiring.scratchpads
        return self.fabric

    def _stream(self, stream: Stream, number: int) -> None:
        """Written by the source's units, read by nets, taken by the target's units."""
        source, target = self.crews[stream.source], self.crews[stream.target]
        depth = UNLIMITED if stream.resident else stream.depth
        buffer = self._buffer(stream.name, stream.tiles, source, depth)
        nets = self._nets_of(stream)
        self._results(source, buffer, stream.tile_bytes, nets)
        roots = self._trees(buffer, nets, stream.resends)
        longest = 0
        entering = self._crossing(stream, nets, roots)
        for net in nets:
            nodes = entering[id(net)] if id(net) in entering else roots[id(net)][0]
            flits = self.wiring.flits(net.bytes)
            mine = set(target.pcus or target.pmus)
            for switch in net.targets:
                if switch in mine and switch in nodes:
                    self._intake(target, switch, number, nodes[switch], flits, stream)
            longest = max(longest, len(net.links) + 1)
        buffer.on_full.append(target.run.wake)
        target.run.sources.append((buffer, longest * self.wiring.hop))

    def _intake(self, target: Crew, switch: int, number: int, node: Node, flits: int, stream: Stream) -> None:
        unit = target.unit_at(switch)
        if target.stage.compute is Compute.SYSTOLIC:
            number = MOVING if stream.multicast else STATIONARY
        head = self.wiring.into(switch, number, node, unit.wake, self.wiring.hop)
        unit.intakes.append(Intake(node=head, by="rdn", tile_flits=flits, tiles=stream.tiles))

    def _buffer(self, name: str, tiles: int, crew: Crew, depth: int) -> Buffer:
        buffer = Buffer(name, tiles, crew.run.firings, depth, self.fabric.level)
        buffer.on_free.append(crew.run.wake)
        crew.run.sinks.append(buffer)
        self.fabric.buffers[name] = buffer
        return buffer

    def _results(self, crew: Crew, buffer: Buffer, tile_bytes: int, nets: Sequence[Net]) -> None:
        """Units write shares of a tile to the PMUs from which its nets start."""
        held: dict[int, float] = {}
        for net in nets:
            if not self._enters(net):
                held[net.source] = held.get(net.source, 0.0) + net.bytes
        wiring, run, fill = self.wiring, crew.run, crew.rhythm.fill
        ports = [Port(self.fabric.ask) for _ in run.units]
        written = dict.fromkeys(held, 0.0)
        for number, place, share in overlaps([1.0] * len(run.units), list(held.values())):
            switch = list(held)[place]
            flits = wiring.flits(share * tile_bytes)
            made = Node()
            unit = run.units[number]
            made.notify = unit.wake
            middle = wiring.wire(made, ports[number], wiring.own_way(crew.switches[number][0], switch), _nothing)
            part = share * sum(held.values()) / held[switch]
            banks = self._banks(buffer.name, buffer.depth, written[switch], part, flits, 1)
            written[switch] += part
            sink = wiring.write(switch, middle, banks, 0, _whole(flits, buffer.wrote))
            buffer.writers.append((sink, flits))
            rate = -(-flits * buffer.tiles // (run.firings * crew.rhythm.giving))
            room = wiring.credits + (fill + 1) * rate
            if crew.stage.compute is Compute.SYSTOLIC:
                # Accumulators are doubled: while one block drains the next is made, besides those in the pipeline.
                blocks = -(-crew.rhythm.steps // crew.rhythm.block)
                in_flight = 2 + -(-fill // crew.rhythm.block)
                room = max(wiring.credits, -(-flits * buffer.tiles // (run.firings * blocks)) * in_flight)
            unit.outlets.append(Outlet(node=made, flow=buffer.name, tile_flits=flits, tiles=buffer.tiles, room=room))

    def _nets_of(self, flow: Flow) -> tuple[Net, ...]:
        return tuple(self.mapped.routes[flow.name].nets) if flow.tile_bytes else ()

    def _trees(
        self, buffer: Buffer, nets: Sequence[Net], resends: int
    ) -> dict[int, tuple[dict[int, Node], Node | None]]:
        """Trees that start at PMUs, which release them tile by tile."""
        found = {}
        held: dict[int, float] = {}
        for net in nets:
            held[net.source] = held.get(net.source, 0.0) + (0.0 if self._enters(net) else net.bytes)
        done: dict[int, float] = {}
        for net in nets:
            if self._enters(net):
                continue
            flits = self.wiring.flits(net.bytes)
            base, part = done.get(net.source, 0.0), net.bytes / held[net.source]
            done[net.source] = base + part
            banks = self._banks(buffer.name, buffer.depth, base, part, flits, resends)
            waiting, out = self.wiring.read(net.source, banks)
            buffer.outlets.append((waiting, flits))
            found[id(net)] = self.wiring.net(net, out)
        return found

    def _crossing(
        self, stream: Stream, nets: Sequence[Net], roots: dict[int, tuple[dict[int, Node], Node | None]]
    ) -> dict[int, dict[int, Node]]:
        """Between tiles: what leaves by ports goes over the TLN, and all of it feeds every net that comes in."""
        entering = [net for net in nets if self._enters(net)]
        leaving = [net for net in nets if id(net) in roots and roots[id(net)][1] is not None]
        out = sum(self.wiring.flits(net.bytes) for net in leaving)
        found, heads = {}, []
        for net in entering:
            root = Node()
            heads.append((root, self.wiring.flits(net.bytes)))
            found[id(net)] = self.wiring.net(net, root)[0]
        crossed = Node()

        def forward(_: int) -> None:
            crossed.arrived += 1
            for root, flits in heads:
                if (more := flits * crossed.arrived // out - root.arrived) > 0:
                    root.add(more)

        for net in leaving:
            node = roots[id(net)][1]
            assert node is not None
            dies = [self._die(net.source), self._die(entering[0].source) if entering else self._die(net.source)]
            node.notify = self._over(node, dies, forward)
        return found

    def _over(self, node: Node, dies: list[int], forward: Callable[[int], None]) -> Callable[[], None]:
        fabric, size = self.fabric, self.wiring.vector

        def leave() -> None:
            while node.freed < node.arrived:
                node.take_until(node.freed + 1)
                way = fabric.outside.send(size, dies[0], dies[1], fabric.clock.now)
                fabric.clock.after(way + fabric.outside.tln.latency, forward)

        return leave

    def _load(self, load: MemoryStream) -> None:
        """From AGCUs into the PMUs of the stage."""
        crew, nets = self.crews[load.stage], self._nets_of(load)
        operand = Operand(load.name, load.tiles, crew.run.firings, load.tile_bytes, load.prefetch, self.fabric.level)
        self.fabric.buffers[load.name] = operand
        crew.run.operands.append(operand)
        operand.on_full.append(crew.run.wake)
        transfer = self._transfer(load, written=False)
        base = 0
        written: dict[int, float] = {}
        for net in nets:
            assert self._enters(net), "a load comes in by a port"
            root = Node()
            nodes, _ = self.wiring.net(net, root)
            flits, size = self.wiring.flits(net.bytes), max(1, round(net.bytes))
            for switch in net.targets:
                part = net.bytes * len(crew.pmus or crew.pcus) / load.tile_bytes
                banks = self._banks(load.name, self._copies(load), written.get(switch, 0.0), part, flits, 1)
                written[switch] = written.get(switch, 0.0) + part
                sink = self.wiring.write(switch, nodes[switch], banks, self.wiring.hop, _came(flits, operand))
                operand.writers.append((sink, flits))
                operand.tile_flits += flits
            agcu = self._agcu(net.links[0])
            share = self._share(transfer, root, size, flits, load, base, operand)
            agcu.add(share)
            root.notify = _release(agcu, share)
            operand.on_free.append(agcu.wake)
            base += size

    def _copies(self, load: MemoryStream) -> int:
        return max(1, min(load.tiles, load.prefetch // max(1, load.tile_bytes)))

    def _reads(self, crew: Crew) -> None:
        """A stage reads what was loaded from its own PMUs."""
        loads = [load for load in self.section.loads if load.stage == crew.stage.name and load.tile_bytes]
        for read in reads_of(crew, loads, self.arch):
            self._read(crew, read)

    def _read(self, crew: Crew, read: Read) -> None:
        operand = self.fabric.buffers[read.load.name]
        assert isinstance(operand, Operand)
        flits = self.wiring.flits(read.size)
        banks = self._banks(read.load.name, self._copies(read.load), read.base, read.part, flits, 1)
        waiting, out = self.wiring.read(read.switch, banks)
        waiting.notify = operand.used
        operand.outlets.append((waiting, flits))
        for number in read.units:
            unit, switch = crew.run.units[number], crew.switches[number][0]
            way = self.wiring.own_way(read.switch, switch)
            node = self.wiring.into(switch, read.port, out, unit.wake, way)
            unit.intakes.append(Intake(node=node, by="pmu", tile_flits=flits, tiles=crew.run.firings, operand=operand))

    def _store(self, store: MemoryStream) -> None:
        """From the PMUs of the stage to AGCUs."""
        crew, nets = self.crews[store.stage], self._nets_of(store)
        depth = UNLIMITED if store.tiles == 1 else max(1, store.prefetch // max(1, store.tile_bytes))
        buffer = self._buffer(store.name, store.tiles, crew, depth)
        self._results(crew, buffer, store.tile_bytes, nets)
        transfer = self._transfer(store, written=True)
        roots = self._trees(buffer, nets, 1)
        for waiting, _ in buffer.outlets:
            waiting.notify = buffer.left
        base = 0
        for net in nets:
            left = roots[id(net)][1]
            assert left is not None, "a store goes out by a port"
            flits, size = self.wiring.flits(net.bytes), max(1, round(net.bytes))
            agcu = self._agcu(net.links[-1])
            agcu.add(self._share(transfer, left, size, flits, store, base, None))
            left.notify = agcu.wake
            base += size

    def _transfer(self, stream: MemoryStream, written: bool) -> Transfer:
        tier = self.fabric.tiers[self.allocations[stream.buffer].tier]
        transfer = Transfer(stream.name, stream.stage, tier, written)
        self.fabric.transfers[stream.name] = transfer
        return transfer

    def _share(
        self,
        transfer: Transfer,
        node: Node,
        size: int,
        flits: int,
        stream: MemoryStream,
        base: int,
        operand: Operand | None,
    ) -> Share:
        transfer.left += size * stream.tiles
        place = self.allocations[stream.buffer]
        share = Share(
            transfer,
            node,
            size,
            flits,
            stream.tiles,
            place.offset + base,
            stream.tile_bytes,
            min(self.arch.socket.tile.agcu.request_size, max(1, stream.contiguous)),
            self.wiring.vector,
            operand,
            self.needs[stream.name],
        )
        if stream.gathered:
            rows = max(1, place.size // max(1, stream.contiguous))
            share.scattered = (place.offset, stream.contiguous, rows)
        return share

    def _agcu(self, link: int) -> AgcuRun:
        switch = (link - self.mesh.mesh_links) // 2
        if switch not in self.agcus:
            self.agcus[switch] = AgcuRun(self.arch.socket.tile.agcu, self._die(switch), self.fabric)
        return self.agcus[switch]

    def _die(self, switch: int) -> int:
        return switch // self.mesh.tile_switches // self.mesh.tiles_per_die

    def _enters(self, net: Net) -> bool:
        port = net.links[0] - self.mesh.mesh_links if net.links else -1
        return port >= 0 and port % 2 != OUT

    def _banks(self, flow: str, copies: int, base: float, part: float, flits: int, resends: int) -> list[int]:
        """Bank of every flit of a share of a buffer, copy after copy; nothing where the mapping gives no ranges."""
        ranges: Sequence[SramRange] = sorted(self.mapped.sram.get(flow, ()), key=lambda found: found.copy)
        pmu = self.arch.socket.tile.pmu
        each = max(1, flits // resends)
        if not ranges:
            return []
        return [
            int((held.offset + held.size * (base + part * (flit % each) / each)) // (pmu.capacity / pmu.banks))
            for held in ranges[: min(copies, len(ranges))]
            for flit in range(flits)
        ]


def _nothing() -> None:
    """What waits in the middle of a way is nobody's business."""


def _whole(flits: int, then: Callable[[], None]) -> Callable[[Node], None]:
    return lambda node: then() if node.arrived % flits == 0 else None


def _came(flits: int, operand: Operand) -> Callable[[Node], None]:
    return lambda node: operand.came(node.arrived % flits == 0)


def _release(agcu: AgcuRun, share: Share) -> Callable[[], None]:
    return lambda: agcu.release(share)
