"""The verb of the event kernel: run an actor net to its end, compiled where that pays, or say who is stuck."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Final

import numpy as np

from rdusim.errors import DeadlockError, Problem
from rdusim.kernel.actors import ActorNet, Floats, Ints, NetArrays, arrays
from rdusim.kernel.event_loop import loop

# Firings below which interpreted Python is quicker than importing numba (measured: docs/design.md).
WORTH_COMPILING: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Firings:
    """Columns over all firings, those of actor a from `first[a]` on; times in cycles. See `event_loop.loop`.

    `cause`: channel whose tokens came last, -1 if the actor itself was busy until then. `slowed`: use (numbered through
    all actors' shared uses) of a shared resource that ended after the service did, -1 for none.
    """

    first: Ints
    start: Floats
    end: Floats
    ready: Floats
    cause: Ints
    slowed: Ints
    events: int


def fire(net: ActorNet, *, compiled: bool | None = None) -> Firings:
    """Run `net`. `compiled` None: by numba if it is installed and there is enough to do.

    Raises DeadlockError naming the actors and channels that wait for each other.
    """
    columns = arrays(net)
    total = int(columns.firings.sum())
    function = None
    if compiled or (compiled is None and total >= WORTH_COMPILING):
        function = _compiled()
    state = _state(columns, total)
    given = {each.name: getattr(columns, each.name) for each in fields(columns)}
    for name in ("initial", "resources", "exclusives"):
        del given[name]
    if function is not None:
        events = function(*given.values(), *state.values())
        results: dict[str, Any] = state
    else:
        plain = {name: column.tolist() for name, column in (given | state).items()}
        events = loop(*plain.values())
        results = {name: np.array(plain[name], dtype=column.dtype) for name, column in state.items()}
    if stuck := np.flatnonzero(results["fired"] < columns.firings).tolist():
        raise deadlock(net, columns, results["fired"], results["count"], stuck)
    return Firings(
        first=columns.first,
        events=int(events),
        **{name: results[name] for name in ("start", "end", "ready", "cause", "slowed")},
    )


def deadlock(net: ActorNet, columns: NetArrays, fired: Ints, count: Ints, stuck: list[int]) -> DeadlockError:
    """Follow from one that waits to the one it waits for, until somebody comes up again."""
    waits: dict[int, int] = {}  # actor -> channel that lacks tokens
    for actor in stuck:
        for number in columns.inputs[columns.input_first[actor] : columns.input_first[actor + 1]].tolist():
            if count[number] < columns.need[number] * (fired[actor] // columns.need_block[number] + 1):
                waits.setdefault(actor, number)
    seen: list[int] = []
    at = stuck[0]
    while at not in seen and at in waits:
        seen.append(at)
        at = net.channels[waits[at]].source
    circle = seen[seen.index(at) :] if at in seen else seen
    said = "; ".join(
        f"{net.actors[actor].name} (tile {int(fired[actor])}) waits for {net.channels[waits[actor]].name}"
        for actor in circle
    )
    return DeadlockError(
        Problem(
            message=f"nothing can move any more: {said}",
            hint="give a buffer of this circle more depth (2 is double-buffered)",
        )
    )


def _state(columns: NetArrays, total: int) -> dict[str, Any]:
    """What the loop works on and fills, in the order of its parameters."""
    actors, channels = columns.firings.size, columns.source.size
    room = actors + channels + columns.exclusives
    ints, floats = np.int64, np.float64
    return {
        "count": columns.initial.copy(),
        "fired": np.zeros(actors, ints),
        "busy": np.zeros(actors, ints),
        "waits": np.zeros(actors, ints),
        "given": np.zeros(channels, ints),
        "come": np.zeros(channels, ints),
        "free": np.zeros(columns.resources, floats),
        "taken": np.zeros(columns.exclusives, ints),
        "turned": np.zeros(columns.resources, floats),
        "todo": np.zeros(actors + 1, ints),
        "heap_time": np.zeros(room + 1, floats),
        "heap_order": np.zeros(room + 1, ints),
        "heap_event": np.zeros(room + 1, ints),
        "start": np.zeros(total, floats),
        "end": np.zeros(total, floats),
        "ready": np.zeros(total, floats),
        "cause": np.full(total, -1, ints),
        "slowed": np.full(total, -1, ints),
    }


@cache
def _compiled() -> Callable[..., int] | None:
    """The loop as machine code, kept on disk between runs; None without numba (the extra `fast`)."""
    try:
        from numba import njit
    except ImportError:
        return None
    compiled: Callable[..., int] = njit(cache=True, nogil=True)(loop)
    return compiled
