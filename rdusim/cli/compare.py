"""rdusim compare: runs side by side, with the reason for each difference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rdusim.cli.options import request_of, run_options
from rdusim.cli.output import PAGE, check_made, check_report, emit, emit_rich, is_json, progress, write_file


@click.command("compare")
@run_options
@click.option(
    "--with",
    "variants",
    multiple=True,
    metavar="CHANGE[,CHANGE]",
    help="A run to compare with: what it has otherwise, such as gpu/h100, unfused or batch=16; repeatable.",
)
@click.option(
    "--same-program", is_flag=True, help="Run what is compiled for the first machine, where only rates differ."
)
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON (docs/cli.md).")
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write it there instead.")
@click.option("--report", "page", type=click.Path(path_type=Path), metavar="FILE.html", help="Write a page to look at.")
def command(
    variants: tuple[str, ...],
    same_program: bool,
    as_json: bool,
    output: Path | None,
    page: Path | None,
    **values: Any,
) -> None:
    """Run MODEL as said and with changes, side by side, and say what makes the difference.

    A change is a machine (sn50, gpu/h100, my.yaml), a value that only one option has (unfused, host, discrete, paged,
    kernel-looping), OPTION=VALUE (batch=16, parallel=tp=4,pp=2, model=llama-3.1-70b), or a field of the machine
    (socket.memory.hbm.bandwidth=3.2TB/s). Several in one --with are joined by commas or blanks.
    """
    check_report(output)
    check_made(page, "--report", PAGE)
    from rdusim.explore.variants import asked
    from rdusim.pipeline.compare import compare
    from rdusim.pipeline.compare import same_program as with_one_program

    with progress() as observe:
        first, others = asked(request_of(values), variants)
        others = with_one_program(first, others) if same_program else others
        comparison = compare(first, others, observe=observe)
    if page is not None:
        from rdusim.pipeline.pictures import command_of
        from rdusim.report.compare_page import compare_page

        more = [word for variant in variants for word in ("--with", variant)]
        more += ["--same-program"] if same_program else []
        said = command_of("compare", first.request, *more, "--report", page.name)
        write_file(page, compare_page(comparison, command=said).encode())
    if is_json(as_json, output):
        from rdusim.report.comparison import as_json as json_of
        from rdusim.report.export import json_text

        emit(json_text(json_of(comparison)), output)
        return
    from rdusim.report.render_comparison import print_comparison

    emit_rich(lambda console: print_comparison(comparison, console), output)
