"""experiment.yaml: what is asked. Every problem of the file is found at once, each with its line.

The format: experiments/README.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from rdusim.graph.readers.document import Document, Node
from runner.expected import read_expected
from runner.rows import FLAGS, Rows
from runner.types import Experiment, Panel, Picture

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
    asked = tuple(Rows(document, folder, top).asked())
    picture = _picture(document, top.get("picture"), tuple(dict.fromkeys(row.series for row in asked)))
    also = document.mapping(top.get("also"), "also")
    text = {key: document.text(top[key], key) for key in ("title", "source", "x") if key in top}
    named = {column: document.text(node, f"also.{column}") for column, node in also.items()}
    document.problems = list(dict.fromkeys(document.problems))  # a row is read once for each point and sensitivity
    document.check()
    return Experiment(
        folder=folder,
        asked=asked,
        expected=read_expected(folder / "expected.csv", text["x"], asked),
        picture=picture,
        also=named,
        **text,
    )


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
