"""rdusim explain: what the pipeline holds after a step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rdusim.cli.options import request_of, run_options
from rdusim.cli.output import check_writable, emit, emit_rich, is_json, progress

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
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON (docs/cli.md).")
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write it there instead.")
def command(after: str, section: str | None, as_json: bool, output: Path | None, **values: Any) -> None:
    """Show what a run of MODEL is made of.

    After `lower`: sections, stages with operators and widths, streams, loads and stores. After `map`: placement,
    routes, memory, launches. After `simulate`: bounds, intervals and rates.
    """
    check_writable(output, "--output")
    from rdusim.pipeline import Stages

    with progress() as observe:
        explained = _explained(Stages(request_of(values), observe=observe), after, section)
    if is_json(as_json, output):
        from rdusim.report.export import json_text

        emit(json_text(explained), output)
        return
    from rdusim.report.render_explain import print_explained

    emit_rich(lambda console: print_explained(after, explained, console), output)


def _explained(stages: Stages, after: str, section: str | None) -> Object:
    """The values of one step; later steps are not taken, so what they would refuse can still be looked at."""
    from rdusim.report.explain import after_lower, after_map, after_simulate, section_names

    shape = stages.shape()
    program = stages.program(shape)
    section_names(program, section)  # refuse a wrong name before the slow steps
    if after == "lower":
        return after_lower(program, section)
    if after == "map":
        return after_map(stages.mapping(shape), section)
    return after_simulate(stages.trace(shape), program, section)
