"""rdusim run: one report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from rdusim.cli.options import request_of, run_options
from rdusim.cli.output import (
    PAGE,
    check_made,
    check_report,
    check_writable,
    emit,
    emit_rich,
    is_json,
    progress,
    write_file,
)

if TYPE_CHECKING:
    from rdusim.pipeline import Cache, RunRequest
    from rdusim.report.types import Report


@click.command("run")
@run_options
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON (docs/cli.md).")
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write the report there instead.")
@click.option(
    "--trace",
    "trace_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a timeline for ui.perfetto.dev: .pftrace or .json[.gz].",
)
@click.option("--report", "page", type=click.Path(path_type=Path), metavar="FILE.html", help="Write a page to look at.")
@click.option(
    "--check-numbers", is_flag=True, help="Execute a small version of MODEL and compare its numbers; 1 if they differ."
)
def command(
    as_json: bool, output: Path | None, trace_file: Path | None, page: Path | None, check_numbers: bool, **values: Any
) -> int | None:
    """Time MODEL on a machine.

    MODEL is the name of a shipped graph (`rdusim models`), a folder or file in Hugging Face config.json form, or a
    YAML graph.
    """
    if check_numbers:
        return _check_numbers(as_json, output, trace_file, page, values)
    start = perf_counter()
    from rdusim.errors import OptionError, Problem
    from rdusim.pipeline import Cache, Stages, answer
    from rdusim.report.export import as_json as json_of
    from rdusim.report.export import json_text
    from rdusim.report.summarize import with_simulator
    from rdusim.report.timeline import timeline
    from rdusim.report.timeline_file import check_trace_ending, timeline_bytes

    check_report(output)
    check_writable(trace_file, "--trace")
    check_made(page, "--report", PAGE)
    if trace_file is not None:
        check_trace_ending(trace_file)
    with progress() as observe:
        request, cache = request_of(values), Cache()
        if trace_file is not None:
            stages = Stages(request, cache=cache, observe=observe)
            shape = stages.shape()  # refuses what has no single timeline, before the work
            if (programs := len(stages.parts(shape))) > 1:
                message = f"a timeline is that of one program, and this run has {programs}"
                hint = "leave out --trace; rdusim explain --part N shows each"
                raise OptionError(Problem(field="--trace", message=message, hint=hint))
        report = answer(request, cache=cache, observe=observe)
        if trace_file is not None:
            rows = timeline(stages.trace(shape), stages.mapping(shape), stages.arch)
            write_file(trace_file, timeline_bytes(rows, trace_file))
        drawn = _page(request, report, page, cache, observe) if page is not None else ""
    if page is not None:
        write_file(page, drawn.encode())
    report = with_simulator(report, wall_seconds=perf_counter() - start)
    if is_json(as_json, output):
        emit(json_text(json_of(report)), output)
        return None
    from rdusim.report.render import print_report

    emit_rich(lambda console: print_report(report, console), output)
    return None


def _page(request: RunRequest, report: Report, page: Path, cache: Cache, observe: Callable[[str], None]) -> str:
    """The page, without how long making it took: the same command gives the same bytes."""
    from rdusim.arch.load import load_arch
    from rdusim.arch.show import show_arch
    from rdusim.pipeline.pictures import command_of, pictures
    from rdusim.report.roofline import ceilings_of
    from rdusim.report.run_page import run_page

    plans, maps = pictures(request, report, cache=cache, observe=observe)
    setting = report.setting
    return run_page(
        report,
        ceilings=ceilings_of(load_arch(request.arch, request.overrides), setting.dtype, setting.sockets_used),
        command=command_of("run", request, "--report", page.name),
        machine=show_arch(request.arch, request.overrides),
        floorplans=plans,
        memory_maps=maps,
    )


def _check_numbers(
    as_json: bool, output: Path | None, trace_file: Path | None, page: Path | None, values: dict[str, Any]
) -> int:
    """Execute instead of timing: 0 when the numbers are those of the graph, else 1."""
    from rdusim.errors import OptionError, Problem
    from rdusim.pipeline.check_numbers import check_numbers
    from rdusim.report.export import json_text
    from rdusim.report.numbers import as_json as json_of
    from rdusim.report.numbers import print_numbers

    check_report(output)
    asked = {
        "--trace": trace_file is not None,
        "--report": page is not None,
        "--engine": values["engine"] != "steady",
    }
    timed = [flag for flag, said in asked.items() if said]
    if timed:
        message, hint = "--check-numbers times nothing", "leave one of them out"
        raise OptionError(*(Problem(field=flag, message=message, hint=hint) for flag in timed))
    with progress() as observe:
        report = check_numbers(request_of(values), observe=observe)
    if is_json(as_json, output):
        emit(json_text(json_of(report)), output)
    else:
        emit_rich(lambda console: print_numbers(report, console), output)
    return 0 if report.equal else 1
