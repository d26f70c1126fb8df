from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

import rdusim

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ("arch", "graphs")

# Folders in which a new thing is one file and one line in the table of the folder's __init__.py.
TABLE_FOLDERS = ("graph/models", "graph/ops", "net/collectives")

# Each costs tens of milliseconds: `rdusim --help` must not wait for them (shared/facts/libraries.md).
HEAVY = ("numpy", "networkx", "yaml", "rich", "importlib.metadata")


def python(code: str, *, cwd: Path = ROOT, path: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(path)}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def loaded_by(code: str) -> set[str]:
    report = f"import sys\n{code}\nprint('loaded:', *[name for name in {HEAVY} if name in sys.modules])"
    done = python(report)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].removeprefix("loaded:").split())


def cli(*arguments: str) -> str:
    return f"""
from rdusim.cli import main
try:
    main({list(arguments)!r})
except SystemExit as end:
    assert not end.code, end.code
"""


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("run", "--help")])
def test_help_and_version_load_nothing_heavy(arguments: tuple[str, ...]) -> None:
    assert loaded_by(cli(*arguments)) == set()


def test_importing_rdusim_loads_nothing_heavy() -> None:
    assert loaded_by("import rdusim, rdusim.errors, rdusim.units, rdusim.dtypes") == set()


def test_the_version_has_its_section_in_the_changelog() -> None:
    newest = re.search(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest is not None
    assert newest[1] == rdusim.__version__


def names_in(module: Path) -> set[str]:
    """Dotted names that a module imports, or spells out as text (a lazy table)."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        match node:
            case ast.ImportFrom(module=str(source), names=aliases):
                names.update({source, *(f"{source}.{alias.name}" for alias in aliases)})
            case ast.Import(names=aliases):
                names.update(alias.name for alias in aliases)
            case ast.Constant(value=str(text)) if text.startswith("rdusim."):
                names.add(text.replace(":", "."))
    return names


def neighbours(module: Path) -> set[str]:
    """Files of the same folder that a module names."""
    here = ".".join(module.parent.relative_to(ROOT).parts) + "."
    return {name.removeprefix(here).split(".")[0] for name in names_in(module) if name.startswith(here)}


@pytest.mark.parametrize("folder", TABLE_FOLDERS)
def test_every_file_of_a_table_folder_is_in_its_table_or_used_by_one_that_is(folder: str) -> None:
    here = ROOT / "rdusim" / folder
    files = {file.stem: file for file in here.glob("*.py") if file.stem != "__init__"}
    reached = set[str]()
    fresh = neighbours(here / "__init__.py") & files.keys()
    assert fresh, "a table of nothing"
    while fresh:
        reached |= fresh
        fresh = {name for file in fresh for name in neighbours(files[file])} & files.keys() - reached
    assert files.keys() - reached == set()


def test_every_folder_of_modules_is_a_package() -> None:
    folders = {file.parent for file in (ROOT / "rdusim").rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


@pytest.mark.parametrize("name", rdusim.__all__)
def test_every_exported_name_is_found_where_the_package_says(name: str) -> None:
    assert getattr(rdusim, name).__name__ == name


def test_the_wheel_carries_and_finds_every_shipped_file(tmp_path: Path) -> None:
    wheel_builder = pytest.importorskip("hatchling.builders.wheel", reason="needs the dev extra")
    wheel = next(iter(wheel_builder.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])))
    with ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("rdusim/_data/")}
        archive.extractall(tmp_path / "site")
    on_disk = {
        f"rdusim/_data/{file.relative_to(ROOT).as_posix().removeprefix('experiments/')}"
        for folder in (*SHIPPED, "experiments/micro")
        for file in (ROOT / folder).rglob("*")
        if file.is_file()
    }
    assert packed == on_disk
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = python(cli("arch", "check", "sn40l") + cli("models", "list"), cwd=elsewhere, path=tmp_path / "site")
    assert done.returncode == 0, done.stderr
    assert "llama-3.1-8b" in done.stdout
