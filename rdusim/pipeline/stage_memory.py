"""What the programs of one rank of a pipeline keep in its memory together, and what that leaves to each.

In inference the caches of all micro-batches stay, and what other chunks of the rank read. In training a rank runs its
chunks' way forth, way back and update by turns. Weights, gradients and the optimizer's state stay; of every micro-batch
whose way back is open, what that will read. State is used once a step, so it is the first to go to a farther tier.
docs/model.md, "Training over a pipeline".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from rdusim.arch.types import Arch
from rdusim.errors import MappingError, Problem
from rdusim.graph.types import Role
from rdusim.mapping.pack import Share, aligned, lifetimes_of, profile
from rdusim.program.types import Buffer, Program
from rdusim.units import Bytes, show

STAYS = (Role.WEIGHT.value, Role.CONSTANT.value, Role.GRADIENT.value)


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Programs of a chunk that work on a micro-batch, the update, and names of what lies between both ways."""

    passes: tuple[Program, ...]
    update: Program | None
    held: frozenset[str]

    @cached_property
    def stays(self) -> Mapping[str, int]:
        """Bytes of weights, constants and gradients."""
        every = (*self.passes, *([self.update] if self.update is not None else []))
        return {each.name: aligned(each.size) for program in every for each in program.buffers if each.role in STAYS}

    @cached_property
    def saved(self) -> Mapping[str, int]:
        """Bytes of what one micro-batch leaves for its way back."""
        return {
            each.name: aligned(each.size)
            for program in self.passes
            for each in program.buffers
            if each.name in self.held
        }

    @cached_property
    def state(self) -> int:
        """Bytes of the optimizer's state."""
        buffers = () if self.update is None else self.update.buffers
        return sum(aligned(each.size) for each in buffers if each.role == Role.OPTIMIZER)

    @cached_property
    def transient(self) -> int:
        """The most that one of the programs needs beside what is kept."""
        every = (*self.passes, *([self.update] if self.update is not None else []))
        return max((_alone(program) - self.own(program) for program in every), default=0)

    def own(self, program: Program) -> int:
        """Bytes of what is kept, and is among a program's own buffers."""
        names = {buffer.name for buffer in program.buffers}
        state = self.state if program is self.update else 0
        return state + sum(size for name, size in (*self.stays.items(), *self.saved.items()) if name in names)


@dataclass(frozen=True, kw_only=True)
class RankMemory:
    """A rank's chunks, and how many micro-batches (times chunks) are open at most. All bytes are of one socket."""

    chunks: tuple[Chunk, ...]
    open: int

    @cached_property
    def saved(self) -> int:
        """Of one micro-batch, in the chunk that keeps most."""
        return max(sum(chunk.saved.values()) for chunk in self.chunks)

    @cached_property
    def stays(self) -> int:
        return sum(sum(chunk.stays.values()) for chunk in self.chunks)

    @cached_property
    def state(self) -> int:
        return sum(chunk.state for chunk in self.chunks)

    @cached_property
    def working(self) -> int:
        """All but the optimizer's state, at the fullest time."""
        return self.stays + self.open * self.saved + max(chunk.transient for chunk in self.chunks)

    def check(self, arch: Arch, rank: int) -> None:
        """Raises MappingError with sizes where all tiers together are too small."""
        capacity = sum(tier.capacity for tier in arch.socket.memory)
        needed = self.working + self.state
        if needed > capacity:
            raise MappingError(
                Problem(
                    message=f"a socket of pipeline stage {rank} needs {show(needed, 'size')} (weights and gradients "
                    f"{show(self.stays, 'size')}, optimizer {show(self.state, 'size')}, {self.open} micro-batches of "
                    f"{show(self.saved, 'size')}) and has {show(capacity, 'size')}",
                    hint="more stages, smaller or fewer open micro-batches (--pipeline-schedule 1f1b), or --recompute",
                )
            )

    def left(self, arch: Arch, chunk: Chunk, program: Program) -> Arch:
        """The machine with the memory that a program has, the state of all chunks as far away as can be."""
        nearest = arch.socket.memory[0].capacity
        if program is chunk.update:
            return smaller(arch, self.working - sum(chunk.stays.values()), self.state - chunk.state)
        if self.working <= nearest:
            return arch
        return smaller(arch, self.stays + self.open * self.saved - chunk.own(program), self.state)

    def peaks(self, arch: Arch) -> dict[str, int]:
        """Bytes by tier at the fullest time."""
        found, left = {}, self.working + self.state
        for tier in arch.socket.memory:
            found[tier.name] = min(left, tier.capacity)
            left -= found[tier.name]
        return found


def cached(program: Program) -> int:
    """Bytes of the caches of one micro-batch."""
    return sum(aligned(buffer.size) for buffer in program.buffers if buffer.role == Role.KV_CACHE)


def besides(own: Program, others: Sequence[Program], micro_batches: int) -> int:
    """Bytes that lie in a rank's memory while one of its chunks runs for one micro-batch: inference."""
    read = (Role.WEIGHT.value, Role.CONSTANT.value)
    kept = sum(aligned(buffer.size) for each in others for buffer in each.buffers if buffer.role in read)
    return kept + (micro_batches - 1) * cached(own) + micro_batches * sum(cached(each) for each in others)


def with_kept(program: Program, held: frozenset[str]) -> Program:
    """The program, with what others will read (or have written) alive from its begin to its end."""
    kept = (
        replace(buffer, resident=True) if buffer.name in held or buffer.role == Role.GRADIENT else buffer
        for buffer in program.buffers
    )
    return replace(program, buffers=tuple(kept))


def pinned(chunk: Chunk, left: Arch) -> dict[str, str]:
    """Weights and gradients where they lie already: near, if all of them are; state takes what room is left."""
    if chunk.update is None:
        return {}
    buffers: Sequence[Buffer] = [each for each in chunk.update.buffers if each.role in STAYS]
    nearest = left.socket.memory[0]
    fits = sum(aligned(each.size) for each in buffers) <= nearest.capacity
    return {each.name: nearest.name for each in buffers} if fits else {}


def _alone(program: Program) -> int:
    """The most bytes of a program that live at the same time."""
    shares = [Share(buffer=buffer, first=0, parts=buffer.repeats) for buffer in program.buffers]
    return int(profile(shares, lifetimes_of(program.buffers)).max(initial=0))


def smaller(arch: Arch, near: int, far: int) -> Arch:
    """Without the `near` bytes that are taken from the nearest tier on, and `far` from the farthest on."""
    tiers = list(arch.socket.memory)
    for taken, order in ((near, range(len(tiers))), (far, reversed(range(len(tiers))))):
        for number in order:
            part = min(taken, tiers[number].capacity)
            tiers[number] = replace(tiers[number], capacity=Bytes(tiers[number].capacity - part))
            taken -= part
    return replace(arch, socket=replace(arch.socket, memory=tuple(tiers)))


def with_capacities(arch: Arch, of: Arch) -> Arch:
    """The machine with as much memory as another one of its structure has."""
    tiers = zip(arch.socket.memory, of.socket.memory, strict=True)
    memory = tuple(replace(tier, capacity=other.capacity) for tier, other in tiers)
    return replace(arch, socket=replace(arch.socket, memory=memory))
