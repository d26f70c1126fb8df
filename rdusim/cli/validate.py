"""rdusim validate: published numbers against predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from rdusim.cli.output import check_writable, emit, emit_rich, is_json, progress, write_file
from rdusim.errors import OptionError, Problem

ENGINES: Final = "engines"
DRAM: Final = "dram"
FOUND: Final = 1  # exit code: a limit is broken


@click.command("validate")
@click.option(
    "--set", "names", multiple=True, metavar="NAME", help="Only this set of targets; repeatable.  [default: published]"
)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON (docs/cli.md).")
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write it there instead.")
@click.option(
    "--update",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write all tables into this Markdown file, between its two marker lines.",
)
def command(names: tuple[str, ...], as_json: bool, output: Path | None, update: Path | None) -> int:
    """Predict published results, and print the errors; exit code 1 if an accepted limit is broken.

    Sets: published (all of them), machine, intensity, fusion, kernels, decoder, generation, coe, gpu; and engines,
    which compares the engines with each other on every microbenchmark and every shipped model; and dram, which compares
    the closed form of a memory's efficiency with its commands.
    """
    check_writable(output, "--output")
    check_writable(update, "--update")
    if ENGINES in names:
        return _engines(names, as_json, output, update)
    if DRAM in names:
        return _dram(names, as_json, output, update)
    if update is not None and names:
        raise OptionError(Problem(field="--update", message="wants every set", hint="leave --set out"))
    page = _read(update)
    from rdusim.baselines.published import PUBLISHED, select
    from rdusim.baselines.published_rows import ROWS
    from rdusim.pipeline.validate import validate
    from rdusim.report.render_validate import print_validation, updated

    rows = select(ROWS, names or (PUBLISHED,), others=(ENGINES, DRAM))
    with progress() as observe:
        validation = validate(rows, observe=observe)
    if is_json(as_json, output):
        from rdusim.report.export import json_text
        from rdusim.report.validation import as_json as json_of

        emit(json_text(json_of(validation)), output)
    else:
        emit_rich(lambda console: print_validation(validation, console), output)
    if update is not None:
        write_file(update, updated(page, validation).encode())
    return FOUND if validation.failed else 0


def _engines(names: tuple[str, ...], as_json: bool, output: Path | None, update: Path | None) -> int:
    """`--set engines`: another kind of table, so it stands alone."""
    if len(set(names)) > 1:
        raise OptionError(
            Problem(field="--set", message="engines is no set of published targets", hint="ask for it alone")
        )
    page = _read(update)
    from rdusim.pipeline.cross_check import cross_check
    from rdusim.report.cross_check import as_json as json_of
    from rdusim.report.cross_check import markdown, print_cross_check
    from rdusim.report.render_validate import between_markers

    with progress() as observe:
        check = cross_check(observe=observe)
    if is_json(as_json, output):
        from rdusim.report.export import json_text

        emit(json_text(json_of(check)), output)
    else:
        emit_rich(lambda console: print_cross_check(check, console), output)
    if update is not None:
        write_file(update, between_markers(page, markdown(check)).encode())
    return FOUND if check.failed else 0


def _dram(names: tuple[str, ...], as_json: bool, output: Path | None, update: Path | None) -> int:
    """`--set dram`: patterns instead of runs, so it stands alone."""
    if len(set(names)) > 1:
        raise OptionError(
            Problem(field="--set", message="dram is no set of published targets", hint="ask for it alone")
        )
    page = _read(update)
    from rdusim.pipeline.dram_check import dram_check
    from rdusim.report.dram_check import as_json as json_of
    from rdusim.report.dram_check import markdown, print_dram_check
    from rdusim.report.render_validate import between_markers

    with progress() as observe:
        check = dram_check(observe=observe)
    if is_json(as_json, output):
        from rdusim.report.export import json_text

        emit(json_text(json_of(check)), output)
    else:
        emit_rich(lambda console: print_dram_check(check, console), output)
    if update is not None:
        write_file(update, between_markers(page, markdown(check)).encode())
    return FOUND if check.failed else 0


def _read(page: Path | None) -> str:
    """The page to update; refused before the work if it has no place for the tables."""
    if page is None:
        return ""
    from rdusim.report.render_validate import BEGIN, END, has_markers

    try:
        text = page.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise OptionError(Problem(field="--update", message=f"{page} cannot be read as text")) from None
    if not has_markers(text):
        hint = f"put these two lines where the tables shall stand: {BEGIN} {END}"
        raise OptionError(Problem(field="--update", message=f"{page} has no markers", hint=hint))
    return text
