"""What tells the programs of two runs apart: stages, units and streams of the sections that both have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Final

from rdusim.report.comparison import GPU, Variant
from rdusim.report.types import Report, SectionUse

NAMED: Final = 3  # sections

# What is counted of a section -> the field that has the number.
_COUNTS: Final[Mapping[str, str]] = {
    "stages": "stages",
    "PCUs": "pcus",
    "PMUs": "pmus",
    "AGCU streams": "agcu_streams",
}


def other_program(first: Variant, here: Variant, *, other_machine: bool) -> str:
    """In words; nothing where the programs look alike, or where one of the two is a GPU, which has none.

    A machine that only has other rates is compiled for, too: what a compiler chose for it may be another program.
    """
    if GPU in (first.kind, here.kind):
        return ""
    before, now = _sections(first.report), _sections(here.report)
    told = [
        f"{name} has {', '.join(counts)}"
        for name, section in now.items()
        if name in before and (counts := list(_different(before[name], section)))
    ]
    more = len(told) - NAMED
    named = [*told[:NAMED], *([f"{more} more sections differ"] if more > 0 else [])]
    why = ", compiled for this machine" if other_machine else ""
    return f"another program{why}: {'; '.join(named)}" if told else ""


def streams_each(report: Report) -> float:
    """AGCU streams of a section, on average over all starts."""
    starts = sum(section.repeats for section in report.sections)
    return sum(section.repeats * section.agcu_streams for section in report.sections) / max(1, starts)


def _sections(report: Report) -> dict[str, SectionUse]:
    """By name; later repeats (`decoder #2`) are of the same program as the first."""
    return {section.name: section for section in report.sections if " #" not in section.name}


def _different(before: SectionUse, now: SectionUse) -> Iterator[str]:
    for name, field in _COUNTS.items():
        count = attrgetter(field)
        if count(before) != count(now):
            yield f"{count(now):,} {name} instead of {count(before):,}"
