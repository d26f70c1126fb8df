"""rdusim explain: what the pipeline holds after a step, and a section's floorplan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rdusim.cli.options import request_of, run_options
from rdusim.cli.output import check_writable, emit, emit_rich, is_json, progress, write_file
from rdusim.errors import OptionError, Problem

if TYPE_CHECKING:
    from rdusim.pipeline import Stages
    from rdusim.report.explain import Object


@click.command("explain")
@run_options
@click.option(
    "--after",
    type=click.Choice(["lower", "map", "simulate"]),
    default="simulate",
    show_default=True,
    help="Step to show.",
)
@click.option("--section", metavar="NAME", help="Only this section.")
@click.option(
    "--part", type=int, metavar="N", help="Of a pipeline, or of training in passes: which program.  [default: 0]"
)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON (docs/cli.md).")
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write it there instead.")
@click.option(
    "--floorplan",
    "floorplan_file",
    type=click.Path(path_type=Path),
    metavar="FILE.svg",
    help="Draw a section on the chip instead: its stages, and the load of every link.  [section: the widest]",
)
@click.option(
    "--memory-map",
    "map_file",
    type=click.Path(path_type=Path),
    metavar="FILE.svg",
    help="Draw memory over the program instead: a panel for each tier, every buffer over its sections and addresses.",
)
def command(
    after: str,
    section: str | None,
    part: int | None,
    as_json: bool,
    output: Path | None,
    floorplan_file: Path | None,
    map_file: Path | None,
    **values: Any,
) -> None:
    """Show what a run of MODEL is made of.

    After `lower`: sections, stages with operators and widths, streams, loads and stores. After `map`: placement,
    routes, memory, launches. After `simulate`: bounds, intervals, rates, and with
    --engine discrete what everything waited for.
    """
    check_writable(output, "--output")
    from rdusim.pipeline import Stages

    if map_file is not None:
        _check_drawing(map_file, "--memory-map", after, as_json=as_json, output=output)
        if floorplan_file is not None or section is not None:
            message, hint = "one drawing of the whole program at a time", "leave out --floorplan and --section"
            raise OptionError(Problem(field="--memory-map", message=message, hint=hint))
        with progress() as observe:
            stages = Stages(request_of(values), observe=observe)
            drawing = _memory_map(stages, after, _part(stages, part))
        write_file(map_file, drawing.encode())
        return
    if floorplan_file is not None:
        _check_drawing(floorplan_file, "--floorplan", after, as_json=as_json, output=output)
        with progress() as observe:
            stages = Stages(request_of(values), observe=observe)
            drawing = _floorplan(stages, after, section, _part(stages, part))
        write_file(floorplan_file, drawing.encode())
        return
    with progress() as observe:
        stages = Stages(request_of(values), observe=observe)
        explained = _explained(stages, after, section, _part(stages, part))
    if is_json(as_json, output):
        from rdusim.report.export import json_text

        emit(json_text(explained), output)
        return
    from rdusim.report.render_explain import print_explained

    emit_rich(lambda console: print_explained(after, explained, console), output)


def _part(stages: Stages, wanted: int | None) -> int:
    """Which of several programs is shown; says on stderr that there are others. Raises OptionError for one too many."""
    count = len(stages.parts(stages.shape()))
    if wanted is not None and not 0 <= wanted < count:
        message = f"{wanted}, but there {'are' if count > 1 else 'is'} {count}"
        raise OptionError(Problem(field="--part", message=message, hint=f"from 0 to {count - 1}"))
    if count > 1 and wanted is None:
        click.echo(f"note: part 0 of {count} programs; --part N shows another", err=True)
    return wanted or 0


def _explained(stages: Stages, after: str, section: str | None, part: int) -> Object:
    """The values of one step; later steps are not taken, so what they would refuse can still be looked at."""
    from rdusim.report.explain import after_lower, after_map, after_simulate, section_names

    shape = stages.shape()
    program = stages.program(shape, part)
    section_names(program, section)  # refuse a wrong name before the slow steps
    if after == "lower":
        return after_lower(program, section)
    if after == "map":
        return after_map(stages.mapping(shape, part), stages.arch, section)
    return after_simulate(stages.trace(shape, part), program, section)


def _check_drawing(path: Path, flag: str, after: str, *, as_json: bool, output: Path | None) -> None:
    """Raises OptionError, all problems at once, before the work."""
    found = []
    if path.suffix != ".svg":
        message = f"{path.name} has no known ending"
        found.append(Problem(field=flag, message=message, hint="a drawing is written as .svg"))
    if after == "lower":
        message = "after lower nothing has a place yet"
        found.append(Problem(field=flag, message=message, hint="choose --after map or --after simulate"))
    if as_json or output is not None:
        message = "nothing is printed beside a drawing"
        found.append(Problem(field=flag, message=message, hint="leave out --json and --output"))
    if found:
        raise OptionError(*found)
    check_writable(path, flag)


def _memory_map(stages: Stages, after: str, part: int) -> str:
    """The drawing; after `map` all sections are equally wide, after `simulate` as wide as they take."""
    from rdusim.report.memory_map import memory_map
    from rdusim.report.render import asked

    shape = stages.shape()
    mapping = stages.mapping(shape, part)
    if after == "map":
        return memory_map(mapping, stages.arch, title=mapping.program.name)
    said = asked(stages.report().setting)
    return memory_map(mapping, stages.arch, title=mapping.program.name, asked=said, trace=stages.trace(shape, part))


def _floorplan(stages: Stages, after: str, section: str | None, part: int) -> str:
    """The drawing; after `map` without the stages' shares of time."""
    from rdusim.report.explain import section_names
    from rdusim.report.floorplan import floorplan, widest
    from rdusim.report.render import asked

    shape = stages.shape()
    section_names(stages.program(shape, part), section)
    mapping = stages.mapping(shape, part)
    name = section or widest(mapping.program)
    mapped = next(each for each in mapping.sections if each.section.name == name)
    if after == "map":
        return floorplan(mapped, stages.arch, title=mapping.program.name)
    timing = next(each for each in stages.trace(shape, part).sections if each.name == name)
    said = asked(stages.report().setting)
    return floorplan(mapped, stages.arch, title=mapping.program.name, asked=said, timing=timing)
