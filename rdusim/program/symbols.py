"""The symbols of a program in off-chip memory: how large, how long alive, how much traffic."""

from __future__ import annotations

from collections.abc import Sequence

from rdusim.graph.types import Block, OperatorGraph, Role
from rdusim.program.types import Buffer, Section
from rdusim.units import Bytes

OWN_PER_REPEAT = (Role.WEIGHT, Role.KV_CACHE)
KEPT_ALL_ALONG = (Role.WEIGHT, Role.CONSTANT, Role.KV_CACHE)


def symbols(graph: OperatorGraph, sections: Sequence[Section], blocks: Sequence[Block]) -> tuple[Buffer, ...]:
    """One buffer for each tensor that a section loads or stores, in order of first use.

    `blocks[i]` is the block of `sections[i]`. Weights and caches of a repeated block exist once per repeat; tensors
    that pass from one repeat to the next live from the block's first section to its last, and so do those that come
    from outside: every repeat reads them.
    """
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    moved: dict[str, int] = {}
    repeats: dict[str, int] = {}
    span = _spans(blocks)
    for index, (section, block) in enumerate(zip(sections, blocks, strict=True)):
        for stream in (*section.loads, *section.stores):
            name = stream.buffer
            lasts = block.repeats > 1 and (_passes_on(name, block) or graph.producer.get(name) not in block.operators)
            start, end = span[block.name] if lasts else (index, index)
            first[name] = min(first.get(name, start), start)
            last[name] = max(last.get(name, end), end)
            moved[name] = moved.get(name, 0) + stream.bytes * section.repeats
            if graph.tensors[name].role in OWN_PER_REPEAT:
                repeats[name] = max(repeats.get(name, 1), block.repeats)
    return tuple(
        Buffer(
            name=name,
            size=Bytes(int(graph.tensors[name].bytes) * repeats.get(name, 1)),
            role=graph.tensors[name].role.value,
            first_use=0 if graph.tensors[name].role is Role.INPUT else first[name],
            last_use=len(sections) - 1 if graph.tensors[name].role is Role.OUTPUT else last[name],
            transfer_bytes=Bytes(moved[name]),
            resident=graph.tensors[name].role in KEPT_ALL_ALONG,
        )
        for name in first
    )


def resident_bytes(graph: OperatorGraph) -> int:
    """Bytes of everything that stays in memory through a run: weights, constants, caches."""
    repeats = {
        operand.tensor: block.repeats
        for block in graph.blocks
        for name in block.operators
        for operand in (*graph.by_name[name].inputs, *graph.by_name[name].outputs)
        if graph.tensors[operand.tensor].role in OWN_PER_REPEAT
    }
    return sum(
        int(tensor.bytes) * repeats.get(name, 1)
        for name, tensor in graph.tensors.items()
        if tensor.role in KEPT_ALL_ALONG
    )


def _passes_on(tensor: str, block: Block) -> bool:
    return tensor in block.carried or tensor in block.carried.values()


def _spans(blocks: Sequence[Block]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for index, block in enumerate(blocks):
        start, _ = found.get(block.name, (index, index))
        found[block.name] = (start, index)
    return found
