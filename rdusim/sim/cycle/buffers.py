"""Tiles of a flow in PMUs: what is complete and may be read, and which places are free to be written.

A stage fires n times in a section, its flow has m tiles. Firing j works on the tiles up to ceil((j + 1) m / n) and is
done with those up to floor((j + 1) m / n), so stages that fire less often than others fit in.
"""

from __future__ import annotations

from collections.abc import Callable

from rdusim.sim.cycle.network import Node

UNLIMITED = 1 << 60


def begun(firing: int, tiles: int, firings: int) -> int:
    """Tiles that firings 0 .. `firing` touch."""
    return -(-(firing + 1) * tiles // firings)


def finished(firings_done: int, tiles: int, firings: int) -> int:
    """Tiles that `firings_done` firings are done with."""
    return firings_done * tiles // firings


def whole_tiles(writers: list[tuple[Node, int]], full: int) -> bool:
    """Whether all writers have brought their shares of `full` tiles and one more."""
    return all(node.arrived >= (full + 1) * flits for node, flits in writers)


class Buffer:
    """Of a stream or store, in the PMUs of the stage that makes it. `depth` tiles fit in.

    `outlets`: where its tiles wait to be read, and flits of a tile at each: a whole tile is released at once.
    """

    def __init__(self, name: str, tiles: int, firings: int, depth: int, on_change: Callable[[str, int], None]) -> None:
        self.name, self.tiles, self.firings, self.depth = name, tiles, firings, depth
        self.writers: list[tuple[Node, int]] = []  # where its flits are written, and how many of each tile
        self.full = 0  # whole tiles that came
        self.freed = 0  # tiles whose place the writer may use again
        self.outlets: list[tuple[Node, int]] = []
        self.on_full: list[Callable[[], None]] = []
        self.on_free: list[Callable[[], None]] = []
        self.on_change = on_change

    def has_place(self, firing: int) -> bool:
        return begun(firing, self.tiles, self.firings) <= self.freed + self.depth

    def wrote(self, tiles: int = 1) -> None:
        """A writer has brought its share of a tile: the next tile is there when all have."""
        if not whole_tiles(self.writers, self.full):
            return
        self.full += tiles
        self.on_change(self.name, self.full - self.freed)
        for node, flits in self.outlets:
            node.add(flits)
        for wake in self.on_full:
            wake()

    def free(self, tiles: int) -> None:
        """Credits for `tiles` more have come back."""
        self.freed += tiles
        self.on_change(self.name, self.full - self.freed)
        for wake in self.on_free:
            wake()

    def left(self) -> None:
        """Places of a store are free once their flits have left the PMUs."""
        gone = min(node.freed // flits for node, flits in self.outlets)
        if gone > self.freed:
            self.free(gone - self.freed)


class Operand:
    """Of a load, in the PMUs of the stage that reads it. A tile is a part; `window` bytes of space in front.

    With room for a part, whole parts are read; otherwise, and where all of it is one part, the stage follows the
    vectors as they come. `outlets`: source of a read, and flits that one firing reads there.
    """

    def __init__(
        self, name: str, tiles: int, firings: int, part: int, window: int, on_change: Callable[[str, int], None]
    ) -> None:
        self.name, self.tiles, self.firings = name, tiles, firings
        self.part, self.window = max(1, part), window
        self.follows = tiles == 1 or window < part
        self.writers: list[tuple[Node, int]] = []
        self.tile_flits = 0
        self.arrived = 0
        self.full = 0
        self.freed = 0
        self.outlets: list[tuple[Node, int]] = []
        self.on_full: list[Callable[[], None]] = []
        self.on_free: list[Callable[[], None]] = []
        self.on_change = on_change

    @property
    def complete(self) -> bool:
        return self.full >= self.tiles

    def lacks(self, firing: int) -> bool:
        """Whether a firing must still wait for its parts before it starts."""
        return not self.follows and begun(firing, self.tiles, self.firings) > self.full

    def limit(self) -> float:
        """Parts up to which memory may be asked: those used, and the space in front."""
        if self.window >= self.part * self.tiles:
            return float(self.tiles)
        used = float(self.freed)
        if self.follows and self.outlets and self.freed < self.tiles:
            # Vectors that were read make room at once. A part read by several firings goes with the first of them.
            share = [
                min(1.0, max(0, node.freed - self._before(self.freed) * flits) / flits)
                for node, flits in self.outlets
                if flits
            ]
            used += sum(share) / len(share) if share else 0.0
        return used + self.window / self.part

    def _before(self, parts: int) -> int:
        """Firings before the one that first reads part number `parts`."""
        return parts * self.firings // self.tiles

    def came(self, share: bool) -> None:
        """A flit has been written; `share`: with it, a writer's whole share of a part."""
        self.arrived += 1
        if share and whole_tiles(self.writers, self.full):
            self.full += 1
            self.on_change(self.name, self.full - self.freed)
            self._release()
            for wake in self.on_full:
                wake()
        elif self.follows:
            self._release()

    def _release(self) -> None:
        """Let readers have what is there: all firings of whole parts, and of a part that is coming what came."""
        whole = self._before(self.full) if self.full < self.tiles else self.firings
        coming = min(self.tile_flits, self.arrived - self.full * self.tile_flits) if self.follows else 0
        for node, flits in self.outlets:
            there = whole * flits + flits * coming // self.tile_flits
            if there > node.arrived:
                node.add(there - node.arrived)

    def used(self) -> None:
        """Something was read: where the stage follows, that makes room."""
        if self.follows:
            for wake in self.on_free:
                wake()

    def free(self, tiles: int) -> None:
        self.freed += tiles
        self.on_change(self.name, self.full - self.freed)
        for wake in self.on_free:
            wake()
