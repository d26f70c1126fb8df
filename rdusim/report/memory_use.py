"""How a tier of memory is used over a program: bytes alive, highest address, holes, addresses used again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rdusim.mapping.pack import Lifetime, aligned, lifetimes_of

if TYPE_CHECKING:
    from rdusim.arch.types import Arch, MemoryTier
    from rdusim.mapping.types import Allocation, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A piece of a buffer in a tier, and the sections (in program order) while it lives."""

    piece: Allocation
    role: str
    parts: int  # of the whole buffer
    life: Lifetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TierUse:
    """One tier of one socket. `alive`, `top`: by section, bytes in use and the end of the highest range in use.

    `hole_bytes`: addresses below the highest range that nobody uses, where most bytes are alive (fragmentation).
    `reused_bytes`: bytes of buffers that lie where another one lay or will lie.
    """

    tier: str
    capacity: int
    placed: tuple[Placed, ...]
    alive: tuple[int, ...]
    top: tuple[int, ...]
    hole_bytes: int
    reused_bytes: int

    @property
    def peak(self) -> int:
        return max(self.alive, default=0)

    @property
    def extent(self) -> int:
        return max(self.top, default=0)


def memory_use(mapping: Mapping, arch: Arch) -> tuple[TierUse, ...]:
    """Every tier of a socket, nearest first."""
    return tuple(_tier(tier, tuple(_placed(mapping, tier.name)), mapping) for tier in arch.socket.memory)


def _placed(mapping: Mapping, tier: str) -> Iterator[Placed]:
    lifetimes = lifetimes_of(mapping.program.buffers)
    for buffer in mapping.program.buffers:
        for piece in mapping.allocations[buffer.name].pieces:
            if piece.tier == tier:
                yield Placed(piece=piece, role=buffer.role, parts=buffer.repeats, life=lifetimes[buffer.name])


def _tier(tier: MemoryTier, placed: tuple[Placed, ...], mapping: Mapping) -> TierUse:
    sections = range(len(mapping.program.sections))
    living = [[each for each in placed if each.life.first <= at <= each.life.last] for at in sections]
    alive = [sum(aligned(each.piece.size) for each in here) for here in living]
    top = [max((each.piece.offset + aligned(each.piece.size) for each in here), default=0) for here in living]
    fullest = max(sections, key=lambda at: alive[at], default=0)
    return TierUse(
        tier=tier.name,
        capacity=tier.capacity,
        placed=placed,
        alive=tuple(alive),
        top=tuple(top),
        hole_bytes=top[fullest] - alive[fullest] if alive else 0,
        reused_bytes=max(0, sum(aligned(each.piece.size) for each in placed) - _covered(placed)),
    )


def _covered(placed: tuple[Placed, ...]) -> int:
    """Addresses that belong to some buffer at some time."""
    covered, end = 0, 0
    for each in sorted(placed, key=lambda each: each.piece.offset):
        upper = each.piece.offset + aligned(each.piece.size)
        covered += max(0, upper - max(end, each.piece.offset))
        end = max(end, upper)
    return covered
