"""No parameter differs between workloads: one machine file serves every row, and no code knows a model by its name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest

from rdusim.arch.show import show_arch
from rdusim.baselines.gpu.load import AS_THE_PAPER
from rdusim.baselines.published import Case, Measure
from rdusim.baselines.published_rows import CHOSEN, MACHINE, ROWS
from rdusim.errors import OptionError
from rdusim.graph.catalog import list_models
from rdusim.graph.models import FAMILIES
from rdusim.pipeline import RunRequest, validate, validate_coe
from rdusim.pipeline.stages import Cache

ROOT = Path(__file__).resolve().parents[2]
# Where a model's name belongs: what reads and builds models, and tables of what was published or found about some.
OF_MODELS = ("graph/models/", "graph/readers/", "graph/gradients/", "graph/class_defaults.py")
TABLES = (
    "baselines/published.py",
    "baselines/published_rows.py",
    "baselines/engine_differences.py",
    "baselines/explanations.py",
    "pipeline/cross_check.py",  # names the model that is small enough for the engine cycle
)
NOT_OF_THE_MACHINE = {Measure.PEAK_FLOPS, Measure.SRAM, Measure.GPU_SECONDS, Measure.NODES_NEAR}


def requests(monkeypatch: pytest.MonkeyPatch) -> list[RunRequest]:
    """Every request that the rows make of the simulator, none of which is run."""
    seen: list[RunRequest] = []

    def refuse(request: RunRequest, *_: object, **__: object) -> None:
        seen.append(request)
        raise OptionError("seen")

    monkeypatch.setattr(validate, "Stages", refuse)
    monkeypatch.setattr(validate_coe, "RduCosts", refuse)
    of_machine = [row for row in ROWS if row.measure not in NOT_OF_THE_MACHINE and not row.gpu]
    found = validate.validate(of_machine, cache=Cache())
    assert {outcome.problem for outcome in found.outcomes} == {"seen"}
    assert len(seen) == len(of_machine)
    return seen


def test_every_row_runs_on_the_one_machine_file_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = requests(monkeypatch)
    assert {request.arch for request in seen} == {MACHINE}
    assert {request.overrides for request in seen} == {()}
    assert {request.memory_hints for request in seen} == {None}
    assert {request.engine for request in seen} == {RunRequest(model="any").engine}


def test_a_row_cannot_say_another_machine_or_change_it() -> None:
    options = {field.name for field in fields(Case)}
    assert not options & {"arch", "overrides", "engine", "spill", "memory_hints"}


def test_every_gpu_of_a_composition_is_the_node_that_the_paper_counts() -> None:
    """Its overrides are of the node's link to the host, the same for each GPU; no measured generation crosses it."""
    assert {override.partition("=")[0] for override in AS_THE_PAPER} == {"node.host_links", "node.host_link.achieved"}


def test_what_was_chosen_stands_in_the_machine_file() -> None:
    known = {row.path for row in show_arch(MACHINE)}
    assert {path for path in CHOSEN if " " not in path} <= known


@cache
def words() -> re.Pattern[str]:
    """Shipped models and families, as they are written in code."""
    names = {row.name for row in list_models()} | set(FAMILIES)
    return re.compile(rf"(?<![\w.-])({'|'.join(sorted(map(re.escape, names), key=len, reverse=True))})(?![\w.])")


@pytest.mark.parametrize("path", sorted((ROOT / "arch").rglob("*.yaml")), ids=lambda path: path.name)
def test_no_machine_file_names_a_model(path: Path) -> None:
    assert words().findall(path.read_text(encoding="utf-8")) == []


def literals(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Text of a module that is a value, not a docstring and not a sentence for people."""
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) and id(node) not in docs else None
        if isinstance(node, ast.Constant) and isinstance(text, str) and " " not in text:
            yield node.lineno, text


def test_no_code_outside_of_models_and_tables_names_a_model() -> None:
    found = []
    for path in sorted((ROOT / "rdusim").rglob("*.py")):
        inside = path.relative_to(ROOT / "rdusim").as_posix()
        if inside.startswith(OF_MODELS) or inside in TABLES:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found += [f"{inside}:{line}: {text}" for line, text in literals(tree) if words().search(text)]
    assert found == []


def test_a_name_in_code_would_be_found() -> None:
    tree = ast.parse('"""About llama."""\nif name.startswith("llama"):\n    hint = "such as llama-2-7b"\n')
    assert [text for _, text in literals(tree) if words().search(text)] == ["llama"]
