"""A mapped program, executed on all sockets of its group: the numbers that it computes."""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Mapping as PyMapping
from dataclasses import dataclass

import numpy as np

from rdusim.arch.types import Arch
from rdusim.graph.evaluate import own
from rdusim.graph.types import OperatorGraph, Role
from rdusim.mapping.types import Mapping
from rdusim.program.shard import shard
from rdusim.sim.functional.meaning import Meaning
from rdusim.sim.functional.memory import Memory, whole
from rdusim.sim.functional.parts import part_of, whole_of
from rdusim.sim.functional.section import SectionRun
from rdusim.sim.functional.storage import Array, Box

RESULTS = (Role.OUTPUT, Role.KV_CACHE, Role.GRADIENT, Role.WEIGHT, Role.OPTIMIZER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What was executed, on one socket: `tiles` that went through buffers, `transfers` between all sockets."""

    sections: int
    stages: int
    firings: int
    tiles: int
    transfers: int
    most_tiles: int  # of one section


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """Whole tensors by name: what memory holds at the end, and those asked for as the last repeat made them."""

    results: PyMapping[str, Array]
    kept: PyMapping[str, Array]
    counts: Counts


def execute(
    mapping: Mapping, graph: OperatorGraph, arch: Arch, inputs: PyMapping[str, Array], keep: Collection[str] = ()
) -> Executed:
    """Run `mapping`, which was made of `graph`, on `inputs` (as for `graph.evaluate`).

    `keep`: tensors of `graph` to be seen besides its outputs and cache entries. Results are NaN where nothing was
    written, where a range of memory was spoilt, or where sockets that should agree do not. Raises DeadlockError.
    """
    return _Execution(mapping, graph, arch, keep).run(inputs)


class _Execution:
    def __init__(self, mapping: Mapping, full: OperatorGraph, arch: Arch, keep: Collection[str]) -> None:
        self.mapping, self.full, self.arch = mapping, full, arch
        self.ways = mapping.program.parallelism.tp
        self.local = shard(full, self.ways)
        self.memories = [Memory(mapping, self.local) for _ in range(self.ways)]
        self.meaning = Meaning(self.local, full, self.ways)
        self.wanted = {self._now(tensor): tensor for tensor in keep}
        self.kept: dict[str, list[Array]] = {}
        self.counted = dict.fromkeys(("sections", "stages", "firings", "tiles", "transfers", "most_tiles"), 0)

    def run(self, inputs: PyMapping[str, Array]) -> Executed:
        self._fill(inputs)
        for sections, times in self.mapping.program.order:
            for repeat in range(times):
                for number in sections:
                    self._section(number, repeat)
        kept = {
            self.wanted[now]: whole_of(parts, self.full.tensors[self.wanted[now]].shape)
            for now, parts in self.kept.items()
        }
        return Executed(results=self._results(), kept=kept, counts=Counts(**self.counted))

    def _fill(self, inputs: PyMapping[str, Array]) -> None:
        """Inputs, weights, constants and caches are in memory before the run, each socket's part in its own."""
        repeated = own(self.full)
        for tensor, array in inputs.items():
            if tensor not in self.local.tensors or not self.memories[0].holds(tensor):
                continue
            shape, box = self.local.tensors[tensor].shape, whole(self.local, tensor)
            for rank, memory in enumerate(self.memories):
                for repeat, mine in enumerate(array if tensor in repeated else [array]):
                    memory.write(tensor, repeat, box, part_of(mine, shape, rank, self.ways))

    def _section(self, number: int, repeat: int) -> None:
        mapped = self.mapping.sections[number]
        carried = {into: out for out, into in mapped.section.carried.items()} if repeat else {}
        run = SectionRun(
            mapped, self.meaning, self.memories, self.arch, repeat=repeat, carried=carried, record=self._record
        )
        run.run()
        self.counted["sections"] += 1
        self.counted["stages"] += len(mapped.section.stages)
        self.counted["firings"] += sum(run.fired.values())
        self.counted["tiles"] += run.moved
        self.counted["transfers"] += run.transfers
        self.counted["most_tiles"] = max(self.counted["most_tiles"], mapped.section.tiles)

    def _record(self, tensor: str, rank: int, box: Box, values: Array) -> None:
        if tensor in self.wanted:
            if tensor not in self.kept:
                shape = self.local.tensors[tensor].shape
                self.kept[tensor] = [np.full(shape, np.nan) for _ in range(self.ways)]
            self.kept[tensor][rank][box] = values

    def _results(self) -> dict[str, Array]:
        """Outputs, new cache entries, gradients, and what was updated in place, as memory holds them at the end."""
        into = {out: place for block in self.full.blocks for out, place in block.updated.items()}
        found: dict[str, Array] = {}
        for tensor in self.full.producer:
            if self.full.tensors[tensor].role not in RESULTS:
                continue
            now, shape = into.get(tensor, self._now(tensor)), self.full.tensors[tensor].shape
            if not self.memories[0].holds(now):
                continue  # an append in place: its entries are written by their own names
            repeats = range(self.memories[0].repeats(now))
            each = [
                whole_of([memory.read(now, repeat, whole(self.local, now)) for memory in self.memories], shape)
                for repeat in repeats
            ]
            found[tensor] = np.stack(each) if len(each) > 1 else each[0]
        return found

    def _now(self, tensor: str) -> str:
        """The tensor of a socket's graph that stands for one of the whole graph."""
        reduced = f"{tensor}.reduced"
        return reduced if reduced in self.local.tensors else tensor
