"""The schedule of starts: who starts a section, and which starts must load the program first (MICRO'24 sec. IV-D)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Mapping as PyMapping

import numpy as np

from rdusim.errors import OptionError, Problem
from rdusim.mapping.mesh import Mesh
from rdusim.mapping.pieces import boundaries
from rdusim.mapping.types import Allocation, Launch, MapOptions, Orchestration, Placement
from rdusim.program.types import Program


def launches(
    program: Program,
    placements: Sequence[Sequence[Placement]],
    allocations: PyMapping[str, Allocation],
    mesh: Mesh,
    options: MapOptions,
) -> tuple[Launch, ...]:
    """The schedule in the order of the program, compactly.

    A group of sections that runs `times` times over, (a, b) x 32, gives one entry for each section with times 32: the
    starts are a b a b ..., their costs add up in any order. Where a buffer of the group lies in another tier from some
    repeat on, a new entry begins: (a, b) x 20, then (a, b) x 12. Raises OptionError.

    The host loads the program at every start. In hardware a section keeps its program until another one is loaded onto
    one of its sites.
    """
    check_options(options)
    hardware = options.orchestration is Orchestration.HARDWARE
    sites = [_sites(section, mesh) for section in placements]
    loaded: set[int] = set()
    schedule = []
    runs = _runs(program, allocations)
    for group, (sections, begun, times) in enumerate(runs):
        for number in sections:
            first = 0 if number in loaded else 1
            # Every round after the first is like the second: whoever shares a site with another section of the group
            # was overwritten since, the others were not.
            later = any(sites[number] & sites[other] for other in sections if other != number)
            loaded = {other for other in loaded if not sites[other] & sites[number]} | {number}
            schedule.append(
                Launch(
                    section=number,
                    times=times,
                    orchestration=options.orchestration,
                    program_loads=first + (times - 1) * later if hardware else times,
                    prefetch=hardware and options.kernel_looping and times > 1 and len(sections) == 1,
                    first=begun[number],
                    group=group,
                )
            )
    return tuple(schedule)


def _runs(
    program: Program, allocations: PyMapping[str, Allocation]
) -> Iterator[tuple[tuple[int, ...], dict[int, int], int]]:
    """The order of the program, cut where a tier changes: sections, the repeat that each begins with, and times."""
    done = dict.fromkeys(range(len(program.sections)), 0)
    for sections, times in program.order:
        cuts = {
            repeat - done[number]
            for number in set(sections)
            for repeat in boundaries(program.sections[number], allocations)
            if done[number] < repeat < done[number] + times
        }
        ends = [*sorted(cuts), times]
        for begin, end in zip([0, *ends], ends, strict=False):
            yield sections, {number: done[number] + begin for number in sections}, end - begin
        for number in sections:
            done[number] += times


def check_options(options: MapOptions) -> None:
    """Kernel looping is a schedule of the AGCUs: a host that starts every section cannot do it."""
    if options.kernel_looping and options.orchestration is Orchestration.HOST:
        raise OptionError(
            Problem(
                field="kernel_looping",
                message="the host cannot loop sections: it starts each of them by itself",
                hint="use hardware orchestration, or leave kernel looping out",
            )
        )


def _sites(placements: Sequence[Placement], mesh: Mesh) -> int:
    """The sites of a section as a set of bits, so that two sections are compared in one step."""
    used = np.zeros(mesh.switches, dtype=np.bool_)
    for placement in placements:
        used[mesh.switches_of(placement.pcus)] = True
        used[mesh.switches_of(placement.pmus)] = True
    return int.from_bytes(np.packbits(used).tobytes(), "big")
