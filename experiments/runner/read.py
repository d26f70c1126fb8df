"""experiment.yaml: what is asked. Every problem of the file is found at once, each with its line.

The format: experiments/README.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from rdusim.errors import Problem
from rdusim.graph.readers.document import Document, Node
from runner.expected import read_expected
from runner.rows import FLAGS, Rows
from runner.types import Asked, Experiment, Panel, Picture, said

SCHEMA: Final = "rdusim-experiment/1"
_TOP: Final = ("schema", "title", "source", "x", "measure", "unit", "also", "rows", "lines", "picture")
_PICTURE: Final = ("kind", "y", "scale", "x_scale", "panels", "ideal", "bound", "steps")
_PANEL: Final = ("title", "y", "series")
_SCALES: Final = ("linear", "log")


def read_experiment(folder: Path) -> Experiment:
    """The experiment of a folder. Raises RdusimError with everything that is wrong with its files."""
    path = folder / "experiment.yaml"
    document = Document(path)
    top = document.mapping(document.root, "experiment", _TOP)
    for key in ("schema", "title", "source", "x", "picture"):
        if key not in top:
            document.wrong(document.root, "missing key", field=key)
    document.word(top.get("schema"), "schema", (SCHEMA,), SCHEMA)
    if ("rows" in top) == ("lines" in top):
        document.wrong(document.root, "either 'rows' or 'lines' says what is asked")
    rows = Rows(document, folder, top)
    asked = tuple(rows.asked())
    picture = _picture(document, top.get("picture"), tuple(rows.series))
    also = document.mapping(top.get("also"), "also")
    text = {key: document.text(top[key], key) for key in ("title", "source", "x") if key in top}
    named = {column: document.text(node, f"also.{column}") for column, node in also.items()}
    document.problems = [*_once(document.problems), *_twice(asked, str(path))]
    document.check()
    return Experiment(
        folder=folder,
        asked=asked,
        expected=read_expected(folder / "expected.csv", text["x"], asked),
        picture=picture,
        also=named,
        **text,
    )


def _once(problems: Sequence[Problem]) -> Iterator[Problem]:
    """A mistake that several rows make, or one row at each point and sensitivity, is said once, with all its lines."""
    alike: dict[Problem, list[int]] = {}
    first: dict[Problem, Problem] = {}
    for problem in problems:
        key = replace(problem, line=None, column=None)
        first.setdefault(key, problem)
        alike.setdefault(key, []).append(problem.line or 0)
    for key, problem in first.items():
        others = sorted(set(alike[key]) - {problem.line or 0})
        if others:
            also = f"also in line{'s' if len(others) > 1 else ''} {', '.join(str(line) for line in others)}"
            problem = replace(problem, hint=f"{problem.hint}; {also}" if problem.hint else also)
        yield problem


def _twice(asked: Sequence[Asked], file: str) -> Iterator[Problem]:
    first: dict[tuple[str, str, str], Asked] = {}
    for row in asked:
        before = first.setdefault((said(row.x), row.series, row.reading), row)
        if before is not row and row.main:
            where = f", first in line {before.line}" if before.line != row.line else ""
            message = f"{said(row.x)!r}, {row.series!r} is asked twice{where}"
            yield Problem(message=message, file=file, line=row.line, hint="leave one out, or name another series")


def _picture(document: Document, node: Node | None, series: tuple[str, ...]) -> Picture:
    given = document.mapping(node, "picture", _PICTURE)
    kind = document.word(given.get("kind"), "picture.kind", ("bars", "lines"), "bars")
    y = document.text(given["y"], "picture.y") if "y" in given else ""
    if node is not None and not y and "panels" not in given:
        document.wrong(node, "missing key", field="picture.y", hint="what the axis of values is called")
    panels = tuple(_panel(document, panel, y, series) for panel in document.sequence(given.get("panels"), "panels"))
    return Picture(
        kind=kind,
        panels=panels or (Panel(title="", y=y, series=series),),
        scale=document.word(given.get("scale"), "picture.scale", _SCALES, "linear"),
        x_scale=document.word(given.get("x_scale"), "picture.x_scale", _SCALES, "linear"),
        ideal=document.word(given.get("ideal"), "picture.ideal", FLAGS, "false") == "true",
        bound=document.word(given.get("bound"), "picture.bound", FLAGS, "false") == "true",
        steps=document.word(given.get("steps"), "picture.steps", FLAGS, "false") == "true",
    )


def _panel(document: Document, node: Node, y: str, series: tuple[str, ...]) -> Panel:
    given = document.mapping(node, "picture.panels", _PANEL)
    shown = tuple(document.text(each, "panels.series") for each in document.sequence(given.get("series"), "series"))
    for name in shown:
        if name not in series:
            document.wrong(given["series"], f"no series {name!r}", field="panels.series", hint=", ".join(series))
    return Panel(
        title=document.text(given["title"], "panels.title") if "title" in given else "",
        y=document.text(given["y"], "panels.y") if "y" in given else y,
        series=shown or series,
    )
