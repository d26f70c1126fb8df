"""Runs the examples of the documentation and puts what they print into it.

    python docs/refresh_examples.py [FILE ...]           rewrite outputs in README.md and docs/*.md, or in FILE ...
    python docs/refresh_examples.py --check [FILE ...]   run only; exit code 1 if a command does not end as it should

An example is a fenced block that starts with ```console: lines beginning with `$ ` are commands, run by bash; the lines
under one are what it printed. A command is expected to end with 0, or with N where its line ends in `# exit code N`.
A ```yaml or ```python block whose first line is `# NAME.yaml` or `# NAME.py` is a file, which the commands after it on
that page find in their folder. The commands of a page share that folder; it is empty at first and thrown away.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
WIDTH: Final = 100  # columns of the printed output

BLOCK: Final = re.compile(r"^```(console|yaml|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME: Final = re.compile(r"# ([\w.-]+\.(?:yaml|py))\n")
EXIT_CODE: Final = re.compile(r"#\s*exit code (\d+)\s*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page with the outputs of its commands put in; `wrong` has a line for each that ended as it should not."""

    text: str
    commands: int
    wrong: list[str] = field(default_factory=list)


def pages() -> list[Path]:
    """The documents that may hold examples."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def refreshed(text: str) -> Page:
    """Run the commands of a page, in order, in a folder of their own."""
    with tempfile.TemporaryDirectory() as made:
        folder, tools = Path(made, "examples"), Path(made, "tools")
        folder.mkdir()
        tools.mkdir()
        _put_commands(tools)
        wrong: list[str] = []
        parts, end, commands = [], 0, 0
        for block in BLOCK.finditer(text):
            kind, body = block.groups()
            parts += [text[end : block.start(2)]]
            end = block.end(2)
            if kind != "console":
                parts.append(body)
                if named := FILE_NAME.match(body):
                    (folder / named[1]).write_text(body, encoding="utf-8")
                continue
            for command in _commands(body):
                printed, problem = _run(command, folder, tools)
                parts += [f"$ {command}\n", printed]
                commands += 1
                wrong += [problem] if problem else []
        return Page(text="".join([*parts, text[end:]]), commands=commands, wrong=wrong)


def _put_commands(folder: Path) -> None:
    """`python`, this one, and `rdusim`, which runs this checkout whether it is installed or not."""
    python = shlex.quote(sys.executable)
    main = "from rdusim.cli import main; main()"
    for name, line in (("python", f'{python} "$@"'), ("rdusim", f'{python} -c "{main}" "$@"')):
        script = folder / name
        script.write_text(f"#!/bin/sh\nexec {line}\n", encoding="utf-8")
        script.chmod(0o755)


def _commands(body: str) -> Iterator[str]:
    for line in body.splitlines():
        if line.startswith("$ "):
            yield line.removeprefix("$ ")


def _run(command: str, folder: Path, tools: Path) -> tuple[str, str | None]:
    """What a command printed, as a terminal shows it, and what is wrong with how it ended."""
    environment = os.environ | {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "NO_COLOR": "1",
        "COLUMNS": str(WIDTH),
    }
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    expected = int(said[1]) if (said := EXIT_CODE.search(command)) else 0
    problem = None
    if done.returncode != expected:
        problem = f"{command}: exit code {done.returncode} instead of {expected}\n{done.stdout}"
    printed = done.stdout.strip("\n")
    return f"{printed}\n" if printed else "", problem


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("files", nargs="*", type=Path, metavar="FILE")
    options.add_argument("--check", action="store_true", help="rewrite nothing")
    chosen = options.parse_args()
    failed = False
    for path in chosen.files or pages():
        text = path.read_text(encoding="utf-8")
        page = refreshed(text)
        for problem in page.wrong:
            print(f"{path}: {problem}", file=sys.stderr)
        failed |= bool(page.wrong)
        if not chosen.check and not page.wrong and page.text != text:
            path.write_text(page.text, encoding="utf-8")
            print(f"{path}: refreshed, {page.commands} commands")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
