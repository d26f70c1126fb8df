"""Static batches, as on the RDU: padded to the shapes that graphs were compiled for, run to the longest output."""

from __future__ import annotations

from bisect import bisect_left
from itertools import islice

from rdusim.serve.kv_cache import NEAR
from rdusim.serve.node import Node


def turn(node: Node, until: float) -> float:
    """Wait until the batch is full or its oldest request has waited long enough; then run all of it."""
    node.ingest()
    if not node.waiting:
        return node.next_arrival()
    expert = node.oldest()
    queue = node.queue_of(expert)
    largest = node.options.batches[-1] if node.options.batches else node.options.max_batch
    deadline = node.record.arrival[queue[0]] + node.options.timeout
    if len(queue) < largest and node.now < deadline:
        return min(deadline, node.next_arrival())
    node.activate(expert)
    _run(node, min(len(queue), largest))
    node.look()
    return node.now


def _run(node: Node, size: int) -> None:
    """Equation: docs/model.md, "Static batches"."""
    record, chosen = node.record, _taken(node, size)
    if not chosen:
        return
    batch, tokens, outputs = _padded_shape(node, chosen)
    for request in chosen:
        node.schedule(request)
    prefill = node.costs.prefill(node.shape, batch, tokens)
    line = node.costs.decode_line(node.shape, batch)
    first = node.now + prefill
    for request in chosen:
        steps = record.output[request] - 1
        spent = line.total(tokens, steps) if steps else 0.0
        record.first[request] = first
        record.compute[request] = prefill + spent
        record.worst[request] = line.most(tokens, steps) if steps else 0.0
        node.finish_at(request, first + spent)
    node.look_at(len(chosen), _blocks(node, batch, tokens, outputs))
    node.spend(prefill + (line.total(tokens, outputs - 1) if outputs > 1 else 0.0))


def _taken(node: Node, size: int) -> list[int]:
    """The first of the queue, as many as near memory holds at their padded shape; one that never fits is refused."""
    queue = node.queue_of(node.expert)
    while size:
        chosen = list(islice(queue, size))
        if node.kv is None or _blocks(node, *_padded_shape(node, chosen)) <= node.kv.tiers[NEAR].total:
            break
        size -= 1
    else:
        node.refuse(queue[0])
        chosen, size = [], 1
    for _ in range(size):
        queue.popleft()
    node.waiting -= size
    node.forget_empty(node.expert)
    return chosen


def _padded_shape(node: Node, chosen: list[int]) -> tuple[int, int, int]:
    """Compiled batch, compiled prompt, and the longest output."""
    record, options = node.record, node.options
    tokens = _padded(max(record.prompt[request] for request in chosen), options.prompts)
    return _padded(len(chosen), options.batches), tokens, max(record.output[request] for request in chosen)


def _padded(size: int, compiled: tuple[int, ...]) -> int:
    return compiled[bisect_left(compiled, size)] if compiled else size


def _blocks(node: Node, batch: int, tokens: int, outputs: int) -> int:
    return batch * node.kv.blocks(tokens + outputs - 1) if node.kv is not None else 0
