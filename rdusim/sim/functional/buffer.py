"""A buffer in PMUs: copies of tiles, written in order and only where the tile before has been used (credits)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rdusim.mapping.types import SramRange
from rdusim.sim.functional import loops as of
from rdusim.sim.functional.storage import Array, Box, Storage

LARGEST = 4  # bytes of the largest element: copies begin at multiples of it


class Buffer:
    """Tiles of one tensor on their way to one stage, on all sockets of a group in step.

    Tile k lies in copy k modulo `addresses`; it may be written when tile k - `credits` has been read for the last time.
    `readers`: the loops along which the target fires; `replaced`: those along which a tile takes the place of the
    one before.
    """

    def __init__(
        self,
        tensor: str,
        shape: Sequence[int],
        element: int,
        *,
        parts: Sequence[int],
        loops: Sequence[int],
        axes: Sequence[tuple[int, int]],
        readers: Sequence[int],
        replaced: Sequence[int],
        credits: int,
    ) -> None:
        self.tensor, self.element, self.credits = tensor, element, credits
        self._shape, self.parts, self.loops = tuple(shape), parts, tuple(loops)
        self.boxes: list[Box] = [of.box_of(shape, axes, index, parts) for index in of.indices(parts, loops)]
        self.needs: list[list[int]] = [
            [tile for tile, _ in of.needed(fires, parts, self.loops, replaced)] for fires in of.indices(parts, readers)
        ]
        self._last_use: dict[int, int] = {}
        for firing, tiles in enumerate(self.needs):
            self._last_use.update(dict.fromkeys(tiles, firing))
        self.keeps = any(loop not in replaced for loop in self.loops)
        self.written = 0
        self._freed: set[int] = set()
        self._storages: Sequence[Storage] = ()
        self._addresses: Sequence[int] = ()

    @property
    def tiles(self) -> int:
        return len(self.boxes)

    @property
    def copies(self) -> int:
        """Tiles that may be there at once."""
        return max(1, min(self.credits, self.tiles))

    @property
    def tile_bytes(self) -> int:
        """Bytes of the largest tile."""
        return max(self.element * int(np.prod(_extents(box), dtype=np.int64)) for box in self.boxes)

    def place(self, storages: Sequence[Storage], addresses: Sequence[int]) -> None:
        """Put the copies at these addresses of every socket's storage."""
        self._storages, self._addresses = storages, addresses

    def has_room(self) -> bool:
        """Whether a credit for the next tile is there."""
        return self.credits > 0 and (self.written < self.credits or self.written - self.credits in self._freed)

    def is_ready(self, firing: int) -> bool:
        """Whether all that a firing of the target reads has come."""
        return all(tile < self.written for tile in self.needs[firing])

    def put(self, values: Sequence[Array]) -> None:
        """Write the next tile, one array a socket."""
        for storage, array in zip(self._storages, values, strict=True):
            shape = _extents(self.boxes[self.written])
            storage.write(self._address(self.written), shape, self.element, _all(shape), array)
        self.written += 1

    def release(self, firing: int) -> None:
        """Give back the places of all tiles that no later firing reads."""
        self._freed.update(tile for tile in self.needs[firing] if self._last_use[tile] == firing)

    def covers(self, firing: int, box: Box) -> bool:
        """Whether the tiles of a firing hold all of a part of the tensor, or keep what of it has come."""
        boxes = [self.boxes[tile] for tile in self.needs[firing]]
        return bool(boxes) and (
            self.keeps
            or all(
                min(each[axis].start for each in boxes) <= side.start
                and side.stop <= max(each[axis].stop for each in boxes)
                for axis, side in enumerate(box)
            )
        )

    def get(self, rank: int, firing: int, box: Box, missing: float) -> Array:
        """A part of the tensor as a firing finds it on socket `rank`; `missing` where its tiles do not reach."""
        found = np.full(_extents(box), missing)
        for tile in self.needs[firing]:
            here = self.boxes[tile]
            common = tuple(
                slice(max(one.start, other.start), min(one.stop, other.stop))
                for one, other in zip(here, box, strict=True)
            )
            if all(side.start < side.stop for side in common):
                shape = _extents(here)
                part = self._storages[rank].read(self._address(tile), shape, self.element, _shift(common, here))
                found[_shift(common, box)] = part
        return found

    def _address(self, tile: int) -> int:
        return self._addresses[tile % len(self._addresses)]


def given(ranges: Sequence[SramRange], buffer: Buffer, pmus: int) -> list[int]:
    """Addresses of a buffer's copies where the mapping has put them; none where a tile does not fit there whole.

    The PMUs of a stage are interleaved: bytes from `offset` on in each of n are bytes from n x `offset` on in all. A
    buffer that keeps what has come is one range for all of its tiles. (A window through which an operand is streamed
    holds no whole tile.)
    """
    starts = [each.offset * pmus for each in sorted(ranges, key=lambda each: each.copy)]
    room = min((each.size * pmus for each in ranges), default=0)
    copies = buffer.copies if len(starts) == 1 else 1
    if copies * buffer.tile_bytes > room:
        return []
    return [start + copy * buffer.tile_bytes for start in starts for copy in range(copies)]


def addresses(
    buffers: Mapping[str, Buffer], placed: Mapping[str, Sequence[int]]
) -> tuple[dict[str, Sequence[int]], int]:
    """Where the copies of all buffers of a stage lie, and where the last one ends.

    `placed` are those that have their addresses; the others follow one behind the other.
    """
    found = dict(placed)
    top = max((max(places) + _room(buffers[name]) for name, places in placed.items()), default=0)
    top = -(-top // LARGEST) * LARGEST
    for name, buffer in buffers.items():
        if name not in found:
            found[name] = [top + copy * _room(buffer) for copy in range(buffer.copies)]
            top += len(found[name]) * _room(buffer)
    return found, top


def _room(buffer: Buffer) -> int:
    return -(-buffer.tile_bytes // LARGEST) * LARGEST


def _extents(box: Box) -> tuple[int, ...]:
    return tuple(side.stop - side.start for side in box)


def _shift(box: Box, origin: Box) -> Box:
    return tuple(slice(side.start - base.start, side.stop - base.start) for side, base in zip(box, origin, strict=True))


def _all(shape: Sequence[int]) -> Box:
    return tuple(slice(0, extent) for extent in shape)
