"""YAML text as a tree in which every value knows its place and the comment beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

import yaml

from rdusim.errors import Problem

KIND: Final = "kind"  # the field that says which kind of thing a group of fields describes
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG: Final = "tag:yaml.org,2002:"
_DEEP: Final = 1000  # brackets or columns: beyond, only the pure Python parser is safe, libyaml's overruns the stack


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something is written: a file as the user would name it, line and column from 1."""

    file: str
    line: int | None = None
    column: int | None = None

    def problem(self, message: str, *, field: str | None = None, hint: str | None = None) -> Problem:
        return Problem(message=message, file=self.file, line=self.line, column=self.column, field=field, hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """A value as written. `kind` is what YAML takes it for (`str`, `int`, `bool`, ...); quotes make it `str`."""

    text: str
    kind: str
    quoted: bool
    place: Place
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A mapping, in the order of the file. `keys` holds the place of each key."""

    place: Place
    items: dict[str, Scalar | Table] = field(default_factory=dict)
    keys: dict[str, Place] = field(default_factory=dict)


def leaves(table: Table, path: str = "") -> Iterator[tuple[str, Scalar]]:
    """Every scalar with its dotted path, in order."""
    for key, value in table.items.items():
        inner = f"{path}.{key}" if path else key
        if isinstance(value, Table):
            yield from leaves(value, inner)
        else:
            yield inner, value


def read_table(text: str, file: str) -> tuple[Table, list[Problem]]:
    """The mapping that a YAML document consists of, and everything wrong with it as YAML.

    Broken YAML gives an empty table and one problem, for nothing after it can be trusted. Duplicate keys (PyYAML lets
    them pass), lists, aliases and keys without value are problems too.
    """
    table, problems = _read_table(text, file)
    return table, list(problems)


@lru_cache(maxsize=64)  # a sweep reads the same text for every point
def _read_table(text: str, file: str) -> tuple[Table, list[Problem]]:
    lines = text.splitlines()
    nothing = Table(place=Place(file=file, line=1, column=1))
    deep = text.count("[") + text.count("{") > _DEEP or max(map(len, lines), default=0) > _DEEP
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader if deep else _LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = nothing.place if mark is None else Place(file=file, line=mark.line + 1, column=mark.column + 1)
        why = ", ".join(part for part in (error.context, error.problem) if part)
        return nothing, [at.problem(f"broken YAML: {why}")]
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        return nothing, [Place(file=file, line=line).problem(f"broken YAML: {error.reason}")]
    except RecursionError:
        return nothing, [nothing.place.problem("the YAML is nested too deeply")]
    if node is None:
        return nothing, [nothing.place.problem("the file is empty")]
    reader = _Reader(file, lines)
    table = reader.read(node, "")
    if not isinstance(table, Table):
        reader.problems.append(nothing.place.problem("the file holds no fields", hint="write 'key: value' lines"))
        table = nothing
    return table, reader.problems


class _Reader:
    """One walk over the nodes of a document; collects problems on the way."""

    def __init__(self, file: str, lines: list[str]) -> None:
        self.file = file
        self.lines = lines
        self.problems: list[Problem] = []
        self._seen: set[int] = set()  # ids of nodes; a second visit is an alias, and an alias may contain itself
        self._notes: dict[int, str] = {}

    def read(self, node: yaml.Node, path: str) -> Scalar | Table | None:
        place = self._place(node)
        if id(node) in self._seen:
            self._refuse(place, "aliases (*name) are not supported", path, "write the value out, or use 'extends:'")
            return None
        self._seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            return self._read_mapping(node, path)
        if not isinstance(node, yaml.ScalarNode):
            self._refuse(place, "a list is not expected here", path, "use 'name: value' entries")
            return None
        quoted = bool(node.style)
        if not node.value and not quoted:
            self._refuse(place, "the key has no value", path, None)
            return None
        kind = node.tag.removeprefix(_TAG)
        note = self._note(node.end_mark.line, node.end_mark.column)
        return Scalar(text=node.value, kind=kind, quoted=quoted, place=place, note=note)

    def _read_mapping(self, node: yaml.MappingNode, path: str) -> Table:
        table = Table(place=self._place(node))
        for key_node, value_node in node.value:
            place = self._place(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                self._refuse(place, "a key must be a plain name", path or None, None)
                continue
            key = key_node.value
            inner = f"{path}.{key}" if path else key
            if (first := table.keys.get(key)) is not None:
                self._refuse(place, "duplicate key", inner, f"first given in line {first.line}")
                continue
            table.keys[key] = place
            if (value := self.read(value_node, inner)) is not None:
                # A group is where its name stands, not where its first field does.
                table.items[key] = replace(value, place=place) if isinstance(value, Table) else value
        return table

    def _place(self, node: yaml.Node) -> Place:
        return Place(file=self.file, line=node.start_mark.line + 1, column=node.start_mark.column + 1)

    def _refuse(self, place: Place, message: str, path: str | None, hint: str | None) -> None:
        self.problems.append(place.problem(message, field=path, hint=hint))

    def _note(self, line: int, column: int) -> str:
        """The comment after a value, with the comment lines right below it that start in the same column or further.

        A `#` in a later value of the same line would be taken for a comment: values here are numbers and names.
        """
        if line not in self._notes:
            self._notes[line] = self._read_note(line, column)
        return self._notes[line]

    def _read_note(self, line: int, column: int) -> str:
        start = self.lines[line].find("#", column) if line < len(self.lines) else -1
        if start < 0:
            return ""
        parts = [self.lines[line][start:]]
        for below in self.lines[line + 1 :]:
            if not below.lstrip().startswith("#") or below.find("#") < start:
                break
            parts.append(below.strip())
        return " ".join(part.lstrip("# ").rstrip() for part in parts)
