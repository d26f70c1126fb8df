"""Literal blocks of a Markdown page, and what each is: something that is run, a file, an edit, or no code at all.

Every block says what it is by the first word behind its fence; a second word is the name of a file.

    console      commands behind `$ `, each with what it printed
    python       run, all blocks of a page in one namespace; with a name: a file
    output       what the Python block before it printed
    yaml, json   files: the name stands behind the fence, or in the first line, as in `# NAME.yaml`
    diff         an edit of the files that its `+++` lines name
    text         no code: a synopsis, an equation, a place on the screen
    {name}       a directive of Sphinx

In docs/model.md indented blocks are equations. Elsewhere nothing is indented, for nobody could say what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

FILES: Final = ("yaml", "json", "toml", "csv")
KINDS: Final = ("console", "python", "output", *FILES, "diff", "text")
DIRECTIVES: Final = ("eval-rst", "figure", "image", "math", "toctree")
EQUATIONS: Final = ("docs/model.md",)  # pages whose indented blocks are equations

NAMED: Final = re.compile(r"(?:#|//) ([\w./-]+\.\w+)\n")
EDITED: Final = re.compile(r"^\+\+\+ (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A literal block. `first`, `last`: its lines in the page, from 0, without the fences, the last excluded.

    `name`: of the file that it is; empty if it is none. `nested`: it stands in a list or a quotation.
    """

    kind: str
    name: str
    body: str
    first: int
    last: int
    nested: bool = False


def blocks(text: str) -> list[Block]:
    """The fenced and the indented blocks of a page, in order; those that are indented have the kind `indented`."""
    return [_block(token) for token in MarkdownIt("commonmark").parse(text) if token.type in ("fence", "code_block")]


def _block(token: Token) -> Block:
    first, last = token.map or (0, 0)
    if token.type == "code_block":
        return Block(kind="indented", name="", body=token.content, first=first, last=last)
    kind, _, name = token.info.strip().partition(" ")
    if not name and kind in (*FILES, "python") and (said := NAMED.match(token.content)):
        name = said[1]
    return Block(kind=kind, name=name, body=token.content, first=first + 1, last=last - 1, nested=token.level > 0)


def problems(page: str, text: str) -> Iterator[str]:
    """What is wrong with the blocks of a page; `page` is its path in the checkout."""
    found = blocks(text)
    for number, block in enumerate(found):
        if problem := _problem(page, found, number):
            yield f"{page}:{block.first + 1}: {problem}"


def _problem(page: str, found: Sequence[Block], number: int) -> str | None:
    block = found[number]
    if block.kind == "indented":
        return None if page in EQUATIONS else "an indented block: fence it and say what it is"
    if block.kind.startswith("{"):
        return None if block.kind[1:-1] in DIRECTIVES else f"an unknown directive {block.kind}"
    if block.kind not in KINDS:
        return f"a block of the kind '{block.kind}': nobody runs that ({', '.join(KINDS)})"
    if block.kind == "text":
        return "commands in a block of text" if re.search(r"^\$ ", block.body, re.MULTILINE) else None
    if block.nested:
        return "a block in a list is not run: put it at the margin"
    if block.kind in FILES and not block.name:
        return "a file without a name: nothing reads it"
    if block.kind == "diff" and not EDITED.search(block.body):
        return "an edit without a line '+++ FILE'"
    if block.kind == "output" and (not number or found[number - 1].kind != "python" or found[number - 1].name):
        return "output of nothing: it stands behind a Python block"
    if block.name and not _is_used(block, found[number + 1 :]):
        return f"nothing on this page uses {block.name}"
    return None


def _is_used(file: Block, later: Sequence[Block]) -> bool:
    """A file is used where its name, or that of its folder, stands in what is run after it or in another file."""
    path = Path(file.name)
    names = {path.name, path.stem, *(part for part in path.parts[:-1] if part not in ("rdusim", "tests"))}
    run = "\n".join(block.body for block in later if block.kind in ("console", "python", "diff", *FILES))
    return any(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", run) for name in names)
