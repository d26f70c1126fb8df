"""What a page about a run shows of its programs: floorplans of the sections that take most time, and memory maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from shlex import join
from typing import TYPE_CHECKING, Final

from rdusim.pipeline.request import AUTO, GENERATE, RunRequest
from rdusim.pipeline.speculative import checked_shape, drafted_context
from rdusim.pipeline.stages import Cache, Observe, Stages
from rdusim.program.types import Parallelism
from rdusim.report.floorplan import floorplan
from rdusim.report.memory_map import memory_map
from rdusim.report.render import asked
from rdusim.report.run_page import Picture
from rdusim.units import show

if TYPE_CHECKING:
    from rdusim.graph.types import RunShape
    from rdusim.report.types import Report

MOST_PLANS: Final = 5  # floorplans: each is more than a hundred kilobytes
MOST_MAPS: Final = 4
_ROOM: Final = 900_000  # bytes of all floorplans: a larger machine has larger ones
_LEAST: Final = 0.005  # of the time, of a section that is drawn beside the first


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ran:
    """A program of a run; `times`: how often it runs. `name` stands before the names of its sections."""

    name: str
    stages: Stages
    shape: RunShape
    part: int
    times: float

    @property
    def seconds(self) -> float:
        trace = self.stages.trace(self.shape, self.part)
        return self.times * trace.cycles / trace.clock


def pictures(
    request: RunRequest, report: Report, *, cache: Cache, observe: Observe
) -> tuple[tuple[Picture, ...], tuple[Picture, ...]]:
    """Floorplans and memory maps, most time first. With the cache that the report was made with, nothing runs twice."""
    stages = Stages(_planned(request, report), cache=cache, observe=observe)
    programs = sorted(_programs(stages), key=lambda ran: -ran.seconds)
    said = asked(report.setting)
    total = sum(ran.seconds for ran in programs)
    observe("drawing")
    return tuple(_plans(programs, total, said)), tuple(_map(ran, total, said) for ran in programs[:MOST_MAPS])


def command_of(verb: str, request: RunRequest, *more: str) -> str:
    """The command line that asks for this: what is not as it is by default, and `more` behind."""
    words = ["rdusim", verb, request.model]
    for each in fields(RunRequest):
        value = getattr(request, each.name)
        if each.name in ("model", "compiled_overrides") or value == each.default:  # what the command line cannot say
            continue
        flag = "--set" if each.name == "overrides" else f"--{each.name.replace('_', '-')}"
        if isinstance(value, bool):
            words.append(flag)
        elif isinstance(value, tuple):
            words += [word for item in value for word in (flag, item)]
        else:
            words += [flag, f"{value:g}" if isinstance(value, float) else str(value)]
    return join([*words, *more])


def _planned(request: RunRequest, report: Report) -> RunRequest:
    """Of `--parallel auto`, the plan that was chosen."""
    if (request.parallel or "").strip() != AUTO:
        return request
    ways = Parallelism(**report.setting.parallelism)
    return replace(request, parallel=",".join(f"{each.name}={getattr(ways, each.name)}" for each in fields(ways)))


def _programs(stages: Stages) -> Iterator[_Ran]:
    plan = stages.plan
    if plan.phase != GENERATE:
        yield from _step(stages, plan.context, "", 1.0) if plan.context else _parts(stages, stages.shape(), "", 1.0)
        return
    yield from _parts(stages, plan.prefill(), "prefill/", 1.0)
    if steps := plan.steps():
        yield from _step(stages, steps[-1], "decode/", float(len(steps)))


def _step(stages: Stages, context: int, name: str, times: float) -> Iterator[_Ran]:
    """A decode step; of speculative decoding, what checks a round and what drafts it."""
    if not stages.plan.draft_length:
        yield from _parts(stages, stages.plan.decode(context), name, times)
        return
    yield from _parts(stages, checked_shape(stages, context), f"{name}verify/", times)
    draft = stages.draft
    shape = draft.plan.decode(drafted_context(stages, context))
    yield from _parts(draft, shape, f"{name}draft/", times * stages.plan.draft_length)


def _parts(stages: Stages, shape: RunShape, name: str, times: float) -> Iterator[_Ran]:
    """Programs that are alike once."""
    parts = stages.parts(shape)
    for number, part in enumerate(parts):
        if parts.index(part) == number:
            here = f"{name}part {number}/" if len(parts) > 1 else name
            yield _Ran(name=here, stages=stages, shape=shape, part=number, times=times)


def _plans(programs: Sequence[_Ran], total: float, said: str) -> Iterator[Picture]:
    found = [(ran, name, ran.times * seconds) for ran in programs for name, seconds in _section_seconds(ran).items()]
    found.sort(key=lambda each: -each[2])
    size = 0
    for number, (ran, name, seconds) in enumerate(found[:MOST_PLANS]):
        if number and seconds < _LEAST * total:
            return
        mapping, trace = ran.stages.mapping(ran.shape, ran.part), ran.stages.trace(ran.shape, ran.part)
        mapped = next(each for each in mapping.sections if each.section.name == name)
        timing = next(each for each in trace.sections if each.name == name)
        title = f"{ran.name}{mapping.program.name}"
        drawn = floorplan(mapped, ran.stages.arch, title=title, asked=said, timing=timing, brief=True)
        size += len(drawn)
        if number and size > _ROOM:
            return
        yield Picture(name=f"{ran.name}{name}", said=_share(seconds, total), svg=drawn)


def _section_seconds(ran: _Ran) -> dict[str, float]:
    """A section whose later repeats differ has several timings."""
    trace = ran.stages.trace(ran.shape, ran.part)
    found: dict[str, float] = {}
    for timing in trace.sections:
        found[timing.name] = found.get(timing.name, 0.0) + timing.cycles / trace.clock
    return found


def _map(ran: _Ran, total: float, said: str) -> Picture:
    mapping, trace = ran.stages.mapping(ran.shape, ran.part), ran.stages.trace(ran.shape, ran.part)
    name = f"{ran.name}{mapping.program.name}"
    drawn = memory_map(mapping, ran.stages.arch, title=name, asked=said, trace=trace)
    return Picture(name=name, said=_share(ran.seconds, total), svg=drawn)


def _share(seconds: float, total: float) -> str:
    return f"{show(seconds, 'time')}, {show(seconds / total, 'share')}"
