"""Iteration-level batches (Orca, vLLM): sequences join after a prefill, leave when done; prompts stop decodes."""

from __future__ import annotations

from math import inf

from rdusim.serve.node import Node


def turn(node: Node, until: float) -> float:
    """One prefill of waiting prompts, or a leap of decode steps. Gives the time of the next turn."""
    node.ingest()
    if node.waiting and (chosen := _admitted(node)):
        _prefill(node, chosen)
    elif node.running:
        node.leap(min(until, _next_chance(node)))
    else:
        return node.next_arrival()
    node.look()
    return node.now


def _admitted(node: Node) -> list[int]:
    """Waiting requests of one expert that there is room for, in their order."""
    options = node.options
    if node.running:
        if options.decode_first or len(node.running) >= options.max_batch or not node.open_to(node.expert):
            return []
    else:
        node.activate(node.oldest())
    chosen: list[int] = []
    queue, tokens = node.queues.get(node.expert), 0
    room = options.max_batch - len(node.running)
    while queue and len(chosen) < room:
        request = queue[0]
        tokens += node.tokens_of(request)
        if chosen and tokens > options.prefill_tokens:
            break
        if not node.reserve(request):
            break
        chosen.append(queue.popleft())
        node.waiting -= 1
        node.schedule(request)
    return chosen


def _prefill(node: Node, chosen: list[int]) -> None:
    """Prompts of unlike lengths are packed, not padded: as many of the mean length."""
    mean = -(-sum(node.tokens_of(request) for request in chosen) // len(chosen))
    spent = node.costs.prefill(node.shape, len(chosen), mean)
    node.spend(spent)
    for request in chosen:
        node.record.compute[request] += spent
        node.join(request)


def _next_chance(node: Node) -> float:
    """When something may join the running batch: with an arrival, if nobody waits already and a place is free."""
    if node.options.decode_first or len(node.running) >= node.options.max_batch or node.expert in node.queues:
        return inf
    return node.next_arrival()
