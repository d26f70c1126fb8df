"""Commands, and `rdusim` as a fork of this process: a command of its own, without starting Python and importing again.

A command that names no file of its folder and makes none is run once: what it printed is known when it comes again,
whatever is piped behind it.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Final, NamedTuple

SECONDS: Final = 300  # a command that takes longer is stuck
BROKEN_PIPE: Final = 128 + 13  # as bash says it of SIGPIPE
SPECIAL: Final = re.compile(r"[<>&;()$`*?]|\\")  # a shell makes more of these than words


class Ended(NamedTuple):
    """`both`: stdout and stderr as a terminal shows them; `out`: stdout alone; `err`: stderr alone."""

    code: int
    out: bytes
    err: bytes


_known: dict[tuple[str, ...], Ended] = {}


def split(command: str) -> tuple[str, str]:
    """The first command of a pipeline, and what it is piped into (or nothing)."""
    quote = ""
    for place, letter in enumerate(command):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter == "|":
            return command[:place], command[place + 1 :]
        elif letter == "#" and command[place - 1 : place] in ("", " "):
            return command[:place], ""
    return command, ""


def arguments(first: str) -> list[str] | None:
    """The arguments of a plain `rdusim`; None for anything that takes a shell."""
    words = None if SPECIAL.search(first) else shlex.split(first)
    return words[1:] if words and words[0] == "rdusim" and hasattr(os, "fork") else None


def rdusim(words: list[str], rest: str, folder: Path, environment: Mapping[str, str]) -> tuple[str, int]:
    """What `rdusim WORDS | rest` prints, and its exit code."""
    ended = _known.get(tuple(words)) or _run(words, folder, environment)
    if not rest:
        return (ended.out + ended.err).decode(), ended.code
    with tempfile.NamedTemporaryFile() as file:
        file.write(ended.out)
        file.flush()
        # `head` leaves early: that `cat` could not write all of it is no failure of rdusim.
        printed, code = bash(f"(cat {file.name} 2> /dev/null; exit {ended.code}) | {rest}", folder, environment)
    return ended.err.decode() + printed, code


def bash(command: str, folder: Path, environment: Mapping[str, str]) -> tuple[str, int]:
    """What a command prints, and its exit code: that of the last of a pipeline that fails."""
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    # Killed for writing to `head`, which had seen enough: no failure, and whether it happens is a matter of luck.
    return done.stdout, 0 if done.returncode == BROKEN_PIPE else done.returncode


@cache
def _import_all() -> None:
    """Import what commands import when they are called, so that a child finds it done."""
    from rdusim.cli import COMMANDS

    for module, _ in COMMANDS.values():
        import_module(module)
    for module in (
        "rdusim.pipeline",
        "rdusim.pipeline.serving",
        "rdusim.report.render",
        "rdusim.report.render_serving",
    ):
        import_module(module)


def _run(words: list[str], folder: Path, environment: Mapping[str, str]) -> Ended:
    _import_all()
    before = {entry.name: entry.stat().st_mtime_ns for entry in os.scandir(folder)}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            _become(words, folder, environment, out.fileno(), err.fileno())
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        out.seek(0)
        err.seek(0)
        ended = Ended(code, out.read(), err.read())
    after = {entry.name: entry.stat().st_mtime_ns for entry in os.scandir(folder)}
    if before == after and not any(_names(word, folder) for word in words):
        _known[tuple(words)] = ended
    return ended


def _names(word: str, folder: Path) -> bool:
    """Whether an argument names something in the folder."""
    return any(part and (folder / part).exists() for part in re.split("[=,:]", word))


def _become(words: list[str], folder: Path, environment: Mapping[str, str], out: int, err: int) -> None:
    """In the child: be `rdusim WORDS`, and end."""
    code = 70
    try:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))  # not those of a test
        from rdusim.cli import main

        try:
            main(words)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
