"""Runs side by side, and where the time of each differs from the first one's: every second has a cause and a part.

Seconds of a run are given to causes, and those sum to its total; so the differences of the causes sum to the difference
of the totals. A part is a section of an RDU, or a block of kernels of a GPU; parts of two runs are paired by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from rdusim.report.export import Json, to_json
from rdusim.report.export import as_json as report_json
from rdusim.report.types import Report, SectionUse
from rdusim.report.weighted import summed

RDU: Final = "rdu"
GPU: Final = "gpu"

# Resource that has a bound -> what time that it bounds is called.
_CAUSE_OF: Final[Mapping[str, str]] = {"pcu": "compute", "p2p": "collective"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An option, or a field of the machine, that a variant has otherwise than the first one; None is 'not said'."""

    option: str
    first: str | None
    here: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A section or a block of kernels, or several of one block together. Seconds are of all its executions.

    `launches`: kernels that were started. `breakdown_seconds` sums to `seconds`. `alone_seconds`: what each resource
    alone would need at least, under the name of the cause; a GPU's part has none.
    """

    name: str
    launches: int
    seconds: float
    breakdown_seconds: Mapping[str, float]
    alone_seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def bound(self) -> str:
        """The cause of most of the time."""
        return max(self.breakdown_seconds, key=lambda cause: self.breakdown_seconds[cause])

    @property
    def next(self) -> tuple[str, float] | None:
        """What bounds it once the bound is gone, and the share of the time it needs: the next resource, or cause."""
        known = self.alone_seconds or self.breakdown_seconds
        others = {cause: seconds for cause, seconds in known.items() if cause != self.bound and seconds > 0.0}
        if not others or not self.seconds:
            return None
        cause = max(others, key=lambda name: others[name])
        return cause, min(1.0, others[cause] / self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One run. `report`: of a GPU without sections and units, which it has not; `parts` are those of either kind."""

    name: str
    kind: str
    report: Report
    parts: tuple[Part, ...]
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseChange:
    """What a cause takes in the first run and here."""

    cause: str
    first_seconds: float
    seconds: float

    @property
    def change_seconds(self) -> float:
        return self.seconds - self.first_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class PartChange:
    """Parts of one name in the first run and here; None where a run has no such part. `causes`: largest first."""

    name: str
    first: Part | None
    here: Part | None
    causes: tuple[CauseChange, ...]

    @property
    def change_seconds(self) -> float:
        return (self.here.seconds if self.here else 0.0) - (self.first.seconds if self.first else 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Of a variant from the first. `ratio`: its time over the first one's. `causes` sum to `change_seconds`.

    `bound`, `first_bound`: the cause of most of the time. `parts`: largest change first. `fields`: of the
    machines, where both are RDUs, those that are not the same. `reasons`: all of it in words.
    """

    variant: str
    ratio: float
    change_seconds: float
    first_bound: str
    bound: str
    causes: tuple[CauseChange, ...]
    parts: tuple[PartChange, ...]
    fields: tuple[Change, ...] = ()
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`differences`: of every variant but the first, in order."""

    variants: tuple[Variant, ...]
    differences: tuple[Difference, ...]


def difference(first: Variant, here: Variant, fields: Sequence[Change] = ()) -> Difference:
    """Where the time goes that `here` takes longer, or no longer takes; without the reasons in words."""
    before, now = first.report, here.report
    return Difference(
        variant=here.name,
        ratio=now.latency.total_seconds / before.latency.total_seconds,
        change_seconds=now.latency.total_seconds - before.latency.total_seconds,
        first_bound=_most(before.breakdown_seconds),
        bound=_most(now.breakdown_seconds),
        causes=_causes(before.breakdown_seconds, now.breakdown_seconds),
        parts=_paired(first.parts, here.parts),
        fields=tuple(fields),
    )


def parts_of(sections: Sequence[SectionUse]) -> tuple[Part, ...]:
    """The parts of an RDU's run: its sections, those together that only later repeats tell apart (`decoder #2`)."""
    return _merged([(section.name.partition(" #")[0], _part(section)) for section in sections])


def _part(section: SectionUse) -> Part:
    alone = {
        _CAUSE_OF.get(resource, resource): section.repeats * seconds
        for resource, seconds in section.bound_seconds.items()
    }
    return Part(
        name=section.name,
        launches=section.repeats,
        seconds=section.seconds,
        breakdown_seconds=section.breakdown_seconds,
        alone_seconds=alone,
    )


def _merged(named: Sequence[tuple[str, Part]]) -> tuple[Part, ...]:
    """Parts of one name added up, in order of the first of each name."""
    groups: dict[str, list[Part]] = {}
    for name, part in named:
        groups.setdefault(name, []).append(part)
    return tuple(
        replace(parts[0], name=name)
        if len(parts) == 1
        else Part(
            name=name,
            launches=sum(part.launches for part in parts),
            seconds=sum(part.seconds for part in parts),
            breakdown_seconds=summed((1.0, part.breakdown_seconds) for part in parts),
            alone_seconds=summed((1.0, part.alone_seconds) for part in parts),
        )
        for name, parts in groups.items()
    )


def _most(seconds: Mapping[str, float]) -> str:
    return max(seconds, key=lambda cause: seconds[cause])


def _causes(first: Mapping[str, float], here: Mapping[str, float]) -> tuple[CauseChange, ...]:
    """Every cause of either run, the largest change first."""
    found = (
        CauseChange(cause=cause, first_seconds=first.get(cause, 0.0), seconds=here.get(cause, 0.0))
        for cause in dict.fromkeys((*first, *here))
    )
    return tuple(sorted(found, key=lambda each: (-abs(each.change_seconds), each.cause)))


def _paired(first: Sequence[Part], here: Sequence[Part]) -> tuple[PartChange, ...]:
    """Parts by the longest name that both runs know: `decoder/attention.mix` of one goes with `decoder` of the other.

    What neither has a partner for stands alone.
    """
    before = {part.name: part for part in _merged([(_shared(part.name, first, here), part) for part in first])}
    now = {part.name: part for part in _merged([(_shared(part.name, here, first), part) for part in here])}
    found = (
        PartChange(
            name=name,
            first=before.get(name),
            here=now.get(name),
            causes=_causes(_breakdown(before.get(name)), _breakdown(now.get(name))),
        )
        for name in dict.fromkeys((*before, *now))
    )
    return tuple(sorted(found, key=lambda each: -abs(each.change_seconds)))


def _shared(name: str, own: Sequence[Part], others: Sequence[Part]) -> str:
    """The longest piece of the path to `name` that the others know too, from its beginning if that is possible.

    The name itself if there is none. Sections of a block that was cut are numbered: `decoder.1` leads over `decoder`,
    and goes no further where the other run cuts the block otherwise, for then equal numbers mean nothing. A run
    without stages or phases knows only the end: `stage 0/decoder` goes with `decoder`.
    """
    path = _path(name)
    if _cuts(path, own) != _cuts(path, others):
        path = path[:-1]
    known = {tuple(piece) for other in others for piece in _pieces(_path(other.name))}
    for piece in _pieces(path):
        if tuple(piece) in known:
            return name if piece == _path(name) else "/".join(piece)
    return name


def _pieces(path: list[str]) -> Iterator[list[str]]:
    """Every unbroken piece of a path: from the beginning, the longest first, then from the second step, and so on."""
    for start in range(len(path)):
        for end in range(len(path), start, -1):
            yield path[start:end]


def _path(name: str) -> list[str]:
    *above, last = name.split("/")
    block, _, number = last.rpartition(".")
    return [*above, block, last] if block and number.isdigit() else [*above, last]


def _cuts(path: list[str], parts: Sequence[Part]) -> set[str]:
    """Names of the sections into which the block of a numbered one was cut; nothing of others."""
    if path[-2:-1] != [path[-1].rpartition(".")[0]]:
        return set()
    return {part.name for part in parts if _path(part.name)[:-1] == path[:-1]}


def _breakdown(part: Part | None) -> Mapping[str, float]:
    return {} if part is None else part.breakdown_seconds


def as_json(comparison: Comparison) -> dict[str, Json]:
    """The contract of docs/cli.md: every variant with the JSON of its run, and the differences."""
    return {
        "variants": [_variant(variant) for variant in comparison.variants],
        "differences": [_difference(each) for each in comparison.differences],
    }


def _variant(variant: Variant) -> dict[str, Json]:
    run = report_json(variant.report)
    absent = [key for key in ("sections", "units") if not run[key]]
    for key in absent:
        del run[key]
    return {
        "name": variant.name,
        "kind": variant.kind,
        "changes": to_json(variant.changes),
        **run,
        "parts": [_part_json(part) for part in variant.parts],
    }


def _part_json(part: Part) -> dict[str, Json]:
    found = to_json(part)
    assert isinstance(found, dict)
    if not part.alone_seconds:
        del found["alone_seconds"]
    after = part.next
    following: dict[str, Json] = {} if after is None else {"next": after[0], "next_share": after[1]}
    return {**found, "bound": part.bound, **following}


def _difference(each: Difference) -> dict[str, Json]:
    found = to_json(each)
    assert isinstance(found, dict)
    return {
        **found,
        "causes": [_cause_json(cause) for cause in each.causes],
        "parts": [
            {
                "name": part.name,
                "change_seconds": part.change_seconds,
                **({} if part.first is None else {"first": _part_json(part.first)}),
                **({} if part.here is None else {"here": _part_json(part.here)}),
                "causes": [_cause_json(cause) for cause in part.causes],
            }
            for part in each.parts
        ],
    }


def _cause_json(cause: CauseChange) -> dict[str, Json]:
    return {
        "cause": cause.cause,
        "first_seconds": cause.first_seconds,
        "seconds": cause.seconds,
        "change_seconds": cause.change_seconds,
    }
