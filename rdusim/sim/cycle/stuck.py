"""Nothing can move any more: which stages and buffers wait for each other."""

from __future__ import annotations

from rdusim.errors import DeadlockError, Problem
from rdusim.program.types import Section
from rdusim.sim.cycle.buffers import Buffer
from rdusim.sim.cycle.fabric import Fabric
from rdusim.sim.trace import Reason


def stuck(fabric: Fabric, section: Section) -> DeadlockError:
    """What every stage that is not done waits for, and the circle in it."""
    waits = _waits(fabric, section)
    lines = [
        f"stage {stage!r} waits for {what} {buffer!r}{_state(fabric, buffer)}, which is up to {other!r}"
        for stage, (what, buffer, other) in waits.items()
    ]
    circle = _circle({stage: other for stage, (_, _, other) in waits.items()})
    names = " -> ".join(repr(stage) for stage in circle) or "no stage"
    return DeadlockError(
        Problem(
            message=f"nothing moves any more after {fabric.clock.now:,} cycles: {names} wait for each other; "
            + "; ".join(lines),
            field=f"section {section.name!r}",
            hint="give the buffers of these stages more depth",
        )
    )


def _waits(fabric: Fabric, section: Section) -> dict[str, tuple[str, str, str]]:
    """By stage: input or place, the buffer, and the stage on the other side of it."""
    ends = {stream.name: (stream.source, stream.target) for stream in section.streams}
    found = {}
    for name, stage in fabric.stages.items():
        waiting = next((unit.wait for unit in stage.units if unit.wait is not None and not unit.active), None)
        if stage.finished or waiting is None:
            continue
        reason, buffer = waiting
        if reason is Reason.CREDIT:
            found[name] = ("a place in", buffer, ends.get(buffer, (name, "memory"))[1])
        else:
            found[name] = ("a tile of", buffer, ends.get(buffer, ("memory", name))[0])
    return found


def _state(fabric: Fabric, name: str) -> str:
    buffer = fabric.buffers.get(name)
    return f" ({buffer.full - buffer.freed} of {buffer.depth} places taken)" if isinstance(buffer, Buffer) else ""


def _circle(waits: dict[str, str]) -> list[str]:
    """Stages that wait for each other in a circle, the first one again at the end; empty if there is none."""
    for start in waits:
        path = [start]
        while (following := waits.get(path[-1])) is not None:
            if following in path:
                return [*path[path.index(following) :], following]
            path.append(following)
    return []
