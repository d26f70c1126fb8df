"""rdusim run: one report."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any

import click

from rdusim.cli.options import request_of, run_options
from rdusim.cli.output import check_writable, emit, emit_rich, is_json, progress, write_file


@click.command("run")
@run_options
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON (docs/cli.md).")
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write the report there instead.")
@click.option(
    "--trace", "trace_file", type=click.Path(path_type=Path), metavar="FILE", help="Write a timeline: .json[.gz]"
)
def command(as_json: bool, output: Path | None, trace_file: Path | None, **values: Any) -> None:
    """Time MODEL on a machine.

    MODEL is the name of a shipped graph (`rdusim models`), a folder or file in Hugging Face config.json form, or a
    YAML graph.
    """
    start = perf_counter()
    from rdusim.pipeline import Stages
    from rdusim.report.export import as_json as json_of
    from rdusim.report.export import check_trace_ending, json_text, trace_bytes
    from rdusim.report.summarize import with_simulator

    check_writable(output, "--output")
    check_writable(trace_file, "--trace")
    if trace_file is not None:
        check_trace_ending(trace_file)
    with progress() as observe:
        stages = Stages(request_of(values), observe=observe)
        if trace_file is not None:
            shape = stages.shape()  # refuses what has no single timeline, before the work
        report = stages.report()
        if trace_file is not None:
            write_file(trace_file, trace_bytes(stages.trace(shape), trace_file))
    report = with_simulator(report, wall_seconds=perf_counter() - start)
    if is_json(as_json, output):
        emit(json_text(json_of(report)), output)
        return
    from rdusim.report.render import print_report

    emit_rich(lambda console: print_report(report, console), output)
