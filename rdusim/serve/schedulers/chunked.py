"""Chunked prefill (Sarathi): every step decodes the whole batch and takes a piece of the next prompts with it."""

from __future__ import annotations

from math import inf

from rdusim.serve.node import Node


def turn(node: Node, until: float) -> float:
    """One mixed step, or a leap of decode steps while no prompt is under way. Gives the time of the next turn."""
    node.ingest()
    _admit(node)
    if node.chunking:
        _mixed(node, until)
    elif node.running:
        node.leap(min(until, _next_chance(node)))
    else:
        return node.next_arrival()
    node.look()
    return node.now


def _admit(node: Node) -> None:
    """Waiting requests start while there is room for their sequences and this step's tokens are not used up."""
    options = node.options
    if not node.waiting:
        return
    if not node.running and not node.chunking:
        node.activate(node.oldest())
    elif not node.open_to(node.expert):
        return
    queue = node.queues.get(node.expert)
    under_way = sum(node.tokens_of(request) - done for request, done in node.chunking.items())
    while queue and len(node.running) + len(node.chunking) < options.max_batch:
        if under_way >= options.chunk_tokens - len(node.running) or not node.reserve(queue[0]):
            return
        request = queue.popleft()
        node.waiting -= 1
        node.schedule(request)
        node.chunking[request] = 0
        under_way += node.tokens_of(request)


def _mixed(node: Node, until: float) -> None:
    """One step: the batch's next tokens, and as many prompt tokens as the budget leaves.

    Equation: docs/model.md, "Mixed steps".
    """
    begin = node.now
    pieces = _pieces(node)
    spent = sum(_piece(node, node.chunking[request], piece) for request, piece in pieces)
    if not node.running or not node.leap(until, _beside(node, spent), single=True):
        node.spend(spent)
    for request, piece in pieces:
        node.chunking[request] += piece
        node.record.compute[request] += node.now - begin
        if node.chunking[request] == node.tokens_of(request):
            del node.chunking[request]
            node.join(request)


def _pieces(node: Node) -> list[tuple[int, int]]:
    """Prompts in their order, and how many tokens of each this step takes."""
    budget = node.options.chunk_tokens - len(node.running)
    pieces = []
    for request, done in node.chunking.items():
        piece = min(budget, node.tokens_of(request) - done)
        if piece <= 0:
            break
        pieces.append((request, piece))
        budget -= piece
    return pieces


def _beside(node: Node, spent: float) -> float:
    """What pieces of prompts add to a decode step: weights are read once for both, and neither is faster than alone."""
    batch = len(node.running)
    alone = node.costs.decode(node.shape, 1, 0.0)
    step = node.costs.decode(node.shape, batch, node.context / batch)
    return max(spent - min(alone, step), 0.0)


def _piece(node: Node, done: int, piece: int) -> float:
    """What a further piece of a prompt adds: pieces sum to the prefill of the whole."""
    before = node.costs.prefill(node.shape, 1, done) if done else 0.0
    return max(node.costs.prefill(node.shape, 1, done + piece) - before, 0.0)


def _next_chance(node: Node) -> float:
    if len(node.running) >= node.options.max_batch or node.expert in node.queues:
        return inf
    return node.next_arrival()
