"""Do the depths of a section's streams let it end? Tiles and places are counted, time is left out.

The event graph of `steady` sees a circle without places where all stages fire equally often. Where they do not, a
stage may need more tiles at once than a buffer on another way holds: only counting shows that.
"""

from __future__ import annotations

from rdusim.errors import DeadlockError, Problem
from rdusim.program.types import Section, Stage, Stream


def check_credits(section: Section) -> None:
    """Raises DeadlockError naming the stages and buffers that wait for each other."""
    if len({stage.tiles for stage in section.stages}) < 2:
        return
    fired = dict.fromkeys((stage.name for stage in section.stages), 0)
    stages = {stage.name: stage for stage in section.stages}
    moved = True
    while moved:
        moved = False
        for stage in section.stages:
            limits = [_fed(fired[stream.source], stages[stream.source], stage) for stream in _into(section, stage)]
            limits += [
                _room(fired[stream.target], stage, stages[stream.target], stream) for stream in _out(section, stage)
            ]
            possible = min([stage.tiles, *limits])
            if possible > fired[stage.name]:
                fired[stage.name], moved = possible, True
    stuck = [stage for stage in section.stages if fired[stage.name] < stage.tiles]
    if stuck:
        raise DeadlockError(
            Problem(message=_said(section, stages, fired, stuck), hint="deepen a buffer of this circle")
        )


def _into(section: Section, stage: Stage) -> list[Stream]:
    return [stream for stream in section.streams if stream.target == stage.name]


def _out(section: Section, stage: Stage) -> list[Stream]:
    return [stream for stream in section.streams if stream.source == stage.name and not stream.resident]


def _fed(made: int, source: Stage, target: Stage) -> int:
    """Firings of `target` that the first `made` firings of `source` allow: all that belong to whole parts."""
    return made * target.tiles // source.tiles


def _room(read: int, source: Stage, target: Stage, stream: Stream) -> int:
    """Firings of `source` that have a place once `target` has fired `read` times."""
    return read * source.tiles // target.tiles + stream.depth * max(1, source.tiles // stream.tiles)


def _said(section: Section, stages: dict[str, Stage], fired: dict[str, int], stuck: list[Stage]) -> str:
    """From one that waits to the one it waits for, until somebody comes up again."""
    seen: dict[str, str] = {}
    at = stuck[0]
    while at.name not in seen:
        lacking = [
            (f"a tile of {stream.name}", stream.source)
            for stream in _into(section, at)
            if _fed(fired[stream.source], stages[stream.source], at) <= fired[at.name]
        ]
        lacking += [
            (f"a place in {stream.name}", stream.target)
            for stream in _out(section, at)
            if _room(fired[stream.target], at, stages[stream.target], stream) <= fired[at.name]
        ]
        if not lacking:
            break
        what, who = lacking[0]
        seen[at.name] = f"{at.name} (tile {fired[at.name]}) waits for {what}"
        at = stages[who]
    return f"section {section.name!r}: nothing can move any more: {'; '.join(seen.values())}"
