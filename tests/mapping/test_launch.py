from __future__ import annotations

from rdusim.mapping.map_onto import map_onto
from rdusim.mapping.types import Launch, MapOptions, Orchestration
from rdusim.program.types import Program
from tests.mapping.programs import program, section, stage, toy

Order = tuple[tuple[tuple[int, ...], int], ...]


def made(order: Order, *pcus: int) -> Program:
    repeats = {number: sum(times for group, times in order if number in group) for number in range(len(pcus))}
    return program(
        [section(f"x{number}", [stage(f"s{number}", wide, 1)], repeats[number]) for number, wide in enumerate(pcus)],
        order,
    )


def schedule(of: Program, options: MapOptions | None = None) -> list[tuple[int, int, int, bool]]:
    launches: tuple[Launch, ...] = map_onto(of, toy(), options).launches
    return [(launch.section, launch.times, launch.program_loads, launch.prefetch) for launch in launches]


def test_a_repeated_section_keeps_its_program() -> None:
    assert schedule(made((((0,), 1), ((1,), 32), ((2,), 1)), 8, 8, 8)) == [
        (0, 1, 1, False),
        (1, 32, 1, False),
        (2, 1, 1, False),
    ]


def test_the_host_loads_the_program_at_every_start() -> None:
    options = MapOptions(orchestration=Orchestration.HOST)
    assert schedule(made((((0,), 32),), 8), options) == [(0, 32, 32, False)]


def test_alternating_sections_push_each_other_out_unless_both_fit() -> None:
    assert schedule(made((((0, 1), 32),), 8, 8)) == [(0, 32, 32, False), (1, 32, 32, False)]
    assert schedule(made((((0, 1), 32),), 4, 4)) == [(0, 32, 1, False), (1, 32, 1, False)]


def test_a_section_that_was_not_overwritten_is_still_there() -> None:
    order: Order = (((0, 1), 2), ((2,), 1), ((0, 1), 2))
    assert [loads for _, _, loads, _ in schedule(made(order, 4, 4, 1))] == [1, 1, 1, 1, 0]


def test_kernel_looping_runs_ahead_only_where_a_section_repeats_back_to_back() -> None:
    order: Order = (((0,), 1), ((1,), 32), ((2, 3), 4))
    options = MapOptions(kernel_looping=True)
    assert [ahead for *_, ahead in schedule(made(order, 8, 8, 8, 8), options)] == [False, True, False, False]
