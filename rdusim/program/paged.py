"""KV caches in blocks of tokens that lie anywhere, found by a table (vLLM, arXiv 2309.06180).

Against a cache in one piece: capacity is whole blocks, reads gather blocks, and there is a table. docs/model.md,
"KV caches".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Final

from rdusim.graph.types import OperatorGraph, Role
from rdusim.program.types import Buffer, MemoryStream, Program, Section
from rdusim.units import Bytes

ENTRY: Final = 4  # bytes of the number of a block in the table
TABLE: Final = "kv_cache.table"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cache:
    """`tokens` of a sequence that a tensor holds, of `total` that its cache holds after this run."""

    tokens: int
    total: int


def paged(program: Program, graph: OperatorGraph, *, query_tokens: int, block: int) -> Program:
    """`program` with every KV cache in blocks of `block` tokens. `query_tokens`: what a sequence adds to its cache.

    With a past, what is added lies in the blocks of the past; the rounding is counted there.
    """
    ways = program.parallelism.sp
    caches = {
        name: _Cache(tokens=ceil(each.tokens / ways), total=ceil(each.total / ways))
        for name, each in _caches(graph, query_tokens).items()
    }
    sizes = {buffer.name: buffer for buffer in program.buffers}
    entries = {
        name: _block_bytes(sizes[name], cache, program.batch // program.parallelism.dp, block)
        for name, cache in caches.items()
        if name in sizes
    }
    buffers = [_rounded(buffer, caches.get(buffer.name), block) for buffer in program.buffers]
    if entries:
        buffers.append(_table(program, {caches[name].total for name in entries}, block))
    return replace(
        program,
        buffers=tuple(buffers),
        sections=tuple(_gathering(section, entries) for section in program.sections),
    )


def _caches(graph: OperatorGraph, query_tokens: int) -> dict[str, _Cache]:
    """Tensors of the KV cache; what has a past is told by the operator that appends to it."""
    found: dict[str, _Cache] = {}
    for operator in graph.operators:
        label = operator.attributes.get("concat")
        if operator.kind == "kv_append" and isinstance(label, str):
            axis = operator.outputs[0].dims.index(label)
            total = graph.tensors[operator.outputs[0].tensor].shape[axis]
            for operand in operator.inputs:
                tokens = graph.tensors[operand.tensor].shape[axis]
                found[operand.tensor] = _Cache(tokens=tokens, total=total)
    for name, tensor in graph.tensors.items():
        if tensor.role is Role.KV_CACHE:
            found.setdefault(name, _Cache(tokens=query_tokens, total=query_tokens))
    return {name: cache for name, cache in found.items() if graph.tensors[name].role is Role.KV_CACHE}


def _blocks(cache: _Cache, block: int) -> int:
    return ceil(cache.total / block)


def _rounded(buffer: Buffer, cache: _Cache | None, block: int) -> Buffer:
    """What a sequence has in whole blocks, but for what it adds now, if that lies in them too."""
    if cache is None or buffer.role != Role.KV_CACHE:
        return buffer
    added = cache.total - cache.tokens
    if added > cache.tokens:  # the few tokens of this run: their place is counted with the past
        return buffer
    kept = _blocks(cache, block) * block - added
    part = ceil(buffer.size // max(1, buffer.repeats) * kept / cache.tokens)
    return replace(buffer, size=Bytes(part * buffer.repeats))


def _block_bytes(buffer: Buffer, cache: _Cache, sequences: int, block: int) -> int:
    """Bytes of one block of one layer: all heads of this socket."""
    return max(1, buffer.size // max(1, buffer.repeats) * block // max(1, cache.tokens * sequences))


def _gathering(section: Section, entries: Mapping[str, int]) -> Section:
    """Loads of caches read a block in a row, and the next one somewhere else."""

    def blocked(load: MemoryStream) -> MemoryStream:
        if load.buffer not in entries:
            return load
        return replace(load, gathered=True, contiguous=Bytes(max(1, min(load.contiguous, entries[load.buffer]))))

    return replace(section, loads=tuple(blocked(load) for load in section.loads))


def _table(program: Program, totals: set[int], block: int) -> Buffer:
    """A number for every block of every sequence; layers that cache equally many tokens share it."""
    sequences = ceil(program.batch / program.parallelism.dp)
    size = ENTRY * sequences * sum(ceil(total / block) for total in totals)
    readers = sum(section.repeats for section in program.sections if any(load.gathered for load in section.loads))
    return Buffer(
        name=TABLE,
        size=Bytes(size),
        role=Role.KV_CACHE.value,
        first_use=0,
        last_use=max(0, len(program.sections) - 1),
        transfer_bytes=Bytes(size * max(1, readers)),
        resident=True,
    )
