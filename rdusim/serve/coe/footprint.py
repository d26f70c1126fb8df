"""How many experts a node holds, by tier, and how many nodes a composition takes: arithmetic of capacities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from rdusim.errors import Problem, ServeError
from rdusim.serve.types import Expert
from rdusim.units import Bytes, show


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeMemory:
    """Of a whole node. `near`: the tier that experts run from; `home`: where they live, 0 if there is none.

    `near_reserved`: what is no expert's: the router's weights, the KV cache. `home_reserved`: likewise (KV that
    spills, the host's own). A composition with a home lives there whole, and its copies in the near tier are besides.
    """

    near: Bytes
    near_reserved: Bytes = Bytes(0)
    home: Bytes = Bytes(0)
    home_reserved: Bytes = Bytes(0)

    @property
    def region(self) -> Bytes:
        """Bytes of the near tier that experts share."""
        return Bytes(max(self.near - self.near_reserved, 0))

    @property
    def store(self) -> Bytes:
        """Bytes that experts may live in: of the home, or of the near tier where there is none."""
        return Bytes(max(self.home - self.home_reserved, 0)) if self.home else self.region


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """From the start of the list: how many experts are resident at once, and how many the node can serve at all."""

    resident: int
    held: int


def footprint(memory: NodeMemory, experts: Sequence[Expert]) -> Footprint:
    """What of the list one node holds. A home smaller than the region still leaves what the region alone holds."""
    resident = _count(experts, memory.region)
    return Footprint(resident=resident, held=max(resident, _count(experts, memory.store)))


def nodes_needed(memory: NodeMemory, experts: Sequence[Expert], *, all_near: bool = False) -> int:
    """Nodes that hold every expert once, `all_near` in the tier they run from, else where they may live.

    Experts are packed largest first onto the fullest node with room (best fit decreasing): exact for equal sizes, at
    most 11/9 of the optimum and 4 more else (Johnson, 1973). Raises ServeError if one fits no empty node.
    """
    room = int(memory.region if all_near else max(memory.store, memory.region))
    sizes = sorted((int(expert.weight_bytes) for expert in experts), reverse=True)
    if sizes and sizes[0] > room:
        message = f"an expert of {show(sizes[0], 'size')} does not fit a node's {show(room, 'size')}"
        raise ServeError(Problem(message=message, hint="a node with more memory, or a narrower type"))
    if sizes and sizes[0] == sizes[-1]:
        return -(-len(sizes) // (room // sizes[0])) if sizes[0] else 1
    return _best_fit(sizes, room)


def _count(experts: Sequence[Expert], capacity: int) -> int:
    used = 0
    for number, expert in enumerate(experts):
        used += expert.weight_bytes
        if used > capacity:
            return number
    return len(experts)


def _best_fit(sizes: Sequence[int], room: int) -> int:
    left: list[int] = []  # heap of free bytes by node, the fullest first
    nodes = 0
    for size in sizes:
        passed: list[int] = []
        while left and left[0] < size:
            passed.append(heappop(left))
        if left:
            free = heappop(left)
        else:
            free, nodes = room, nodes + 1
        heappush(left, free - size)
        # Sizes only shrink: a node too full for this one may do for a later one.
        for other in passed:
            heappush(left, other)
    return nodes
