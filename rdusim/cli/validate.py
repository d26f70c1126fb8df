"""rdusim validate: published numbers against predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import click

from rdusim.cli.output import check_writable, emit, emit_rich, is_json, progress, write_file
from rdusim.errors import OptionError, Problem

if TYPE_CHECKING:
    from rich.console import Console

    from rdusim.report.cross_check import CrossCheck
    from rdusim.report.dram_check import DramCheck
    from rdusim.report.export import Json

FOUND: Final = 1  # exit code: a limit is broken
Found = TypeVar("Found", "CrossCheck", "DramCheck")


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
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    metavar="FILE.svg",
    help="Also draw predictions over published values (needs rdusim[plot]).",
)
def command(names: tuple[str, ...], as_json: bool, output: Path | None, update: Path | None, plot: Path | None) -> int:
    """Predict published results, and print the errors; exit code 1 if an accepted limit is broken.

    Sets: published (all of them), machine, intensity, fusion, kernels, decoder, generation, coe, gpu; and engines,
    which compares the engines with each other on every microbenchmark and every shipped model; and dram, which compares
    the closed form of a memory's efficiency with its commands.
    """
    check_writable(output, "--output")
    check_writable(update, "--update")
    check_writable(plot, "--plot")
    for name, run in _CHECKS.items():
        if name in names:
            if len(set(names)) > 1:
                message = f"{name} is no set of published targets"
                raise OptionError(Problem(field="--set", message=message, hint="ask for it alone"))
            if plot is not None:
                raise OptionError(
                    Problem(field="--plot", message=f"there is no picture of {name}", hint="leave it out")
                )
            return run(as_json, output, update)
    if update is not None and names:
        raise OptionError(Problem(field="--update", message="wants every set", hint="leave --set out"))
    page = _read(update)
    from rdusim.baselines.published import PUBLISHED, select
    from rdusim.baselines.published_rows import ROWS
    from rdusim.pipeline.validate import validate
    from rdusim.report.render_validate import print_validation, updated
    from rdusim.report.validation_plot import check_plot, validation_svg

    rows = select(ROWS, names or (PUBLISHED,), others=_CHECKS)
    if plot is not None:
        check_plot(plot)
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
    if plot is not None:
        write_file(plot, validation_svg(validation))
    return FOUND if validation.failed else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check(Generic[Found]):
    """Another kind of table than that of published targets, so it stands alone: how it is made, and its forms."""

    make: Callable[[Callable[[str], None]], Found]
    as_json: Callable[[Found], Json]
    markdown: Callable[[Found], str]
    show: Callable[[Found, Console], None]


def _engines(as_json: bool, output: Path | None, update: Path | None) -> int:
    from rdusim.pipeline.cross_check import cross_check
    from rdusim.report import cross_check as report

    check = _Check(
        make=lambda observe: cross_check(observe=observe),
        as_json=report.as_json,
        markdown=report.markdown,
        show=report.print_cross_check,
    )
    return _checked(check, as_json, output, update)


def _dram(as_json: bool, output: Path | None, update: Path | None) -> int:
    from rdusim.pipeline.dram_check import dram_check
    from rdusim.report import dram_check as report

    check = _Check(
        make=lambda observe: dram_check(observe=observe),
        as_json=report.as_json,
        markdown=report.markdown,
        show=report.print_dram_check,
    )
    return _checked(check, as_json, output, update)


_CHECKS: Final[Mapping[str, Callable[[bool, Path | None, Path | None], int]]] = {"engines": _engines, "dram": _dram}


def _checked(check: _Check[Found], as_json: bool, output: Path | None, update: Path | None) -> int:
    page = _read(update)
    from rdusim.report.render_validate import between_markers

    with progress() as observe:
        found = check.make(observe)
    if is_json(as_json, output):
        from rdusim.report.export import json_text

        emit(json_text(check.as_json(found)), output)
    else:
        emit_rich(lambda console: check.show(found, console), output)
    if update is not None:
        write_file(update, between_markers(page, check.markdown(found)).encode())
    return FOUND if found.failed else 0


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
