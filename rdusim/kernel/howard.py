"""The pace of a timed event graph in the long run: the maximum cycle mean, by Howard's policy iteration.

In the long run a firing of v takes rate_v, the largest of delay / tokens over the circuits from which v can be reached
(Baccelli et al. 1992, th. 3.28). Policy iteration after Cochet-Terrasson, Cohen, Gaubert, Mc Gettrick, Quadrat:
"Numerical computation of spectral elements in max-plus algebra" (IFAC 1998), the form for several components.
"""

from __future__ import annotations

from dataclasses import dataclass

from rdusim.kernel.maxplus import EventGraph, arcs_into, firing_order

# Relative to the largest delay: below it an improvement is rounding, and chasing rounding need not end.
_EPSILON = 1e-12

# Tens of rounds are usual. Where circuits differ by no more than rounding it may swap them for ever: any one will do.
_ROUNDS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleMean:
    """Cycles per firing of the slowest circuit, its arcs in order (none: no circuit), and the pace of every event."""

    mean: float
    arcs: tuple[int, ...]
    rates: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arc:
    """An arc as the iteration reads it; index -1 is the loop given to an event that waits for nobody."""

    source: int
    delay: float
    tokens: int
    index: int


def cycle_mean(graph: EventGraph) -> CycleMean:
    """Maximum cycle mean (delay / tokens) and a critical circuit. Raises DeadlockError on a circuit without tokens."""
    firing_order(graph)
    if not graph.source:
        return CycleMean(mean=0.0, arcs=(), rates=(0.0,) * len(graph.names))
    choices = _choices(graph)
    policy = [max(arcs, key=lambda arc: arc.delay) for arcs in choices]
    rates, potentials = [0.0] * len(policy), [0.0] * len(policy)
    epsilon = _EPSILON * max(1e-300, *graph.delay) * (1 + len(policy))
    for _ in range(_ROUNDS):
        _evaluate(policy, rates, potentials)
        if not _improve_rates(policy, choices, rates, epsilon) and not _improve_potentials(
            policy, choices, rates, potentials, epsilon
        ):
            break
    mean = max(rates)
    circuit = _circuit(policy, rates.index(mean))
    arcs = tuple(policy[event].index for event in reversed(circuit))
    return CycleMean(mean=mean, arcs=() if -1 in arcs else arcs, rates=tuple(rates))


def _choices(graph: EventGraph) -> list[list[_Arc]]:
    """By event, what it may wait for. Who waits for nobody is always on time: a loop of mean 0, below which none is."""
    return [
        [_Arc(source=graph.source[arc], delay=graph.delay[arc], tokens=graph.tokens[arc], index=arc) for arc in arcs]
        or [_Arc(source=event, delay=0.0, tokens=1, index=-1)]
        for event, arcs in enumerate(arcs_into(graph, horizon=max(graph.tokens) + 1))
    ]


def _evaluate(policy: list[_Arc], rates: list[float], potentials: list[float]) -> None:
    """Rate and potential of every event if each waits only for its policy's arc; every walk then ends in a circuit."""
    state = [0] * len(policy)  # 0: not seen, 1: on this walk, 2: known
    for start in range(len(policy)):
        walk, event = [], start
        while not state[event]:
            state[event] = 1
            walk.append(event)
            event = policy[event].source
        if state[event] == 1:
            circuit = [policy[at] for at in walk[walk.index(event) :]]
            rates[event] = sum(arc.delay for arc in circuit) / sum(arc.tokens for arc in circuit)
            # Potentials of a circuit are free up to a constant: one event keeps its own, so that iterations only rise.
            walk.remove(event)
            state[event] = 2
        for at in reversed(walk):
            arc = policy[at]
            rates[at] = rates[arc.source]
            potentials[at] = potentials[arc.source] + arc.delay - rates[at] * arc.tokens
            state[at] = 2


def _improve_rates(policy: list[_Arc], choices: list[list[_Arc]], rates: list[float], epsilon: float) -> bool:
    """Wait for a slower source where there is one; says whether there was."""
    changed = False
    for event, arcs in enumerate(choices):
        best = rates[event] + epsilon
        for arc in arcs:
            if rates[arc.source] > best:
                best, policy[event], changed = rates[arc.source], arc, True
    return changed


def _improve_potentials(
    policy: list[_Arc], choices: list[list[_Arc]], rates: list[float], potentials: list[float], epsilon: float
) -> bool:
    """Among sources of the same rate, wait for the one that is later; says whether there was one."""
    changed = False
    for event, arcs in enumerate(choices):
        rate, best = rates[event], potentials[event] + epsilon
        for arc in arcs:
            source = arc.source
            if rates[source] >= rate - epsilon:
                potential = potentials[source] + arc.delay - rate * arc.tokens
                if potential > best:
                    best, policy[event], changed = potential, arc, True
    return changed


def _circuit(policy: list[_Arc], event: int) -> list[int]:
    """Events of the circuit that the policy's walk from `event` ends in, each waiting for the next."""
    walk: list[int] = []
    while event not in walk:
        walk.append(event)
        event = policy[event].source
    return walk[walk.index(event) :]
