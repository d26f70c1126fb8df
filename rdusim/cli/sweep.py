"""rdusim sweep: many runs as one table."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from rdusim.cli.options import run_options
from rdusim.cli.output import PAGE, check_made, check_writable, emit, emit_rich, write_file
from rdusim.cli.signals import terminable

if TYPE_CHECKING:
    from rdusim.explore.axes import Request
    from rdusim.explore.experiment import Experiment
    from rdusim.explore.store import Store
    from rdusim.explore.sweep import Counts
    from rdusim.report.sweep import SweepResult

_ENDINGS: Final = (".csv", ".parquet", ".json")


@click.command("sweep")
@run_options
@click.option(
    "--vary",
    multiple=True,
    metavar="PATH=VALUES",
    help="An axis: a field of the machine (as --set), an option, or model.KEY; repeatable. VALUES: 1,2,4  "
    "1..8:STEP  1..64*FACTOR  1..8@N  1..64@logN.",
)
@click.option("--zip", "zipped", multiple=True, metavar="PATH,PATH", help="Axes that go together; repeatable.")
@click.option("--samples", type=int, metavar="N", help="Draw N points instead of all combinations.")
@click.option("--sampling", metavar="lhs|random", help="How they are drawn.  [default: lhs, a Latin hypercube]")
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Of what is drawn.  [default: 0]")
@click.option("--objective", multiple=True, metavar="METRIC[:min|max]", help="Name the best point; repeatable.")
@click.option("--pareto", metavar="X,Y", help="Mark the points that no other beats in X and Y.")
@click.option("--metrics", metavar="NAME,...", help="Columns of the table; * stands for anything.")
@click.option("--remap", is_flag=True, help="Compile for every machine, also where only rates differ.")
@click.option("--jobs", type=int, metavar="N", help="Processes here.  [default: one a core]")
@click.option("--backend", default="loky", metavar="loky|dask|ray", show_default=True, help="Who computes.")
@click.option("--scheduler", metavar="ADDRESS", help="Of a Dask or Ray cluster that is there already.")
@click.option("--store", type=click.Path(path_type=Path), metavar="FILE", help="Where results are kept.")
@click.option("--no-store", is_flag=True, help="Keep nothing.")
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="FILE", help="The table: .csv, .parquet or .json by name."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/cli.md).")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE.svg", help="A picture of it.")
@click.option("--report", "page", type=click.Path(path_type=Path), metavar="FILE.html", help="Write a page to look at.")
@click.pass_context
def command(context: click.Context, /, **values: Any) -> None:
    """Run MODEL at every point of the axes, or what an EXPERIMENT.yaml asks.

    Points that failed have their reason in the table and do not end the sweep. What was computed is kept: the same
    sweep again is free, and an interrupted one goes on where it was.
    """
    from rdusim.explore.backends import Backend
    from rdusim.explore.sweep import Counts, sweep
    from rdusim.explore.tables import as_json as json_of
    from rdusim.explore.tables import check_parquet, csv_text
    from rdusim.report.export import json_text
    from rdusim.report.sweep_plot import check_plottable, sweep_svg

    output, plot, page = values["output"], values["plot"], values["page"]
    _check_files(output, plot, values["store"], page)
    if plot is not None:
        check_plottable()
    if output is not None and output.suffix == ".parquet":
        check_parquet()
    backend = Backend(name=values["backend"], jobs=values["jobs"], scheduler=values["scheduler"])
    experiment, store, counts = _experiment(context, values), _store(values), Counts()
    try:
        with terminable(), _progress() as observe:
            result = sweep(experiment, store=store, backend=backend, observe=observe, counts=counts)
    except KeyboardInterrupt:
        _say_kept(store, counts)
        raise
    finally:
        store.close()
    _say_done(result, counts)
    if plot is not None:
        write_file(plot, sweep_svg(result))
    if page is not None:
        from rdusim.explore.experiment import words_of
        from rdusim.explore.serving import ServeRequest
        from rdusim.pipeline.pictures import command_of
        from rdusim.report.sweep_page import sweep_page

        more = (*words_of(experiment), "--report", page.name)
        if isinstance(experiment.request, ServeRequest):
            said = shlex.join(["rdusim", "sweep", experiment.request.file, *more])
        else:
            said = command_of("sweep", experiment.request, *more)
        write_file(page, sweep_page(result, command=said).encode())
    if values["as_json"] or (output is not None and output.suffix == ".json"):
        emit(json_text(json_of(result)), output)
    elif output is None:
        from rdusim.report.render_sweep import print_sweep

        emit_rich(lambda console: print_sweep(result, console), None)
    elif output.suffix == ".parquet":
        from rdusim.explore.tables import parquet_bytes

        write_file(output, parquet_bytes(result))
    else:
        emit(csv_text(result), output)
    _check_any(result)


def _check_files(output: Path | None, plot: Path | None, store: Path | None, page: Path | None) -> None:
    """Before the work rather than after it."""
    from rdusim.errors import OptionError, Problem

    for path, flag in ((output, "--output"), (plot, "--plot"), (store, "--store")):
        check_writable(path, flag)
    check_made(page, "--report", PAGE)
    if output is not None and output.suffix not in _ENDINGS:
        message = f"{output.name} says not in which form"
        raise OptionError(Problem(field="--output", message=message, hint=f"a name ending in {', '.join(_ENDINGS)}"))
    if plot is not None and plot.suffix != ".svg":
        raise OptionError(Problem(field="--plot", message=f"{plot.name} is no name of an SVG", hint="such as out.svg"))


def _experiment(context: click.Context, values: dict[str, Any]) -> Experiment:
    """What is asked: by the file, by options, or by a file with options over it."""
    from rdusim.errors import OptionError, Problem
    from rdusim.explore.axes import options
    from rdusim.explore.experiment import Experiment, is_experiment, is_scenario, read_experiment, wanted_of
    from rdusim.explore.serving import ServeRequest
    from rdusim.explore.space import LHS
    from rdusim.pipeline import RunRequest

    names = (*options(), "cut_after", "overrides")
    run = {name: values[name] for name in names}
    said = {name for name in run if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE}
    model = values["model"]
    wanted = [wanted_of(text) for text in values["vary"]]
    again = {each.path for each in wanted}
    request: Request
    if is_experiment(model):
        asked = read_experiment(Path(model))
        request = asked.request
    if is_scenario(model) or (is_experiment(model) and isinstance(request, ServeRequest)):
        if more := sorted(said - {"model"}):
            flags = ", ".join("--set" if name == "overrides" else f"--{name.replace('_', '-')}" for name in more)
            hint = "--vary changes its fields, such as machine.sockets=4"
            raise OptionError(Problem(field=flags, message="a scenario says that itself", hint=hint))
        if is_scenario(model):
            request = ServeRequest(file=model)
            asked = Experiment(request=request, title=Path(model).stem, wanted=())
    elif is_experiment(model):
        assert isinstance(asked.request, RunRequest)
        changes = {name: run[name] for name in said - {"model", "overrides", "cut_after"}}
        over = replace(asked.request, **changes)
        kept = (setting for setting in over.overrides if setting.partition("=")[0].strip() not in again)
        request = replace(over, overrides=(*kept, *run["overrides"]), cut_after=run["cut_after"])
    else:
        request = RunRequest(**run)
        asked = Experiment(request=request, title=model, wanted=())
    return replace(
        asked,
        request=request,
        wanted=(*(each for each in asked.wanted if each.path not in again), *wanted),
        zipped=(*asked.zipped, *(tuple(_names(text)) for text in values["zipped"])),
        samples=asked.samples if values["samples"] is None else values["samples"],
        sampling=values["sampling"] or asked.sampling or LHS,
        seed=asked.seed if values["seed"] is None else values["seed"],
        objectives=values["objective"] or asked.objectives,
        pareto=tuple(_names(values["pareto"])) or asked.pareto,
        metrics=tuple(_names(values["metrics"])) or asked.metrics,
        remap=values["remap"] or asked.remap,
    )


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in text.split(",")] if text else []


def _store(values: dict[str, Any]) -> Store:
    from rdusim.errors import OptionError, Problem
    from rdusim.explore.store import Store, open_default

    if values["no_store"]:
        if values["store"] is not None:
            raise OptionError(
                Problem(field="--store", message="--no-store keeps nothing", hint="leave one of them out")
            )
        return Store(None)
    return open_default() if values["store"] is None else Store(values["store"])


def _say_kept(store: Store, counts: Counts) -> None:
    done = counts.found + counts.computed
    if store.path is not None and done:
        message = f"{done:,} of {counts.points:,} points are kept in {store.path}: the same command goes on from there"
        click.echo(message, err=True)


def _say_done(result: SweepResult, counts: Counts) -> None:
    from rdusim.report.sweep import points

    failed = f", {result.failed:,} failed" if result.failed else ""
    message = f"{points(len(result))}: {counts.computed:,} computed, {counts.found:,} known before{failed}"
    click.echo(message, err=True)
    if 0 < result.failed < len(result):
        click.echo(f"the first that failed: {_first_error(result)}", err=True)


def _check_any(result: SweepResult) -> None:
    """Raises OptionError where no point ran: then something is wrong with what all of them have."""
    from rdusim.errors import OptionError, Problem

    if result.failed == len(result):
        raise OptionError(Problem(message=f"no point ran; the first: {_first_error(result)}"))


def _first_error(result: SweepResult) -> str:
    return next(error for error in result.errors if error is not None)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal's stderr; silent in pipes and files."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("points"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("points", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
