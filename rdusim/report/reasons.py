"""Why one run takes longer than another, in words: every number is read off the two reports.

The causes of the difference come first, each with what lies behind it (how often, how much, how fast), then the parts
in which it arises and the bound that each had and has, then the bounds that stay.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rdusim.report.behind import CAUSES, SAME, behind
from rdusim.report.comparison import CauseChange, Change, Difference, Part, PartChange, Variant
from rdusim.report.programs import other_program
from rdusim.report.types import Report
from rdusim.units import show

LEAST_SHARE: Final = 0.05  # of all changes together: what a cause or a part must have to be named
ALIKE: Final = 0.001  # a smaller part of the total is no difference
NAMED_CAUSES: Final = 4
NAMED_PARTS: Final = 4
NAMED_FIELDS: Final = 3


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
        told = (behind(change.cause, first, here), _fields(change.cause, found.fields))
        because = "; ".join(text for text in told if text)
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
    for part in [each for each in found.parts if each.name not in CAUSES][:NAMED_PARTS]:
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
