"""One execution of a mapped section: stages fire on tiles as soon as operands have come and results have room.

A stage sees only what its streams and loads have brought into its buffers. Producers run as far ahead as credits let
them, so that a copy that is written too early spoils a tile that is still needed. The sockets of a group run the same
section in step, each with its own memory and buffers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import gcd

from rdusim.arch.types import Arch
from rdusim.dtypes import size_of
from rdusim.errors import DeadlockError, Problem
from rdusim.graph.ops import SPECS
from rdusim.graph.types import Compute, Operand, Operator, OperatorGraph
from rdusim.mapping.types import MappedSection
from rdusim.net.place import groups_of
from rdusim.program.types import MemoryStream, Stage, Stream
from rdusim.sim.functional import loops as of
from rdusim.sim.functional.buffer import Buffer, addresses, given
from rdusim.sim.functional.collective import carry_out, plan_of
from rdusim.sim.functional.faults import ProgramFault
from rdusim.sim.functional.loops import Index
from rdusim.sim.functional.meaning import Meaning, Ranges
from rdusim.sim.functional.memory import Carried, Memory
from rdusim.sim.functional.reader import Reader
from rdusim.sim.functional.storage import Array, Box, Storage

Record = Callable[[str, int, Box, Array], None]  # tensor, socket, part, values


class SectionRun:
    """Buffers and progress of one execution, the `repeat`-th of its block."""

    def __init__(
        self,
        mapped: MappedSection,
        meaning: Meaning,
        memories: Sequence[Memory],
        arch: Arch,
        *,
        repeat: int,
        carried: Carried,
        record: Record,
    ) -> None:
        self.section, self.meaning, self.arch = mapped.section, meaning, arch
        self.memories, self.repeat, self.record = memories, repeat, record
        self.carried = carried
        self.parts = self.section.loops
        self.stages = {stage.name: stage for stage in self.section.stages}
        self.firings = {stage.name: list(of.indices(self.parts, stage.loops)) for stage in self.section.stages}
        self.fired = dict.fromkeys(self.stages, 0)
        self.transfers = self.moved = 0
        self.loads = {load.name: self._load_buffer(load) for load in self.section.loads if not load.gathered}
        self.streams = {stream.name: self._stream_buffer(stream) for stream in self.section.streams}
        self._place(mapped)
        self.into = {name: self._reaching(name) for name in self.stages}
        self.gathered = {
            name: {load.buffer: self._part(load.buffer) for load in self._gathering(name)} for name in self.stages
        }

    @property
    def graph(self) -> OperatorGraph:
        return self.meaning.graph

    def run(self) -> None:
        """Everything that the section has to do. Raises DeadlockError, which names who waits for what."""
        while True:
            progress = self._fill()
            for stage in self.section.stages:
                while self._can_fire(stage):
                    self._fire(stage)
                    progress = True
            if all(self.fired[name] == len(self.firings[name]) for name in self.stages):
                return
            if not progress:
                raise DeadlockError(*(Problem(message=why) for why in self._waits()))

    def _fill(self) -> bool:
        """Loads run ahead as far as their space lets them."""
        progress = False
        for load in self.section.loads:
            if load.gathered:
                continue
            buffer = self.loads[load.name]
            source, part = self._source(load.buffer)
            while buffer.written < buffer.tiles and buffer.has_room():
                box = buffer.boxes[buffer.written]
                buffer.put([memory.read(source, part, box) for memory in self.memories])
                self.moved += 1
                progress = True
        return progress

    def _source(self, buffer: str) -> tuple[str, int]:
        """Where a load finds what it names, and which part of it this repeat has."""
        if (stored := self.carried.get(buffer)) is not None:
            return stored, self.section.repeats - self.repeat
        return buffer, self._part(buffer)

    def _part(self, buffer: str) -> int:
        """What passes from repeat to repeat may have two parts, which take turns; the last repeat has the first."""
        if buffer in self.section.carried:
            return self.section.repeats - 1 - self.repeat
        return self.section.own(self.repeat)

    def _gathering(self, stage: str) -> list[MemoryStream]:
        return [load for load in self.section.loads if load.gathered and load.stage == stage]

    def _can_fire(self, stage: Stage) -> bool:
        firing = self.fired[stage.name]
        if firing == len(self.firings[stage.name]):
            return False
        return all(buffer.is_ready(firing) for buffer in self.into[stage.name]) and all(
            buffer.has_room() for _, buffer in self._leaving(stage, firing)
        )

    def _fire(self, stage: Stage) -> None:
        firing = self.fired[stage.name]
        made = self._made(stage, firing)
        for stream, buffer in self._leaving(stage, firing):
            buffer.put([self._cut(stream.tensor, buffer.boxes[buffer.written], mine) for mine in made])
            self.moved += 1
        for store in self.section.stores:
            if store.stage == stage.name:
                for memory, mine in zip(self.memories, made, strict=True):
                    array, box = mine[store.tensor or store.buffer]
                    memory.write(store.buffer, self._part(store.buffer), box, array)
                self.moved += 1
        for rank, mine in enumerate(made):
            for tensor, (array, box) in mine.items():
                self.record(tensor, rank, box, array)
        for buffer in self.into[stage.name]:
            buffer.release(firing)
        self.fired[stage.name] += 1

    def _leaving(self, stage: Stage, firing: int) -> Iterator[tuple[Stream, Buffer]]:
        """Streams that get a tile from this firing: along loops that a tensor does not span, the first one makes it."""
        for stream in self.section.streams:
            if stream.source == stage.name:
                buffer = self.streams[stream.name]
                if of.number_of(self.firings[stage.name][firing], self.parts, buffer.loops) == buffer.written:
                    yield stream, buffer

    def _made(self, stage: Stage, firing: int) -> list[dict[str, tuple[Array, Box]]]:
        """What the firing produces, by socket and tensor."""
        readers = [self._reader(stage, firing, rank) for rank in range(len(self.memories))]
        made: list[dict[str, tuple[Array, Box]]] = [{} for _ in readers]
        for name in stage.operators:
            operator = self.graph.by_name[name]
            if not any(operand.tensor in stage.made for operand in operator.outputs):
                continue  # a layout, folded into how its readers read
            ranges = self._ranges(stage, operator, self.firings[stage.name][firing])
            if SPECS[operator.kind].compute is Compute.COLLECTIVE:  # not a layout on the way of its result to memory
                results = self._collective(stage, operator, ranges, readers)
            else:
                results = [reader.run(operator, ranges) for reader in readers]
            for reader, mine, arrays in zip(readers, made, results, strict=True):
                for operand, array in zip(operator.outputs, arrays, strict=True):
                    box = _box(operator, operand, ranges, array)
                    mine[operand.tensor] = array, box
                    reader.keep(operand.tensor, array, box)
        return made

    def _collective(
        self, stage: Stage, operator: Operator, ranges: Ranges, readers: Sequence[Reader]
    ) -> list[tuple[Array, ...]]:
        assert stage.collective is not None
        plan = plan_of(stage.collective, self.arch)
        sent = [tuple(reader.operands(operator, ranges)) for reader in readers]
        results = list(sent)
        for group in groups_of(stage.collective.participants, stage.collective.stride, len(readers)):
            self.transfers += len(plan.transfers)
            made = carry_out(operator, plan, [sent[rank] for rank in group])
            for rank, arrays in zip(group, made, strict=True):
                results[rank] = arrays
        return results

    def _reader(self, stage: Stage, firing: int, rank: int) -> Reader:
        by_tensor: dict[str, list[Buffer]] = {}
        for buffer in self.into[stage.name]:
            by_tensor.setdefault(buffer.tensor, []).append(buffer)
        return Reader(self.meaning, by_tensor, self.gathered[stage.name], self.memories, firing, rank)

    def _ranges(self, stage: Stage, operator: Operator, index: Index) -> dict[str, tuple[int, int]]:
        """The part of each label that a firing works on."""
        ranges = {label: (0, extent) for label, extent in operator.dims.items()}
        for label, loop in stage.labels[operator.name]:
            ranges[label] = of.span(operator.dims[label], index[loop], self.parts[loop])
        return ranges

    def _cut(self, tensor: str, box: Box, made: Mapping[str, tuple[Array, Box]]) -> Array:
        array, here = made[tensor]
        if here != box:
            raise ProgramFault(f"{tensor}: a stage makes {here}, its stream carries {box}")
        return array

    def _reaching(self, stage: str) -> list[Buffer]:
        """Buffers that a stage reads; of two of the same tensor, the one that does not keep what has come first."""
        found = [self.streams[stream.name] for stream in self.section.streams if stream.target == stage]
        found += [self.loads[load.name] for load in self.section.loads if load.stage == stage and not load.gathered]
        return sorted(found, key=lambda buffer: buffer.keeps)

    def _stream_buffer(self, stream: Stream) -> Buffer:
        loops = tuple(sorted({loop for _, loop in stream.axes}))
        return self._buffer(stream.tensor, stream.target, loops, stream.axes, stream.held, stream.depth)

    def _load_buffer(self, load: MemoryStream) -> Buffer:
        ahead = max(1, load.prefetch // max(1, load.tile_bytes))
        return self._buffer(load.buffer, load.stage, load.loops, load.axes, load.loops, ahead)

    def _buffer(
        self,
        tensor: str,
        target: str,
        loops: Sequence[int],
        axes: Sequence[tuple[int, int]],
        replaced: Sequence[int],
        credits: int,
    ) -> Buffer:
        kind = self.graph.tensors[tensor]
        return Buffer(
            tensor,
            kind.shape,
            size_of(kind.dtype),
            parts=self.parts,
            loops=loops,
            axes=axes,
            readers=self.stages[target].loops,
            replaced=replaced,
            credits=credits,
        )

    def _place(self, mapped: MappedSection) -> None:
        """Every copy at its address in the PMUs: where the mapping has put it, else one behind the other."""
        homes = {stream.name: stream.source for stream in self.section.streams}
        homes |= {load.name: load.stage for load in self.section.loads}
        every = {**self.streams, **self.loads}
        units = {placed.stage: len(placed.pmus) for placed in mapped.placements}
        for stage in self.stages:
            mine = {name: buffer for name, buffer in every.items() if homes[name] == stage}
            chosen = {name: given(mapped.sram.get(name, ()), buffer, units[stage]) for name, buffer in mine.items()}
            places, top = addresses(mine, {name: found for name, found in chosen.items() if found})
            starts = [at for each in places.values() for at in each]
            grain = gcd(0, *(buffer.element for buffer in mine.values()), *starts) or 1
            storages = [Storage(top, grain) for _ in self.memories]
            for name, buffer in mine.items():
                buffer.place(storages, places[name])

    def _waits(self) -> Iterator[str]:
        """Who waits for what, when nobody can go on."""
        for stage in self.section.stages:
            firing = self.fired[stage.name]
            if firing == len(self.firings[stage.name]):
                continue
            lacks = [buffer.tensor for buffer in self.into[stage.name] if not buffer.is_ready(firing)]
            full = [stream.name for stream, buffer in self._leaving(stage, firing) if not buffer.has_room()]
            yield (
                f"section {self.section.name!r}: stage {stage.name!r} waits on tile {firing}"
                + (f" for {', '.join(lacks)}" if lacks else "")
                + (f" for room in {', '.join(full)}" if full else "")
            )


def _box(operator: Operator, operand: Operand, ranges: Ranges, array: Array) -> Box:
    """Where in its tensor a result lies. An axis that a collective scatters is never cut into tiles: a part is all."""
    scattered = operator.attributes.get("scattered", ())
    assert isinstance(scattered, tuple)
    return tuple(
        slice(0, extent) if label in scattered else slice(*ranges[label])
        for label, extent in zip(operand.dims, array.shape, strict=True)
    )
