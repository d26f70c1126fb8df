"""The off-chip memory of one socket: buffers at the addresses of the mapping, each tier a storage of its own."""

from __future__ import annotations

from collections.abc import Mapping as PyMapping
from math import gcd

from rdusim.dtypes import size_of
from rdusim.graph.types import OperatorGraph
from rdusim.mapping.types import Mapping
from rdusim.sim.functional.storage import Array, Box, Storage


class Memory:
    """Tensors of one socket's graph by name and repeat.

    What every repeat of a block has for itself lies there once for each. `carried`: buffer that a repeat loads ->
    buffer that the one before has stored, and that is read in its place.
    """

    def __init__(self, mapping: Mapping, graph: OperatorGraph) -> None:
        self._graph, self._allocations = graph, mapping.allocations
        self._sizes = {buffer.name: int(buffer.size) for buffer in mapping.program.buffers}
        self._tiers: dict[str, Storage] = {}
        pieces = [piece for place in mapping.allocations.values() for piece in place.pieces]
        for tier in {piece.tier for piece in pieces}:
            places = [piece for piece in pieces if piece.tier == tier]
            grain = gcd(*(int(place.offset) for place in places), *(self._element(place.buffer) for place in places))
            size = max(int(place.offset) + int(place.size) for place in places)
            self._tiers[tier] = Storage(size, grain)

    def holds(self, tensor: str) -> bool:
        return tensor in self._allocations

    def repeats(self, tensor: str) -> int:
        """How many times a tensor is there: once, or once for each repeat of its block."""
        return max(1, self._sizes[tensor] // max(1, int(self._graph.tensors[tensor].bytes)))

    def read(self, tensor: str, repeat: int, box: Box) -> Array:
        storage, address = self._place(tensor, repeat)
        return storage.read(address, self._graph.tensors[tensor].shape, self._element(tensor), box)

    def write(self, tensor: str, repeat: int, box: Box, values: Array) -> None:
        storage, address = self._place(tensor, repeat)
        storage.write(address, self._graph.tensors[tensor].shape, self._element(tensor), box, values)

    def _place(self, tensor: str, repeat: int) -> tuple[Storage, int]:
        own = repeat % self.repeats(tensor)
        piece = next(each for each in reversed(self._allocations[tensor].pieces) if each.first <= own)
        address = int(piece.offset) + (own - piece.first) * int(self._graph.tensors[tensor].bytes)
        return self._tiers[piece.tier], address

    def _element(self, tensor: str) -> int:
        return size_of(self._graph.tensors[tensor].dtype)


def whole(graph: OperatorGraph, tensor: str) -> Box:
    """All of a tensor."""
    return tuple(slice(0, extent) for extent in graph.tensors[tensor].shape)


Carried = PyMapping[str, str]
