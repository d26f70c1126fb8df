"""The documentation and the code name each other, and its examples run."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest
import refresh_examples  # of docs/
import yaml
from _examples.blocks import Block, blocks, problems
from _examples.folder import Folder, execute, opened, put, run

import rdusim
from rdusim.pipeline.scenario_load import PROCESSES, SOURCES
from rdusim.pipeline.scenario_types import KvEntry, Scenario, SchedulerEntry
from rdusim.serve.dispatch import DISPATCHERS
from rdusim.serve.expert_cache import POLICIES as CACHES
from rdusim.serve.router import POLICIES as ROUTERS
from rdusim.serve.schedulers import SCHEDULERS

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "rdusim"
DOCS = ROOT / "docs"
MODEL = (DOCS / "model.md").read_text(encoding="utf-8")
PAGES = refresh_examples.pages()

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


# Files made of equations, besides those of timing/, and their public functions that only look something up.
EQUATIONS = (
    "mapping/claim.py",
    "mapping/costs.py",
    "net/choose.py",
    "net/run.py",
    "program/estimate.py",
    "report/memory_loss.py",
    "sim/alone.py",
    "sim/credits.py",
    "sim/flow.py",
    "sim/schedule.py",
    "baselines/gpu/exchange.py",
    "baselines/gpu/kernels.py",
)
LOOK_UPS = {("mapping/claim.py", "tier_of"), ("sim/alone.py", "stage_times")}


def test_every_public_function_of_a_unit_stands_in_the_model() -> None:
    named = set(CODE.findall(MODEL)) | LOOK_UPS
    timing = [f"timing/{file.name}" for file in (PACKAGE / "timing").glob("*.py")]
    left_out = [
        f"{file}:{name}"
        for file in sorted((*timing, *EQUATIONS))
        for name in sorted(defined(file))
        if name.islower() and not name.startswith("_") and "." not in name and (file, name) not in named
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


def test_the_format_of_scenarios_in_its_readme_is_what_their_reader_takes() -> None:
    page = (ROOT / "experiments" / "coe" / "README.md").read_text(encoding="utf-8")
    (text,) = [block.body for block in blocks(page) if block.body.startswith("schema: rdusim-scenario/1")]
    said = yaml.safe_load(text)
    names = {cls: {field.name for field in fields(cls)} for cls in (Scenario, KvEntry, SchedulerEntry)}
    assert set(said) == names[Scenario] - {"file", "region", "prices"} | {"schema", "hbm", "price"}
    assert set(said["kv"]) == names[KvEntry]
    assert set(said["scheduler"]) == names[SchedulerEntry]
    for table in (CACHES, ROUTERS, SCHEDULERS, DISPATCHERS, PROCESSES, SOURCES):
        assert [name for name in table if not re.search(rf"\b{name}\b", text)] == []


@pytest.mark.parametrize("name", rdusim.__all__)
def test_every_exported_name_is_in_the_reference_and_says_what_it_is(name: str) -> None:
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    noun = getattr(rdusim, name)
    assert f".. autofunction:: rdusim.{name}\n" in page or f".. automodule:: {noun.__module__}\n" in page
    assert noun.__doc__ and not noun.__doc__.startswith(f"{name}(")  # which is what a dataclass says of itself


# ---- examples ----

# What one process runs: it knows what it has run before. (Two groups, for two cores.)
GROUPS = {
    "tour": [page for page in PAGES if page.name in ("README.md", "tutorial.md")],
    "rest": [page for page in PAGES if page.name not in ("README.md", "tutorial.md")],
}


def test_every_block_says_what_it_is_and_nothing_that_could_run_is_left_out() -> None:
    assert refresh_examples.audit(PAGES) == []


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_every_example_prints_what_the_page_says(group: str) -> None:
    command = [sys.executable, str(DOCS / "refresh_examples.py"), "--compare", *map(str, GROUPS[group])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("```\nrdusim run gpt2\n```\n", "nobody runs that"),
        ("```bash\nrdusim run gpt2\n```\n", "nobody runs that"),
        ("Run\n\n    rdusim run gpt2\n", "an indented block"),
        ("- first\n  ```console\n  $ rdusim run gpt2\n  ```\n", "a block in a list"),
        ("```text\n$ rdusim run gpt2\n```\n", "commands in a block of text"),
        ("```yaml\na: 1\n```\n", "a file without a name"),
        ("```yaml\n# a.yaml\na: 1\n```\n", "nothing on this page uses a.yaml"),
        ("```diff\n+a\n```\n", "an edit without"),
        ("```output\n1\n```\n", "output of nothing"),
        ("```{code-block} python\n1\n```\n", "an unknown directive"),
    ],
)
def test_a_block_that_nobody_would_run_is_found(text: str, complaint: str) -> None:
    (found,) = problems("docs/page.md", text)
    assert complaint in found


def test_files_that_are_used_equations_and_directives_are_in_order() -> None:
    text = "```yaml\n# a.yaml\na: 1\n```\n\n```console\n$ cat a.yaml\n```\n\n```{toctree}\nmodel\n```\n"
    assert list(problems("docs/page.md", text)) == []
    assert list(problems("docs/model.md", "so\n\n    time = bytes / rate\n")) == []


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    with opened([], tmp_path) as found:
        yield found


def test_outputs_are_put_under_their_commands_and_all_else_stays(tmp_path: Path) -> None:
    text = "# A\n\n```console\n$ echo one\nold\n$ echo two | tr t T\n```\n\nend\n\n```text\nas it is\n```\n"
    page = refresh_examples.refreshed(text, tmp_path)
    assert page.text == text.replace("old", "one").replace("T\n```", "T\nTwo\n```")
    assert page.wrong == []


def test_python_blocks_of_a_page_share_their_names_and_show_what_they_print(tmp_path: Path) -> None:
    text = "```python\na = 20\n```\n\n```python\nprint(a + 1)\n```\n```output\nold\n```\n"
    assert refresh_examples.refreshed(text, tmp_path).text == text.replace("old", "21")
    (problem,) = refresh_examples.refreshed("```python\n1 / 0\n```\n", tmp_path).wrong
    assert "ZeroDivisionError" in problem


@pytest.mark.parametrize(
    ("command", "printed", "fails"),
    [
        ("rdusim --version", "rdusim, version", False),
        ("rdusim --version | tr r R | head -1", "Rdusim, veRsion", False),
        ("rdusim run no-such-model  # exit code 2", "no-such-model", False),
        ("rdusim run no-such-model", "no-such-model", True),
        ("rdusim run no-such-model | cat", "no-such-model", True),
        ("rdusim --version  # exit code 1", "version", True),
        ("false", "", True),
    ],
)
def test_a_command_prints_and_ends_as_in_a_terminal(folder: Folder, command: str, printed: str, fails: bool) -> None:
    shown, problem = run(folder, command)
    assert printed in shown
    assert (problem is not None) == fails


def edit(body: str) -> Block:
    return Block(kind="diff", name="", body=body, first=0, last=0)


def test_an_edit_replaces_what_stands_there_once(folder: Folder) -> None:
    file = folder.path / "a.txt"
    file.write_text("one\ntwo\nthree\ntwo and a half\n", encoding="utf-8")
    assert put(folder, edit("--- a.txt\n+++ a.txt\n@@\n one\n-two\n+2\n@@\n three\n+3.5\n")) is None
    assert file.read_text(encoding="utf-8") == "one\n2\nthree\n3.5\ntwo and a half\n"
    problem = put(folder, edit("--- a.txt\n+++ a.txt\n@@\n-four\n"))
    assert problem is not None and "0 times" in problem
    problem = put(folder, edit("--- b.txt\n+++ b.txt\n@@\n-four\n"))
    assert problem is not None and "no such file" in problem


def test_a_page_that_adds_to_rdusim_runs_its_own_copy(tmp_path: Path) -> None:
    page = blocks("```python\n# rdusim/extra.py\nWORD = 'added'\n```\n")
    with opened(page, tmp_path) as folder:
        assert put(folder, page[0]) is None
        assert execute(folder, "import rdusim.extra; print(rdusim.extra.WORD)") == ("added\n", None)
        assert run(folder, "python -c 'import rdusim.extra'") == ("", None)
    assert not (PACKAGE / "extra.py").exists()
