"""Why one run takes longer than another, in words: every number is read off the two reports.

The causes of the difference come first, each with what lies behind it (how often, how much, how fast), then the parts
in which it arises and the bound that each had and has, then the bounds that stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isclose
from typing import Final

from rdusim.report.comparison import GPU, CauseChange, Change, Difference, Part, PartChange, Variant
from rdusim.report.programs import other_program, streams_each
from rdusim.report.types import MemoryUse, Report
from rdusim.units import Kind, show

LEAST_SHARE: Final = 0.05  # of all changes together: what a cause or a part must have to be named
ALIKE: Final = 0.001  # a smaller part of the total is no difference
NAMED_CAUSES: Final = 4
NAMED_PARTS: Final = 4
NAMED_FIELDS: Final = 3
SAME: Final = 0.005  # values nearer to each other than that are told as one


def reasons(first: Variant, here: Variant, found: Difference) -> tuple[str, ...]:
    """Sentences, the most important first."""
    return (
        _headline(first, here, found),
        _bounds(first, here, found),
        *filter(None, [other_program(first, here, other_machine=bool(found.fields))]),
        *_causes(first, here, found),
        *_parts(first, here, found),
        *_kept(found),
    )


def times(ratio: float) -> str:
    """A ratio of times in words: `2.3x the time`, `0.43x the time`."""
    return f"{ratio:.3g}x the time"


def signed(seconds: float) -> str:
    """Seconds more or less: `+1.2 ms`, `-38 us`."""
    return f"{'-' if seconds < 0 else '+'}{show(abs(seconds), 'time')}"


def _headline(first: Variant, here: Variant, found: Difference) -> str:
    before, now = first.report.latency.total_seconds, here.report.latency.total_seconds
    if abs(found.change_seconds) < ALIKE * before:
        return f"{here.name} takes as long as {first.name}: {show(now, 'time')}"
    how = "more" if found.change_seconds > 0 else "less"
    return (
        f"{here.name} takes {times(found.ratio)} of {first.name}: {show(now, 'time')} instead of "
        f"{show(before, 'time')}, {show(abs(found.change_seconds), 'time')} {how}"
    )


def _bounds(first: Variant, here: Variant, found: Difference) -> str:
    before, now = _shares(first.report), _shares(here.report)
    if found.bound == found.first_bound:
        share, share_before = show(now[found.bound], "share"), show(before[found.bound], "share")
        return f"bound by {found.bound} as before: {share} of the time, {share_before} before"
    return (
        f"bound by {found.bound} ({show(now[found.bound], 'share')} of the time) instead of {found.first_bound} "
        f"({show(before[found.first_bound], 'share')} before, {show(now.get(found.first_bound, 0.0), 'share')} here)"
    )


def _shares(report: Report) -> Mapping[str, float]:
    total = report.latency.total_seconds
    return {cause: seconds / total for cause, seconds in report.breakdown_seconds.items()}


def _causes(first: Variant, here: Variant, found: Difference) -> Iterator[str]:
    for change in largest(found.causes, NAMED_CAUSES):
        behind = (_behind(change.cause, first, here), _fields(change.cause, found.fields))
        because = "; ".join(text for text in behind if text)
        yield f"{change.cause} {_change(change)}{': ' if because else ''}{because}"


def largest(changes: Sequence[CauseChange], most: int) -> list[CauseChange]:
    """The changes that are worth a word, in order."""
    whole = sum(abs(change.change_seconds) for change in changes)
    return [change for change in changes[:most] if whole and abs(change.change_seconds) >= LEAST_SHARE * whole]


def _change(change: CauseChange) -> str:
    if not change.first_seconds:
        return f"{signed(change.change_seconds)}, from none"
    if not change.seconds:
        return f"{signed(change.change_seconds)}, to none"
    return (
        f"{signed(change.change_seconds)}, from {show(change.first_seconds, 'time')} to {show(change.seconds, 'time')}"
    )


def _behind(cause: str, first: Variant, here: Variant) -> str:
    """What a cause depends on, in the two runs; nothing for causes that are what is left over."""
    if cause in _NO_GPU_HAS and GPU in (first.kind, here.kind):
        return f"a GPU has no {_NO_GPU_HAS[cause]}"
    if cause in _BEHIND:
        return _BEHIND[cause](first.report, here.report)
    tiers = [next((use for use in run.report.memory if use.tier == cause), None) for run in (first, here)]
    return _tier(*tiers) if any(use is not None and use.read_bytes is not None for use in tiers) else ""


def _tier(first: MemoryUse | None, here: MemoryUse | None) -> str:
    """Bytes, and the bandwidth that there is for them."""
    if first is None or here is None:
        there = first or here
        assert there is not None, "the caller looks"
        where = "here" if first is None else "before"
        return f"{show(_moved(there), 'size')} moved {where}, the other has no {there.tier}"
    parts = [_instead(_moved(first), _moved(here), "size", "{} moved")]
    if first.peak_bytes_per_second and here.peak_bytes_per_second:
        parts.append(_instead(first.peak_bytes_per_second, here.peak_bytes_per_second, "bandwidth", "a peak of {}"))
    if first.bandwidth_utilization and here.bandwidth_utilization:
        used = first.bandwidth_utilization, here.bandwidth_utilization
        parts.append(_instead(*used, "share", "{} of it reached over the run"))
    return ", ".join(parts)


def _moved(use: MemoryUse) -> float:
    return (use.read_bytes or 0.0) + (use.written_bytes or 0.0)


def _launch(first: Report, here: Report) -> str:
    def each(report: Report) -> float:
        return report.breakdown_seconds.get("launch", 0.0) / max(1, report.kernel_launches)

    launches = _instead(first.kernel_launches, here.kernel_launches, "count", "{} launches", "1 launch")
    return f"{launches}, {_instead(each(first), each(here), 'time', '{} each')}{_streams(first, here)}"


def _fill(first: Report, here: Report) -> str:
    """Every start of a kernel fills its pipelines once."""
    said = "pipelines fill and drain {} times", "pipelines fill and drain once"
    return _instead(first.kernel_launches, here.kernel_launches, "count", *said)


def _compute(first: Report, here: Report) -> str:
    """The model's work, and the peak of the units that there are for it."""
    work = first.operational_intensity.flops, here.operational_intensity.flops
    parts = [_instead(*work, "flop", "{}")]
    peaks = [
        rate.flops_per_second / rate.model_flops_utilization if rate.model_flops_utilization else 0.0
        for rate in (first.throughput, here.throughput)
    ]
    if all(peaks):
        parts.append(_instead(peaks[0], peaks[1], "flops", "a peak of {}"))
    held = [next((use.configured for use in report.units if use.unit == "pcu"), None) for report in (first, here)]
    if held[0] is not None and held[1] is not None:
        parts.append(_instead(held[0], held[1], "share", "{} of the PCUs held on average"))
    return ", ".join(parts)


