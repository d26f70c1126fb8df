"""The documentation and the code name each other, and its examples run."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "rdusim"
DOCS = ROOT / "docs"
MODEL = (DOCS / "model.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]

CODE = re.compile(r"(?<![\w/])((?:\w+/)*\w+\.py):(\w+(?:\.\w+)*)")  # timing/pcu.py:interval
POINTER = re.compile(r'docs/model\.md,\s+"([^"]+)"')
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def sections() -> dict[str, str]:
    """Heading -> the text under it, that of the headings within it included."""
    found: dict[str, str] = {}
    marks = list(re.finditer(r"^(#+) (.+)$", MODEL, re.MULTILINE))
    for number, mark in enumerate(marks):
        ends = (other.start() for other in marks[number + 1 :] if len(other[1]) <= len(mark[1]))
        found[mark[2]] = MODEL[mark.end() : next(ends, len(MODEL))]
    return found


def pointers() -> Iterator[tuple[str, str]]:
    """File below rdusim/, and a heading of model.md that it points to."""
    for file in sorted(PACKAGE.rglob("*.py")):
        for heading in POINTER.findall(file.read_text(encoding="utf-8")):
            yield (
                file.relative_to(PACKAGE).as_posix(),
                " ".join(heading.split()),
            )  # a docstring may break its line there


@cache
def defined(file: str) -> frozenset[str]:
    """Names of a module, and `Class.name` of what stands in its classes."""

    def names(body: list[ast.stmt], prefix: str) -> Iterator[str]:
        for node in body:
            match node:
                case ast.FunctionDef(name=name):
                    yield prefix + name
                case ast.ClassDef(name=name, body=inner):
                    yield prefix + name
                    yield from names(inner, f"{prefix}{name}.")
                case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                    yield prefix + name

    return frozenset(names(ast.parse((PACKAGE / file).read_text(encoding="utf-8")).body, ""))


def test_every_name_of_the_code_in_the_model_exists() -> None:
    named = set(CODE.findall(MODEL))
    assert len(named) > 50, "names are no longer written as file:function"
    missing = [f"{file}:{name}" for file, name in sorted(named) if not (PACKAGE / file).is_file()]
    missing += [
        f"{file}:{name}" for file, name in sorted(named) if (PACKAGE / file).is_file() and name not in defined(file)
    ]
    assert missing == []


@pytest.mark.parametrize(("file", "heading"), sorted(set(pointers())))
def test_where_code_points_the_model_speaks_of_that_code(file: str, heading: str) -> None:
    found = sections()
    assert heading in found, f"rdusim/{file} points to a heading that docs/model.md does not have"
    assert file in {named for named, _ in CODE.findall(found[heading])}


def test_every_public_function_of_a_unit_stands_in_the_model() -> None:
    named = set(CODE.findall(MODEL))
    left_out = [
        f"timing/{file.name}:{name}"
        for file in sorted((PACKAGE / "timing").glob("*.py"))
        for name in sorted(defined(f"timing/{file.name}"))
        if name.islower()
        and not name.startswith("_")
        and "." not in name
        and (f"timing/{file.name}", name) not in named
    ]
    assert left_out == []


def test_every_type_in_the_glossary_exists() -> None:
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    types = re.findall(r"`(arch|graph|program|mapping|sim|net|kernel|serve)\.([A-Z]\w+)`", text)
    assert len(types) > 20, "types are no longer written as package.Type"
    home = {"sim": "trace"}
    assert [
        f"{package}.{name}"
        for package, name in types
        if name not in defined(f"{package}/{home.get(package, 'types')}.py")
    ] == []


def anchors(page: Path) -> set[str]:
    """Anchors as MyST and GitHub make them of headings."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for path, anchor in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(f"{path}#{anchor}" if anchor else path)
    assert broken == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if "\n```console\n" in page.read_text(encoding="utf-8")], ids=lambda page: page.name
)
def test_every_example_ends_as_it_should(page: Path) -> None:
    command = [sys.executable, str(DOCS / "refresh_examples.py"), "--check", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
