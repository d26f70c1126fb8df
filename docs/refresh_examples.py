"""Runs the examples of the documentation and puts what they print into it.

    python docs/refresh_examples.py [FILE ...]           rewrite outputs in README.md and docs/, or in FILE ...
    python docs/refresh_examples.py --check [FILE ...]   run only; exit code 1 if a command does not end as it should
    python docs/refresh_examples.py --compare [FILE ...] the same, and also if it prints something else than the page
    python docs/refresh_examples.py --audit [FILE ...]   run nothing; exit code 1 if a block says not what it is

docs/_examples/blocks.py says which blocks there are. In a ```console block lines beginning with `$ ` are commands, run
by bash; the lines under one are what it printed. A command is expected to end with 0, or with N where its line ends in
`# exit code N`. A block that is a file lies in the folder of the page for all that comes after it. That folder is empty
at first and thrown away; where the page adds to rdusim itself, it holds a copy of this checkout.
"""

from __future__ import annotations

import argparse
import difflib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from _examples.blocks import Block, blocks, problems
from _examples.folder import ROOT, Folder, execute, opened, put, run

EXPERIMENTS: Final = ROOT / "experiments"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page with the outputs of its examples put in; `wrong` has a line for each that ended as it should not."""

    text: str
    examples: int
    wrong: list[str] = field(default_factory=list)


def pages() -> list[Path]:
    """The documents that may hold examples."""
    top = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "graphs" / "README.md"]
    return [*top, *sorted((ROOT / "docs").rglob("*.md")), *sorted(EXPERIMENTS.rglob("README.md"))]


def refreshed(text: str, cache: Path) -> Page:
    """Try the blocks of a page, in order, in a folder of their own."""
    found = blocks(text)
    lines = text.splitlines(keepends=True)
    parts, end, examples = list[str](), 0, 0
    wrong = list[str]()
    with opened(found, cache) as folder:
        printed = ""
        for block in found:
            tried = _try(folder, block, printed)
            if tried is None:
                continue
            body, printed, problems = tried
            wrong += problems
            examples += 1
            parts += [*lines[end : block.first], body]
            end = block.last
    return Page(text="".join([*parts, *lines[end:]]), examples=examples, wrong=wrong)


def _try(folder: Folder, block: Block, printed: str) -> tuple[str, str, list[str]] | None:
    """What the block shall say, what it printed if it is Python, and its problems; None: there is nothing to try."""
    match block.kind:
        case "console":
            body, wrong = "", list[str]()
            for command in _commands(block.body):
                shown, problem = run(folder, command)
                body += f"$ {command}\n{shown}"
                wrong += [problem] if problem else []
            return body, "", wrong
        case "output":
            return printed, "", []
        case "python" if not block.name:
            shown, problem = execute(folder, block.body)
            return block.body, shown, [problem] if problem else []
        case _ if block.name or block.kind == "diff":
            problem = put(folder, block)
            return block.body, "", [problem] if problem else []
    return None


def _commands(body: str) -> Iterator[str]:
    for line in body.splitlines():
        if line.startswith("$ "):
            yield line.removeprefix("$ ")


def audit(files: Sequence[Path]) -> list[str]:
    """What is wrong with the blocks of these pages, without running them."""
    return [
        problem
        for file in files
        for problem in problems(
            file.relative_to(ROOT).as_posix() if file.is_relative_to(ROOT) else str(file),
            file.read_text(encoding="utf-8"),
        )
    ]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("files", nargs="*", type=Path, metavar="FILE")
    for name in ("check", "compare", "audit"):
        options.add_argument(f"--{name}", action="store_true")
    chosen = options.parse_args()
    files = [file.resolve() for file in chosen.files] or pages()
    if chosen.audit:
        found = audit(files)
        print(*found, sep="\n", end="\n" if found else "", file=sys.stderr)
        return 1 if found else 0
    sys.path.insert(0, str(ROOT))  # `rdusim` of this checkout, installed or not
    with tempfile.TemporaryDirectory() as cache:
        return max([_one(path, Path(cache), chosen) for path in files], default=0)


def _one(path: Path, cache: Path, chosen: argparse.Namespace) -> int:
    text = path.read_text(encoding="utf-8")
    page = refreshed(text, cache)
    wrong = [*page.wrong]
    if chosen.compare and not wrong and page.text != text:
        change = difflib.unified_diff(text.splitlines(), page.text.splitlines(), "page", "printed", lineterm="", n=1)
        wrong += ["\n".join([*change, "python docs/refresh_examples.py puts it right"])]
    for problem in wrong:
        print(f"{path}: {problem}", file=sys.stderr)
    if not (chosen.check or chosen.compare or wrong) and page.text != text:
        path.write_text(page.text, encoding="utf-8")
        print(f"{path}: refreshed, {page.examples} examples")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