def _collective(first: Report, here: Report) -> str:
    parts = [_instead(first.setting.sockets_used, here.setting.sockets_used, "count", "{} take part")]
    if first.links is not None and here.links is not None:
        parts.append(_instead(first.links.payload_bytes, here.links.payload_bytes, "size", "{} of results"))
    return ", ".join(parts)


def _host(first: Report, here: Report) -> str:
    return "what the host does between two steps, beside the kernels"


def _agcu(first: Report, here: Report) -> str:
    moved = first.operational_intensity.bytes, here.operational_intensity.bytes
    return f"{_instead(*moved, 'size', '{} through the AGCUs')}{_streams(first, here)}"


def _streams(first: Report, here: Report) -> str:
    """Of two RDUs, where they differ: a section's AGCU streams, which get arguments at each start and share AGCUs."""
    each = streams_each(first), streams_each(here)
    if not all(each) or isclose(*each, rel_tol=SAME):
        return ""
    return f", {each[1]:.3g} AGCU streams a section instead of {each[0]:.3g}"


# Causes that only RDUs have -> what it is that a GPU lacks.
_NO_GPU_HAS: Final[Mapping[str, str]] = {
    "agcu": "AGCUs",
    "fill_drain": "stages that fill and drain",
    "pmu": "PMUs",
    "rdn": "mesh between its units",
    "tln": "network between tiles",
    "die_to_die": "link between dies",
    "pipeline_bubble": "pipeline over sockets",
    "pipeline_transfer": "pipeline over sockets",
}

