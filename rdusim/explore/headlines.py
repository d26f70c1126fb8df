"""Several figures in one file, each a question of what moves it: what `rdusim sensitivity FILE.yaml` reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, get_type_hints

import yaml

from rdusim.errors import RdusimError
from rdusim.explore.sensitivity import BY, TOTAL, Fields, Question
from rdusim.graph.readers.document import Document, Node
from rdusim.pipeline.request import RunRequest

SCHEMA: Final = "rdusim-sensitivity/1"
_TOP: Final = ("schema", "title", "by", "fields", "parameters", "ranges", "headlines")
_HEADLINE: Final = ("name", "metric", "run", "by", "fields", "parameters", "ranges")
_OPTIONS: Final = {field.name: get_type_hints(RunRequest)[field.name] for field in fields(RunRequest)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Headlines:
    title: str
    questions: tuple[Question, ...]


def is_headlines(model: str) -> bool:
    """Whether what stands in the place of a model is a file of headlines; one that cannot be read is none."""
    path = Path(model)
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        return False
    try:
        document = Document(path)
    except RdusimError:
        return False
    return _schema(document) == SCHEMA


def read_headlines(path: Path) -> Headlines:
    """The questions of a file. Raises GraphError with everything that is wrong with it, each with its line."""
    document = Document(path)
    top = document.mapping(document.root, "headlines", _TOP)
    questions = []
    for node in document.sequence(top.get("headlines"), "headlines"):
        given: dict[str, Node] = {key: top[key] for key in _HEADLINE if key in top}
        given |= document.mapping(node, "headlines", _HEADLINE)
        questions.append(_question(document, node, given, path.parent))
    if not questions:
        document.wrong(document.root, "no headlines", hint="headlines: a list of name, metric and run")
    title = document.text(top["title"], "title") if "title" in top else ""
    document.check()
    return Headlines(title=title, questions=tuple(questions))


def share(text: str) -> float:
    """`20%` or `0.2`. Raises ValueError."""
    return float(text[:-1]) / 100.0 if text.endswith("%") else float(text)


def ends(text: str) -> tuple[str, str]:
    """`400 ns .. 700 ns`. Raises ValueError."""
    low, dots, high = (part.strip() for part in text.partition(".."))
    if not (low and dots and high):
        raise ValueError(text)
    return low, high


def _schema(document: Document) -> str | None:
    root = document.root
    if not isinstance(root, yaml.MappingNode):
        return None
    return next((value.value for key, value in root.value if key.value == "schema"), None)


def _question(document: Document, node: Node, given: Mapping[str, Node], folder: Path) -> Question:
    for key in ("name", "run"):
        if key not in given:
            document.wrong(node, "missing key", field=key)
    return Question(
        name=document.text(given["name"], "name") if "name" in given else "",
        metric=document.text(given["metric"], "metric") if "metric" in given else TOTAL,
        by=_share(document, given.get("by")),
        fields=Fields(document.word(given.get("fields"), "fields", tuple(Fields), Fields.ALL)),
        patterns=tuple(
            document.text(each, "parameters") for each in document.sequence(given.get("parameters"), "parameters")
        ),
        ranges=_ranges(document, given.get("ranges")),
        request=_request(document, node, given.get("run"), folder),
    )


def _share(document: Document, node: Node | None) -> float:
    if node is None:
        return BY
    try:
        return share(document.text(node, "by"))
    except ValueError:
        document.wrong(node, f"{node.value!r} is no share", field="by", hint="such as 20%")
        return BY


def _ranges(document: Document, node: Node | None) -> dict[str, tuple[str, str]]:
    found = {}
    for path, each in document.mapping(node, "ranges").items():
        try:
            found[path] = ends(document.text(each, f"ranges.{path}"))
        except ValueError:
            document.wrong(each, f"{each.value!r} is no range", field=f"ranges.{path}", hint="LOW .. HIGH")
    return found


def _request(document: Document, node: Node, run: Node | None, folder: Path) -> RunRequest:
    values: dict[str, Any] = {}
    for name, each in document.mapping(run, "run", _OPTIONS).items():
        kind = str(_OPTIONS[name])
        if "tuple" in kind:
            values[name] = tuple(document.text(item, f"run.{name}") for item in document.sequence(each, f"run.{name}"))
        elif "int" in kind:
            values[name] = document.whole(each, f"run.{name}")
        elif "bool" in kind:
            values[name] = document.word(each, f"run.{name}", ("true", "false"), "false") == "true"
        elif "float" in kind:
            values[name] = _number(document, each, f"run.{name}")
        else:
            values[name] = document.text(each, f"run.{name}")
    if run is not None and "model" not in values:
        document.wrong(run, "missing key", field="run.model")
    beside = folder / str(values.get("model", ""))
    if beside.suffix == ".yaml" and beside.is_file():
        values["model"] = str(beside)
    return RunRequest(**{"model": "", **values})


def _number(document: Document, node: Node, field: str) -> float:
    try:
        return float(document.text(node, field))
    except ValueError:
        document.wrong(node, f"{node.value!r} is no number", field=field)
        return 0.0
