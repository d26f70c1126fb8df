"""rdusim sensitivity: which fields of the machine move a figure most."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rdusim.cli.options import request_of, run_options
from rdusim.cli.output import DRAWING, PAGE, check_made, check_report, emit, emit_rich, is_json, progress, write_file
from rdusim.errors import OptionError, Problem

if TYPE_CHECKING:
    from rdusim.explore.headlines import Headlines


@click.command("sensitivity")
@run_options
@click.option(
    "--metric", metavar="NAME", help="A number of the JSON of run, or switch_seconds.  [default: latency.total_seconds]"
)
@click.option("--by", metavar="SHARE", help="How far a value is moved down and up.  [default: 20%]")
@click.option(
    "--parameter",
    "patterns",
    multiple=True,
    metavar="PATH",
    help="Only this field, or those of a pattern such as launch.*; repeatable.",
)
@click.option("--assumed", "fields", flag_value="assumed", help="Only fields whose value is assumed.")
@click.option(
    "--rates", "fields", flag_value="rates", help="Only fields that need no new programs: bandwidths, latencies, costs."
)
@click.option(
    "--range", "ranges", multiple=True, metavar="PATH=LOW..HIGH", help="A range of doubt, in place of --by; repeatable."
)
@click.option("--remap", is_flag=True, help="Compile for every machine, not only where counts or sizes change.")
@click.option(
    "--all", "everything", is_flag=True, help="A row for every field, also for those that change next to nothing."
)
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE.svg", help="Also draw the bars (extra `plot`).")
@click.option("--report", "page", type=click.Path(path_type=Path), metavar="FILE.html", help="Write a page to look at.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON (docs/cli.md).")
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write it there instead; .csv: as a table."
)
def command(
    metric: str | None,
    by: str | None,
    patterns: tuple[str, ...],
    fields: str | None,
    ranges: tuple[str, ...],
    remap: bool,
    everything: bool,
    plot: Path | None,
    page: Path | None,
    as_json: bool,
    output: Path | None,
    **values: Any,
) -> None:
    """Move each numeric field of the machine down and up, one at a time, and show what that does to a run of MODEL.

    Counts go to the nearest value that the machine allows. MODEL may be a file of several figures
    (experiments/sensitivity/headlines.yaml), which has all options in it.
    """
    check_report(output, ".csv")
    check_made(plot, "--plot", DRAWING)
    check_made(page, "--report", PAGE)
    from rdusim.explore.headlines import is_headlines, read_headlines

    own = {"metric": metric, "by": by, "parameter": patterns, "assumed or --rates": fields, "range": ranges}
    if is_headlines(values["model"]):
        _check_alone(own, values)
        asked = read_headlines(Path(values["model"]))
    else:
        asked = _headlines(metric, by, patterns, fields, ranges, remap, values)
    if plot is not None:
        from rdusim.report.tornado import check_plot

        check_plot()
    from rdusim.explore.sensitivity import sensitivity
    from rdusim.pipeline import Cache

    cache = Cache()
    with progress() as observe:
        found = [sensitivity(question, cache=cache, observe=observe) for question in asked.questions]
    if plot is not None:
        from rdusim.report.tornado import tornado

        write_file(plot, tornado(found, asked.title))
    if page is not None:
        from rdusim.report.sensitivity_page import sensitivity_page

        said = _command(values, own, remap, page)
        write_file(page, sensitivity_page(found, title=asked.title, command=said).encode())
    if is_json(as_json, output):
        from rdusim.report.export import json_text
        from rdusim.report.sensitivity import as_json as json_of

        emit(json_text({"sensitivities": [json_of(each) for each in found]}), output)
    elif output is not None and output.suffix == ".csv":
        from rdusim.report.sensitivity import table

        write_file(output, table(found))
    else:
        from rdusim.report.render_sensitivity import print_sensitivity

        emit_rich(lambda console: print_sensitivity(found, console, everything=everything), output)


def _command(values: dict[str, Any], own: dict[str, Any], remap: bool, page: Path) -> str:
    """The command line that makes the page again."""
    from rdusim.pipeline.pictures import command_of

    words = []
    for name, value in own.items():
        if name == "assumed or --rates":
            words += [f"--{value}"] if value else []
        else:
            given = value if isinstance(value, tuple) else (value,) if value is not None else ()
            words += [word for each in given for word in (f"--{name}", each)]
    words += ["--remap"] if remap else []
    return command_of("sensitivity", request_of(values), *words, "--report", page.name)


def _headlines(
    metric: str | None,
    by: str | None,
    patterns: tuple[str, ...],
    fields: str | None,
    ranges: tuple[str, ...],
    remap: bool,
    values: dict[str, Any],
) -> Headlines:
    """The one question of a command line."""
    from rdusim.explore.headlines import Headlines, ends, share
    from rdusim.explore.sensitivity import BY, TOTAL, Fields, Question

    problems, found = [], {}
    try:
        moved = BY if by is None else share(by)
    except ValueError:
        moved = BY
        problems.append(Problem(field="--by", message=f"{by!r} is no share", hint="such as 20%"))
    for text in ranges:
        path, _, rest = text.partition("=")
        try:
            found[path.strip()] = ends(rest)
        except ValueError:
            hint = "such as socket.memory.hbm.latency=400ns..700ns"
            problems.append(Problem(field="--range", message=f"{text!r} is not PATH=LOW..HIGH", hint=hint))
    if problems:
        raise OptionError(*problems)
    question = Question(
        request=request_of(values),
        metric=metric or TOTAL,
        by=moved,
        fields=Fields(fields or Fields.ALL),
        patterns=patterns,
        ranges=found,
        remap=remap,
    )
    return Headlines(title="", questions=(question,))


def _check_alone(own: dict[str, Any], values: dict[str, Any]) -> None:
    """A file of headlines says all that is asked; an option that would be ignored is refused."""
    plain = request_of({"model": values["model"]})
    given = [f"--{name}" for name, value in own.items() if value]
    given += [
        f"--{name.replace('_', '-')}"
        for name, value in values.items()
        if value != getattr(plain, name) and name != "model"
    ]
    if given:
        message = f"{values['model']} says what is run and what is varied"
        raise OptionError(*(Problem(field=flag, message=message, hint="leave the option out") for flag in given))