_BEHIND: Final[Mapping[str, Callable[[Report, Report], str]]] = {
    "launch": _launch,
    "fill_drain": _fill,
    "compute": _compute,
    "collective": _collective,
    "host": _host,
    "agcu": _agcu,
}


def _instead(before: float, now: float, kind: Kind, said: str, one: str | None = None) -> str:
    """Both values, or that they are the same. `one`: what is said where the value here is 1."""
    here = one if one is not None and now == 1 else said.format(show(now, kind))
    return f"{here} in both" if isclose(before, now, rel_tol=SAME) else f"{here} instead of {show(before, kind)}"


def _fields(cause: str, fields: Sequence[Change]) -> str:
    """Fields of the machine that belong to a cause and are others there."""
    own = [each for each in fields if each.option.startswith(_OF_CAUSE.get(cause, f"socket.memory.{cause}."))]
    named = [f"{each.option} {each.here or 'none'} instead of {each.first or 'none'}" for each in own[:NAMED_FIELDS]]
    more = len(own) - len(named)
    return ", ".join([*named, *([f"{more} more"] if more else [])])


# Cause -> beginnings of the fields that set its pace; of a tier of memory its own.
_OF_CAUSE: Final[Mapping[str, tuple[str, ...]]] = {
    "compute": ("socket.clock", "socket.tile.pcu.", "socket.tile.rows", "socket.tile.cols"),
    "collective": ("system.",),
    "launch": ("launch.", "system.host."),
    "fill_drain": ("socket.tile.rdn.hop_cycles", "socket.tln.hop_cycles", "socket.die_to_die.hop_cycles"),
    "pmu": ("socket.tile.pmu.",),
    "rdn": ("socket.tile.rdn.",),
    "agcu": ("socket.tile.agcu", "socket.clock"),
    "tln": ("socket.tln.",),
    "die_to_die": ("socket.die_to_die.",),
}


def _parts(first: Variant, here: Variant, found: Difference) -> Iterator[str]:
    """The parts that change most; of what consists of nothing but a cause, that has been said."""
    if any(_overlap(variant) for variant in (first, here)):
        yield "stages of a pipeline work at the same time: seconds of their parts sum to more than the total"
    whole = sum(abs(part.change_seconds) for part in found.parts)
    for part in [each for each in found.parts if each.name not in _BEHIND][:NAMED_PARTS]:
        if whole and abs(part.change_seconds) >= LEAST_SHARE * whole:
            yield f"{part.name} {signed(part.change_seconds)}: {_part(part)}"


def _overlap(variant: Variant) -> bool:
    total = variant.report.latency.total_seconds
    return sum(part.seconds for part in variant.parts) > (1.0 + SAME) * total


def _part(change: PartChange) -> str:
    if change.here is None or change.first is None:
        there = change.here or change.first
        assert there is not None, "a change has a side"
        return f"{'only here' if change.first is None else 'only before'}, bound by {bound_of(there)}"
    if change.first.bound == change.here.bound:
        bounds = f"bound by {bound_of(change.here)}, {show(_share(change.first), 'share')} before"
    else:
        bounds = f"bound by {bound_of(change.here)} instead of {bound_of(change.first)}"
    named = ", ".join(f"{each.cause} {signed(each.change_seconds)}" for each in largest(change.causes, NAMED_CAUSES))
    return f"{bounds}; {named}" if named else bounds


def bound_of(part: Part) -> str:
    """The bound of a part with its share, and the next one."""
    after = part.next
    following = "" if after is None else f", next {after[0]} {show(after[1], 'share')}"
    return f"{part.bound} ({show(_share(part), 'share')}{following})"


def _share(part: Part) -> float:
    return part.breakdown_seconds[part.bound] / part.seconds


def _kept(found: Difference) -> Iterator[str]:
    """Parts whose bound is what it was."""
    both = [(part.name, part.first, part.here) for part in found.parts]
    kept = [
        f"{name} by {here.bound}"
        for name, first, here in both
        if first is not None and here is not None and first.bound == here.bound != name
    ]
    if kept:
        yield f"bounds that stay: {', '.join(kept[: 2 * NAMED_PARTS])}"
