"""Where results and progress go: stdout or a file, and a terminal's stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from rdusim.errors import OptionError, Problem

if TYPE_CHECKING:
    from rich.console import Console

FILE_WIDTH = 120  # columns of text that goes to a file
PAGE: Final = (".html", ".htm")
DRAWING: Final = (".svg",)
# Endings that promise what a report for people is not.
_OTHER_FORMS: Final = (".csv", ".tsv", ".parquet", ".yaml", ".yml", *PAGE, *DRAWING)


def check_writable(path: Path | None, flag: str) -> None:
    """Raises OptionError before the work rather than after it when a file cannot be made there."""
    if path is None:
        return
    folder = path.parent
    if path.is_dir():
        raise OptionError(Problem(field=flag, message=f"{path} is a folder", hint="give the name of a file"))
    if not folder.is_dir():
        raise OptionError(
            Problem(field=flag, message=f"there is no folder {folder}", hint="make it first, or name another")
        )
    if not os.access(folder, os.W_OK):
        raise OptionError(Problem(field=flag, message=f"{folder} cannot be written to", hint="name another folder"))


def check_made(path: Path | None, flag: str, endings: tuple[str, ...]) -> None:
    """The same of a file that is made in one form only, whatever its name says: the name must say that form."""
    if path is not None and path.suffix.lower() not in endings:
        message, hint = f"{path.name} has no known ending", f"what is written is {' or '.join(endings)}"
        raise OptionError(Problem(field=flag, message=message, hint=hint))
    check_writable(path, flag)


def check_report(path: Path | None, *tables: str) -> None:
    """The same of `--output`: JSON, text for people, or a form of `tables`, and no name of another form."""
    if path is not None and path.suffix.lower() in set(_OTHER_FORMS) - set(tables):
        message, hint = f"nothing is written as {path.suffix}", f"{', '.join(('.json', *tables))}, or .txt for text"
        raise OptionError(Problem(field="--output", message=message, hint=hint))
    check_writable(path, "--output")


def write_file(path: Path, content: bytes) -> None:
    """The whole file or none of it: written beside its place, then renamed. Raises OptionError when that fails.

    A link stays one: its target is written. What is no regular file (a pipe, a device) is written to directly.
    """
    path = path.resolve() if path.is_symlink() else path
    if path.exists() and not path.is_file():
        _write_through(path, content)
        return
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        raise OptionError(Problem(message=f"cannot be written: {error.strerror}", file=str(path))) from None
    finally:
        part.unlink(missing_ok=True)
    click.echo(f"wrote {path}", err=True)


def _write_through(path: Path, content: bytes) -> None:
    try:
        with path.open("wb") as sink:
            sink.write(content)
    except OSError as error:
        raise OptionError(Problem(message=f"cannot be written: {error.strerror}", file=str(path))) from None


def emit(text: str, output: Path | None) -> None:
    """A result that is text already."""
    if output is None:
        click.echo(text, nl=False)
    else:
        write_file(output, text.encode())


def emit_rich(print_to: Callable[[Console], None], output: Path | None) -> None:
    """A result printed with rich: colours for a terminal (unless NO_COLOR is set), plain text for pipes and files."""
    from io import StringIO

    from rich.console import Console

    stdout = Console(highlight=False, markup=False, emoji=False)
    if output is None and stdout.is_terminal:
        print_to(stdout)
        return
    text = StringIO()
    width = stdout.width if output is None else FILE_WIDTH
    print_to(Console(file=text, width=width, highlight=False, markup=False, emoji=False, color_system=None))
    # Tables are padded to their width: nobody wants that in a file.
    emit("".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines()), output)


def is_json(as_json: bool, output: Path | None) -> bool:
    """JSON when it was asked for, or when the file's name says so."""
    return as_json or (output is not None and output.suffix == ".json")


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """A line on a terminal's stderr that says what is being done; silent in pipes and files."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status("reading") as status:
        yield status.update
