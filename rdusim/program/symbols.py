"""The symbols of a program in off-chip memory: how large, how long alive, how much traffic."""

from __future__ import annotations

from collections.abc import Sequence

from rdusim.graph.types import OWN_PER_REPEAT, Block, OperatorGraph, Role
from rdusim.program.types import Buffer, Section
from rdusim.units import Bytes

KEPT_ALL_ALONG = (Role.WEIGHT, Role.CONSTANT, Role.KV_CACHE, Role.OPTIMIZER)
ROOM_TAKEN = (*KEPT_ALL_ALONG, Role.SAVED, Role.GRADIENT)  # most of a training step


def symbols(graph: OperatorGraph, sections: Sequence[Section], blocks: Sequence[Block]) -> tuple[Buffer, ...]:
    """One buffer for each tensor that a section loads or stores, in order of first use.

    `blocks[i]` is the block of `sections[i]`. Weights and caches of a repeated block exist once per repeat; tensors
    that pass from one repeat to the next live from the block's first section to its last, and so do those that come
    from outside: every repeat reads them. What is saved for the backward pass is there once per repeat too.
    """
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    moved: dict[str, int] = {}
    repeats: dict[str, int] = {}
    span = _spans(blocks)
    for index, (section, block) in enumerate(zip(sections, blocks, strict=True)):
        for stream in (*section.loads, *section.stores):
            name = stream.buffer
            kept = graph.tensors[name].role in OWN_PER_REPEAT or _passes_on(name, block)
            lasts = block.repeats > 1 and (kept or graph.producer.get(name) not in block.operators)
            start, end = span[block.name] if lasts else (index, index)
            first[name] = min(first.get(name, start), start)
            last[name] = max(last.get(name, end), end)
            moved[name] = moved.get(name, 0) + stream.bytes * section.repeats
            if graph.tensors[name].role in OWN_PER_REPEAT:
                repeats[name] = max(repeats.get(name, 1), block.repeats)
    turns = _taking_turns(sections, blocks)
    return tuple(
        Buffer(
            name=name,
            size=Bytes(int(graph.tensors[name].bytes) * (2 if name in turns else repeats.get(name, 1))),
            role=graph.tensors[name].role.value,
            first_use=0 if graph.tensors[name].role is Role.INPUT else first[name],
            last_use=len(sections) - 1 if graph.tensors[name].role is Role.OUTPUT else last[name],
            transfer_bytes=Bytes(moved[name]),
            resident=graph.tensors[name].role in KEPT_ALL_ALONG,
            repeats=repeats.get(name, 1),
        )
        for name in first
    )


def resident_bytes(graph: OperatorGraph) -> int:
    """Bytes of what stays in memory through a run, or most of it: weights, constants, caches; state, what is saved."""
    repeats = {
        operand.tensor: block.repeats
        for block in graph.blocks
        for name in block.operators
        for operand in (*graph.by_name[name].inputs, *graph.by_name[name].outputs)
        if graph.tensors[operand.tensor].role in OWN_PER_REPEAT
    }
    updated = {tensor for block in graph.blocks for tensor in block.updated}  # in the place of what it updates
    return sum(
        int(tensor.bytes) * repeats.get(name, 1)
        for name, tensor in graph.tensors.items()
        if tensor.role in ROOM_TAKEN and name not in updated
    )


def _taking_turns(sections: Sequence[Section], blocks: Sequence[Block]) -> set[str]:
    """What is stored for the next repeat while a later section still reads what the last repeat has left: two copies.

    So it is with the gradient of a layer's output, which the gradient of its weights needs last of all.
    """
    stored: dict[str, int] = {}
    read: dict[str, int] = {}
    for index, (section, block) in enumerate(zip(sections, blocks, strict=True)):
        for stream in section.stores:
            stored.setdefault(stream.buffer, index)
        for stream in section.loads:
            if stream.buffer in block.carried.values():
                read[stream.buffer] = index
    carried = {pair for block in blocks if block.repeats > 1 for pair in block.carried.items()}
    return {out for out, into in carried if read.get(into, -1) > stored.get(out, len(sections))}


def _passes_on(tensor: str, block: Block) -> bool:
    return tensor in block.carried or tensor in block.carried.values()


def _spans(blocks: Sequence[Block]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for index, block in enumerate(blocks):
        start, _ = found.get(block.name, (index, index))
        found[block.name] = (start, index)
    return found
