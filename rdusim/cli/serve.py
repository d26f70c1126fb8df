"""rdusim serve: a deployment under load."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rdusim.cli.output import PAGE, check_made, check_writable, emit, emit_rich, is_json, write_file

if TYPE_CHECKING:
    from rdusim.pipeline.scenario_types import Scenario
    from rdusim.report.serving import ServeReport

INTERRUPTED = 130
NOT_MET = 1


@click.command("serve")
@click.argument("scenario", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON (docs/cli.md).")
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write the report there instead.")
@click.option(
    "--trace",
    "trace_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write requests and copies as a timeline for ui.perfetto.dev: .pftrace or .json[.gz].",
)
@click.option("--report", "page", type=click.Path(path_type=Path), metavar="FILE.html", help="Write a page to look at.")
@click.option("--find", metavar="max-rate|min-nodes", help="Search what keeps the SLO.  [exit code 1: nothing does]")
@click.option("--slo", metavar="ttft=2s,...", help="Limits: ttft, tpot, tbt, e2e, queue; share=99%.")
@click.option(
    "--footprint",
    multiple=True,
    metavar="ARCH",
    help="Also latency by number of experts, on this machine (same: the scenario's); repeatable.",
)
@click.option(
    "--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Change a field of the machine; repeatable."
)
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Instead of the scenario's.")
def command(
    scenario: Path,
    as_json: bool,
    output: Path | None,
    trace_file: Path | None,
    page: Path | None,
    find: str | None,
    slo: str | None,
    footprint: tuple[str, ...],
    overrides: tuple[str, ...],
    seed: int | None,
) -> int:
    """Serve the requests of SCENARIO, a YAML file: latencies, their causes, experts in memory.

    The format: experiments/coe/README.md. An interrupt leaves a partial report, marked as such, and exit code 130.
    """
    from rdusim.pipeline.scenario import load_scenario
    from rdusim.pipeline.serving import simulate_serving
    from rdusim.report.timeline_file import check_trace_ending
    from rdusim.serve.slo import parse_slo

    for path, flag in ((output, "--output"), (trace_file, "--trace")):
        check_writable(path, flag)
    check_made(page, "--report", PAGE)
    if trace_file is not None:
        check_trace_ending(trace_file)
    limits = parse_slo(slo) if slo is not None else None
    asked = _changed(load_scenario(scenario), overrides)
    with _watched() as (observe, advance):
        report = simulate_serving(
            asked,
            find=find,
            slo=limits,
            footprint=footprint,
            seed=seed,
            observe=observe,
            progress=advance,
        )
    _write(report, as_json, output, trace_file, page)
    if report.partial:
        click.echo("interrupted: the report is partial", err=True)
        return INTERRUPTED
    return NOT_MET if report.found is not None and report.found.value is None else 0


def _changed(scenario: Scenario, overrides: tuple[str, ...]) -> Scenario:
    """With further fields of the machine changed, after those that the scenario changes."""
    from dataclasses import replace

    machine = replace(scenario.machine, overrides=(*scenario.machine.overrides, *overrides))
    return replace(scenario, machine=machine)


def _write(report: ServeReport, as_json: bool, output: Path | None, trace_file: Path | None, page: Path | None) -> None:
    if trace_file is not None:
        from rdusim.report.serving_timeline import serving_timeline
        from rdusim.report.timeline_file import timeline_bytes

        write_file(trace_file, timeline_bytes(serving_timeline(report.result), trace_file))
    if page is not None:
        write_file(page, _page(report).encode())
    if is_json(as_json, output):
        from rdusim.report.export import json_text
        from rdusim.report.serving import as_json as json_of

        emit(json_text(json_of(report)), output)
        return
    from rdusim.report.render_serving import print_serving

    emit_rich(lambda console: print_serving(report, console), output)


def _page(report: ServeReport) -> str:
    from rdusim.report.export import to_json
    from rdusim.report.render_serving import asked
    from rdusim.report.serve_page import serve_page

    settings = to_json(report.asked)
    assert isinstance(settings, dict)
    return serve_page(
        report.result,
        report.metrics,
        title=report.asked.scenario,
        asked=asked(report),
        settings=settings,
        slo=report.slo,
        footprint={
            f"{curve.machine}, {where}": tuple((point.experts, -(-point.experts // held)) for point in curve.points)
            for curve in report.footprint
            for where, held in (("experts at home", curve.held), ("all in the nearest tier", curve.resident))
            if held
        },
        notes=report.notes,
    )


@contextmanager
def _watched() -> Iterator[tuple[Callable[[str], None] | None, Callable[[float], None] | None]]:
    """On a terminal a bar of requests served, and what is being done; nothing in pipes."""
    if not sys.stderr.isatty():
        yield None, None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)
        yield (
            lambda what: bar.update(task, description=what, total=None),
            lambda share: bar.update(task, completed=share, total=1.0),
        )
