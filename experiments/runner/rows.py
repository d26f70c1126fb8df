"""Rows and lines of experiment.yaml as what is asked of the simulator."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Final, get_type_hints

from rdusim.baselines.gpu.load import load_gpu
from rdusim.baselines.published import UNITS, Case, Row, load_targets
from rdusim.baselines.published_rows import MACHINE, ROWS
from rdusim.errors import RdusimError
from rdusim.graph.load import locate
from rdusim.graph.readers.document import Document, Node
from rdusim.pipeline import RunRequest, Stages
from runner.types import Ask, Asked, ByExperts, Composition, Published, Ran

FLAGS: Final = ("true", "false")
_EITHER: Final = ("published", "like", "run")
_ASK: Final = ("series", *_EITHER, "reading", "change", "against", "measure", "unit", "sensitivity")
_ROW: Final = ("at", *_ASK)
_LINE: Final = (*_ASK, "vary")
_OPTIONS: Final[Mapping[str, str]] = {name: str(kind) for name, kind in get_type_hints(RunRequest).items()}
# Of a published row: options of its run, and what else may be other than there. `baseline`: `fusion` of what it is
# compared with. `experts` and `uniform` are of a composition (types.Composition).
_CASE: Final = tuple(field.name for field in fields(Case))
_OF_RUN: Final = ("fusion", "orchestration", "cut_after")  # of the run alone: what it is compared with keeps its own
_CHANGES: Final[Mapping[str, str]] = {
    **{name: _OPTIONS[name] for name in _CASE},
    "baseline": "str",
    "gpu": "str",
    "copied": "bool",
    "router_tokens": "int",
    "experts": "int",
    "uniform": "bool",
}
_PHASES_OF_COMPOSITIONS: Final = ("coe", "switch", "capacity")


class Rows:
    """What the rows and lines of one file ask; problems are noted in the document."""

    def __init__(self, document: Document, folder: Path, top: Mapping[str, Node]) -> None:
        self.document, self.folder, self.top = document, folder, top
        self.targets = load_targets()
        self.series: dict[str, None] = {}  # all that are named, also of lines that cannot be read on

    def asked(self) -> Iterator[Asked]:
        for node in self.document.sequence(self.top.get("rows"), "rows"):
            row = self.document.mapping(node, "rows", _ROW)
            self._note_series(row)
            yield from self._row(node, row, self._text(node, row, "at"), {})
        for node in self.document.sequence(self.top.get("lines"), "lines"):
            line = self.document.mapping(node, "lines", _LINE)
            self._note_series(line)
            for x, varied in self._points(node, line):
                yield from self._row(node, line, x, varied)

    def _note_series(self, row: Mapping[str, Node]) -> None:
        if "series" in row:
            self.series[str(row["series"].value)] = None

    def _points(self, node: Node, line: Mapping[str, Node]) -> Iterator[tuple[float, Mapping[str, Node]]]:
        """Of each point: where it stands, and the value of everything that varies."""
        vary = self.document.mapping(line.get("vary"), "vary")
        lists = {name: self.document.sequence(values, f"vary.{name}") for name, values in vary.items()}
        lengths = {len(values) for values in lists.values()}
        x = self._top_text("x")
        if x not in lists:
            self.document.wrong(line.get("vary", node), f"{x!r}, the name of the axis, must be varied", field="vary")
        elif len(lengths) > 1:
            many = ", ".join(f"{name} has {len(values)}" for name, values in lists.items())
            self.document.wrong(line["vary"], f"lists of different lengths: {many}", field="vary")
        elif not lists[x]:
            self.document.wrong(vary[x], "is empty", field=f"vary.{x}", hint="a value for each point of the line")
        else:
            for values in zip(*lists.values(), strict=True):
                found = dict(zip(lists, values, strict=True))
                place = float(self.document.whole(found[x], f"vary.{x}"))
                yield place, {name: value for name, value in found.items() if name in (*_CHANGES, *_OPTIONS)}

    def _row(self, node: Node, row: Mapping[str, Node], x: str | float, varied: Mapping[str, Node]) -> Iterator[Asked]:
        given = [key for key in _EITHER if key in row]
        if len(given) != 1:
            hint = "published: an id of targets.csv, like: the same with a 'change', run: options of rdusim run"
            self.document.wrong(node, f"one of {', '.join(_EITHER)} is needed", hint=hint)
            return
        series = self._text(node, row, "series")
        make = self._run if "run" in row else self._published
        for reading, change in ({"": None} | self._sensitivities(row)).items():
            for found in make(node, row, varied, change):
                ask, unit, own = found
                yield Asked(
                    x=x,
                    series=series,
                    ask=ask,
                    unit=unit,
                    reading=", ".join(part for part in (own, reading) if part),
                    main=not reading and _is_main(ask),
                    line=node.start_mark.line + 1,
                )

    def _sensitivities(self, row: Mapping[str, Node]) -> dict[str, Node | None]:
        return dict(self.document.mapping(row.get("sensitivity"), "sensitivity"))

    def _run(
        self, node: Node, row: Mapping[str, Node], varied: Mapping[str, Node], change: Node | None
    ) -> Iterator[tuple[Ask, str, str]]:
        for key in ("change", "reading"):
            if key in row:
                self.document.wrong(row[key], "belongs to a row of published_rows.py", field=key)
        options = self._options(row["run"], "run") | self._values(varied, "vary", _OPTIONS)
        options |= self._options(change, "sensitivity")
        request = self._request(row["run"], options)
        against = None
        if "against" in row:
            against = self._request(row["against"], options | self._options(row["against"], "against"))
        measure = self._own_or_top(node, row, "measure")
        if request is not None:
            yield Ran(request=request, measure=measure, against=against), self._own_or_top(node, row, "unit"), ""

    def _options(self, node: Node | None, field: str) -> dict[str, object]:
        return self._values(self.document.mapping(node, field, _OPTIONS), field, _OPTIONS)

    def _request(self, node: Node, options: Mapping[str, object]) -> RunRequest | None:
        model = str(options.get("model", ""))
        beside = self.folder / model
        if model and beside.suffix == ".yaml" and beside.is_file():
            options = {**options, "model": str(beside)}
        request = RunRequest(**{"model": "", **options})  # type: ignore[arg-type]  # as the hints of RunRequest say
        return request if self._note(node, partial(Stages, request), run=True) else None

    def _published(
        self, node: Node, row: Mapping[str, Node], varied: Mapping[str, Node], change: Node | None
    ) -> Iterator[tuple[Ask, str, str]]:
        key = "published" if "published" in row else "like"
        target = self.document.text(row[key], key)
        if target not in self.targets:
            self.document.wrong(row[key], f"no target {target!r} in targets.csv", field=key)
            return
        unit = self.targets[target].unit
        changes = self._values(self.document.mapping(row.get("change"), "change", _CHANGES), "change", _CHANGES)
        changes |= self._values(varied, "vary", _CHANGES)
        changes |= self._values(self.document.mapping(change, "sensitivity", _CHANGES), "sensitivity", _CHANGES)
        if key == "published" and "change" in row:
            self.document.wrong(row["change"], "a published row is run as it is", field="change", hint="use 'like'")
        main = self._main(row, key, target)
        if main is None:
            return
        if change is None and key == "published" and "reading" not in row:
            for other in ROWS:
                if other.target == target:
                    yield Published(row=other), unit, other.reading
            return
        ask = self._changed(row, main, changes)
        yield ask, self._unit(row, unit), main.reading if key == "published" and not changes else ""

    def _main(self, row: Mapping[str, Node], key: str, target: str) -> Row | None:
        """The row that is meant: the only one that counts, or the one with the reading that is said."""
        found = [other for other in ROWS if other.target == target]
        if "reading" in row:
            wanted = self.document.text(row["reading"], "reading")
            found = [other for other in found if other.reading == wanted]
        else:
            found = [other for other in found if other.main]
        if len(found) != 1:
            readings = ", ".join(repr(other.reading) for other in ROWS if other.target == target)
            self.document.wrong(row.get("reading", row[key]), f"{target} has the readings {readings}", field="reading")
            return None
        return found[0]

    def _changed(self, node: Mapping[str, Node], row: Row, changes: Mapping[str, object]) -> Ask:
        case = row.case or row.against
        whole = {name: value for name, value in changes.items() if name in _CASE}
        if case is None and whole:
            self.document.wrong(node.get("change"), f"{row.target} has no run to change", field="change")
        own = {name: changes[name] for name in ("gpu", "copied", "router_tokens") if name in changes}
        changed = replace(row, **own)  # type: ignore[arg-type]  # as _CHANGES says
        if row.case is not None:
            changed = replace(changed, case=replace(row.case, **whole))  # type: ignore[arg-type]
        if row.against is not None:
            both = {name: value for name, value in whole.items() if name not in _OF_RUN}
            if "baseline" in changes:
                both["fusion"] = changes["baseline"]
            changed = replace(changed, against=replace(row.against, **both))  # type: ignore[arg-type]
        self._check_case(node, changed)
        if "experts" not in changes:
            return Published(row=changed, changed=bool(changes) or "like" in node)
        measure = ByExperts(
            self.document.word(
                node.get("measure", self.top.get("measure")), "measure", tuple(ByExperts), ByExperts.SECONDS
            )
        )
        if changed.set != "coe" or changed.case is None:
            where, hint = node.get("like", node.get("published")), "T60 to T72 are about compositions"
            self.document.wrong(where, f"{row.target} is no composition of experts", field="like", hint=hint)
        elif measure is ByExperts.SECONDS and not (changed.case.input_tokens and changed.case.output_tokens):
            self.document.wrong(
                node.get("like"), f"{row.target} has no prompt and answer", field="like", hint="T60, T61"
            )
        return Composition(
            row=changed,
            experts=int(str(changes["experts"])),
            measure=measure,
            uniform=bool(changes.get("uniform", False)),
        )

    def _check_case(self, node: Mapping[str, Node], row: Row) -> None:
        where = node.get("change", node.get("like", node.get("published")))
        if row.gpu:
            self._note(where, partial(load_gpu, row.gpu))
        for case in (row.case, row.against):
            if case is None:
                continue
            self._note(where, partial(locate, case.model))
            if case.phase not in _PHASES_OF_COMPOSITIONS and not row.gpu:
                self._note(where, partial(Stages, request_of(case)))

    def _note(self, node: Node | None, check: Callable[[], object], *, run: bool = False) -> bool:
        """Whether a check passes; its problems are noted where the value stands, options by their names here."""
        try:
            check()
        except RdusimError as error:
            for problem in error.problems:
                field = problem.field.removeprefix("--").replace("-", "_") if problem.field else None
                self.document.wrong(node, problem.message, field=field, hint=_hint(problem.hint, run=run))
            return False
        return True

    def _unit(self, row: Mapping[str, Node], default: str) -> str:
        return self.document.text(row["unit"], "unit") if "unit" in row else default

    def _own_or_top(self, node: Node, row: Mapping[str, Node], key: str) -> str:
        """Of the row, or of the whole experiment."""
        found = row.get(key, self.top.get(key))
        if found is None:
            self.document.wrong(node, "missing key", field=key, hint=f"of the row, or of the experiment: '{key}: ...'")
            return ""
        return self.document.text(found, key)

    def _text(self, node: Node, row: Mapping[str, Node], key: str) -> str:
        if key not in row:
            self.document.wrong(node, "missing key", field=key)
            return ""
        return self.document.text(row[key], key)

    def _top_text(self, key: str) -> str:
        return self.document.text(self.top[key], key) if key in self.top else ""

    def _values(self, nodes: Mapping[str, Node], field: str, known: Mapping[str, str]) -> dict[str, object]:
        found: dict[str, object] = {}
        for name, node in nodes.items():
            if name in known:
                found[name] = self._value(node, f"{field}.{name}", known[name])
            else:
                self.document.wrong(node, f"{name!r} is not known", field=field, hint=f"known: {', '.join(known)}")
        return found

    def _value(self, node: Node, field: str, kind: str) -> object:
        """A value as the hint of its option says: text, a whole number, a number, yes or no, several texts."""
        if "tuple" in kind:
            return tuple(self.document.text(each, field) for each in self.document.sequence(node, field))
        if "bool" in kind:
            return self.document.word(node, field, FLAGS, "false") == "true"
        if "int" in kind:
            return self.document.whole(node, field)
        text = self.document.text(node, field)
        if "float" not in kind:
            return text
        try:
            return float(text)
        except ValueError:
            self.document.wrong(node, f"{text!r} is not a number", field=field)
            return 0.0


def request_of(case: Case) -> RunRequest:
    """The run of a published row."""
    return RunRequest(arch=MACHINE, **{field: getattr(case, field) for field in _CASE})


def _hint(hint: str | None, *, run: bool) -> str | None:
    """Where the command has `--set`, a run here has `overrides`, and a published row nothing."""
    if hint is None or "--set " not in hint:
        return hint
    if run:
        return re.sub(r"--set (\S+)", r"overrides: [\1]", hint)
    return f"published rows run on {MACHINE} as it is; a row with 'run' may have overrides"


def factor(unit: str) -> float:
    """SI units in one of `unit`; 1 for what only has a name (tokens/s)."""
    return UNITS[unit][1] if unit in UNITS else 1.0


def _is_main(ask: Ask) -> bool:
    return not isinstance(ask, Published) or ask.row.main
