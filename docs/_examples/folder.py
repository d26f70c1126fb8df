"""A folder in which the examples of one page are tried, in order; it is empty at first and thrown away.

A page that adds to rdusim itself (a file or an edit below `rdusim/`, `arch/`, ...) has a copy of the checkout in its
folder, and its commands run that copy.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from _examples import forked
from _examples.blocks import EDITED, FILES, Block

ROOT: Final = Path(__file__).resolve().parents[2]
CHECKOUT: Final = ("rdusim/", "arch/", "graphs/", "tests/")  # a page that writes below these adds to rdusim itself
COPIED: Final = (*CHECKOUT, "experiments/micro", "pyproject.toml")
WIDTH: Final = 100  # columns of the printed output

EXIT_CODE: Final = re.compile(r"#\s*exit code (\d+)\s*$")
HUNK: Final = re.compile(r"^@@.*\n", re.MULTILINE)

# Executes each line of its input, a string in JSON, in one namespace, and says after each what it ended with.
INTERPRETER: Final = """
import json, sys, traceback
names = {"__name__": "__main__"}
for line in sys.stdin:
    try:
        exec(compile(json.loads(line), "<page>", "exec"), names)
        code = 0
    except BaseException:
        traceback.print_exc(file=sys.stdout)
        code = 1
    print(f"\\0{code}", flush=True)
"""


@dataclass(slots=True)
class Folder:
    """Where a page is tried. `environment`: of its commands. `own`: its commands run a copy of rdusim."""

    path: Path
    environment: Mapping[str, str]
    own: bool
    interpreter: subprocess.Popen[str] | None = field(default=None)


@contextlib.contextmanager
def opened(found: Sequence[Block], cache: Path) -> Iterator[Folder]:
    """A folder for the blocks of a page. `cache`: where `rdusim` keeps what it has simulated."""
    with tempfile.TemporaryDirectory() as made:
        path, tools = Path(made, "examples"), Path(made, "tools")
        path.mkdir()
        tools.mkdir()
        _put_commands(tools)
        if own := any(name.startswith(CHECKOUT) for block in found for name in _written(block)):
            _copy_checkout(path)
        environment = os.environ | {
            "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(path if own else ROOT),
            "RDUSIM_CACHE": str(cache),
            "NO_COLOR": "1",
            "COLUMNS": str(WIDTH),
        }
        folder = Folder(path, environment, own)
        try:
            yield folder
        finally:
            if folder.interpreter is not None:
                folder.interpreter.communicate()


def _written(block: Block) -> list[str]:
    return EDITED.findall(block.body) if block.kind == "diff" else [block.name] if block.name else []


def _put_commands(folder: Path) -> None:
    """`python` and `pytest` of this interpreter, `rdusim` of the checkout, and a `make` that only finds its targets.

    (The targets of the Makefile build and test the checkout itself: CI runs them, an example cannot.)
    """
    python, main = shlex.quote(sys.executable), "from rdusim.cli import main; main()"
    lines = {
        "python": f'{python} "$@"',
        "pytest": f'{python} -m pytest -p no:cacheprovider -p no:randomly "$@"',
        "rdusim": f'{python} -c "{main}" "$@"',
        "make": f'{shutil.which("make") or "make"} --dry-run -C {shlex.quote(str(ROOT))} "$@" > /dev/null',
    }
    for name, line in lines.items():
        script = folder / name
        script.write_text(f"#!/bin/sh\nexec {line}\n", encoding="utf-8")
        script.chmod(0o755)


def _copy_checkout(folder: Path) -> None:
    for name in COPIED:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


# ---- files and edits ----


def put(folder: Folder, block: Block) -> str | None:
    """Write the file that a block is, or make its edits; the problem, if there is one."""
    if block.kind in (*FILES, "python"):
        path = folder.path / block.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.body, encoding="utf-8")
        return None
    for name, change in _changes(block.body):
        path = folder.path / name
        if not path.is_file():
            return f"{name}: no such file to edit"
        text = path.read_text(encoding="utf-8")
        for before, after in change:
            if text.count(before) != 1:
                return f"{name}: stands there {text.count(before)} times, once was expected:\n{before}"
            text = text.replace(before, after)
        path.write_text(text, encoding="utf-8")
    return None


def _changes(body: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """File after file of an edit: what is replaced, and by what. Line numbers are not needed: the context is unique."""
    parts = EDITED.split(body)
    for name, part in zip(parts[1::2], parts[2::2], strict=True):
        own = part.partition("\n--- ")[0].strip("\n")
        hunks = [hunk for hunk in HUNK.split(own) if hunk.strip()]
        yield name, [(_side(hunk, "-"), _side(hunk, "+")) for hunk in hunks]


def _side(hunk: str, sign: str) -> str:
    lines = [line for line in hunk.splitlines() if line[:1] in ("", " ", sign)]
    return "".join(f"{line[1:]}\n" for line in lines)


# ---- commands and Python ----


def run(folder: Folder, command: str) -> tuple[str, str | None]:
    """What a command printed, as a terminal shows it, and what is wrong with how it ended."""
    first, rest = forked.split(command)
    if not folder.own and (arguments := forked.arguments(first)) is not None:
        printed, code = forked.rdusim(arguments, rest, folder.path, folder.environment)
    else:
        printed, code = forked.bash(command, folder.path, folder.environment)
    expected = int(said[1]) if (said := EXIT_CODE.search(command)) else 0
    problem = f"{command}: exit code {code} instead of {expected}\n{printed}" if code != expected else None
    return _tidied(printed, folder.path), problem


def execute(folder: Folder, code: str) -> tuple[str, str | None]:
    """What a Python block printed, and what is wrong with how it ended."""
    if folder.interpreter is None:
        folder.interpreter = subprocess.Popen(
            [sys.executable, "-c", INTERPRETER],
            cwd=folder.path,
            env=folder.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    to, back = folder.interpreter.stdin, folder.interpreter.stdout
    assert to is not None and back is not None
    to.write(json.dumps(code) + "\n")
    to.flush()
    printed, ended = _until_end(back)
    return _tidied(printed, folder.path), None if ended == "0" else f"a Python block failed:\n{code}\n{printed}"


def _until_end(back: IO[str]) -> tuple[str, str]:
    lines: list[str] = []
    for line in back:
        text, mark, code = line.partition("\0")
        lines.append(text)
        if mark:
            return "".join(lines), code.strip()
    return "".join(lines), "the interpreter ended"


def _tidied(printed: str, folder: Path) -> str:
    """Without blanks at the ends of lines, and without the name of the folder."""
    printed = printed.replace(f"{folder}{os.sep}", "")
    lines = [line.rstrip() for line in printed.strip("\n").splitlines()]
    return "".join(f"{line}\n" for line in lines)
