"""Sections in the order of their starts, one event after another: program and argument loads, the host, execution.

A hardware schedule starts a section when the one before has ended. The host prepares one start ahead: the next
one as soon as the one before has begun to execute.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from rdusim.arch.types import Arch
from rdusim.mapping.types import Launch, Mapping, Orchestration
from rdusim.timing import launch as launch_timing
from rdusim.timing.launch import LaunchTime
from rdusim.timing.rdn import scalar_bandwidth


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOrder:
    """By launch entry: cycles between the end of what ran before and the begin of execution, summed over its starts."""

    waited: tuple[float, ...]
    end: float


def run_in_order(mapping: Mapping, executions: Sequence[float], arch: Arch) -> RunOrder:
    """Time of the whole run, `executions` (by launch entry; under kernel looping of all its repeats) given."""
    waited = [0.0] * len(mapping.launches)
    now = 0.0  # the section before has ended
    prepared_from = 0.0  # the host is free, and the section before has begun
    for number, loads_program in _starts(mapping):
        entry = mapping.launches[number]
        time = _launch(mapping, entry, loads_program, arch)
        ready = prepared_from + time.staged * arch.socket.clock
        begin = max(now, ready) + time.exposed * arch.socket.clock
        waited[number] += begin - now
        prepared_from = begin
        now = begin + executions[number]
    return RunOrder(waited=tuple(waited), end=now)


def _starts(mapping: Mapping) -> Iterator[tuple[int, bool]]:
    """Launch entries in the order in which they really start, and whether each loads its program."""
    entries = mapping.launches
    for _, members in groupby(range(len(entries)), lambda at: entries[at].group):
        group = list(members)
        for turn in range(max(_turns(entries[number]) for number in group)):
            for number in group:
                if turn < _turns(entries[number]):
                    yield number, turn < entries[number].program_loads


def _turns(entry: Launch) -> int:
    """Starts of an entry: a looping section is started once."""
    return 1 if entry.prefetch else entry.times


def _launch(mapping: Mapping, entry: Launch, loads_program: bool, arch: Arch) -> LaunchTime:
    section = mapping.sections[entry.section].section
    units, streams = section.pcus + section.pmus, section.agcu_streams
    scalars = scalar_bandwidth(arch.socket.tile.rdn, arch.socket.clock)
    if entry.orchestration is Orchestration.HOST:
        return launch_timing.host(units, streams, arch.launch, scalars, arch.system.host)
    return launch_timing.hardware(units, streams, loads_program, arch.launch, scalars)
