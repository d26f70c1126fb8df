"""YAML text as nodes that know their line: typed access, with every problem collected instead of raised."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml

from rdusim.errors import GraphError, Problem
from rdusim.graph.check import suggestion

Node = yaml.nodes.Node


class Document:
    """One YAML file. Getters report what is wrong and go on with a harmless value; `check()` raises it all."""

    def __init__(self, path: Path) -> None:
        self.file = str(path)
        self.problems: list[Problem] = []
        self.root = self._compose(path)

    def _compose(self, path: Path) -> Node:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            root: Node | None = yaml.compose(path.read_text(encoding="utf-8"), Loader=loader)
        except (OSError, UnicodeDecodeError) as error:
            raise GraphError(Problem(message=f"cannot be read: {error}", file=self.file)) from error
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
            message = f"no valid YAML: {error.problem}"
            raise GraphError(Problem(message=message, file=self.file, line=line, column=column)) from error
        except yaml.YAMLError as error:
            raise GraphError(Problem(message=f"no valid YAML: {error}", file=self.file)) from error
        if root is None:
            raise GraphError(Problem(message="the file is empty", file=self.file, line=1))
        return root

    def put(self, path: str, text: str) -> None:
        """`text` (YAML) instead of what stands at a dotted path; groups that are not there are made.

        An entry of a list is named by its number from 0. What is put in has no line of the file.
        """
        value = yaml.compose(text, Loader=yaml.SafeLoader) or yaml.ScalarNode("tag:yaml.org,2002:str", "")
        _forget_lines(value)
        at, *keys = self.root, *path.split(".")
        while keys:
            key = keys.pop(0)
            at = _put(at, key, value if not keys else None, self, path)

    def wrong(self, node: Node | None, message: str, *, field: str | None = None, hint: str | None = None) -> None:
        mark = node.start_mark if node is not None else None
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (None, None)
        self.problems.append(Problem(message=message, file=self.file, line=line, column=column, field=field, hint=hint))

    def check(self) -> None:
        """Raise what was found so far, in the order of the file."""
        if self.problems:
            raise GraphError(*sorted(self.problems, key=lambda problem: (problem.line or 0, problem.column or 0)))

    def mapping(self, node: Node | None, field: str, allowed: Iterable[str] | None = None) -> dict[str, Node]:
        """Entries of a mapping; duplicate keys, and keys that are not `allowed`, are problems."""
        if node is None:
            return {}
        if not isinstance(node, yaml.MappingNode):
            self.wrong(node, "is not a mapping", field=field)
            return {}
        known = None if allowed is None else tuple(allowed)
        found: dict[str, Node] = {}
        for key_node, value in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else ""
            if not key:
                self.wrong(key_node, "a key is a word", field=field)
            elif key in found:
                self.wrong(key_node, f"key {key!r} is there twice", field=field)
            elif known is not None and key not in known:
                hint = suggestion(key, known) or f"known: {', '.join(known)}"
                self.wrong(key_node, f"key {key!r} is not known", field=field, hint=hint)
            else:
                found[key] = value
        return found

    def sequence(self, node: Node | None, field: str) -> list[Node]:
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            self.wrong(node, "is not a list", field=field)
            return []
        return list(node.value)

    def text(self, node: Node | None, field: str) -> str:
        if not isinstance(node, yaml.ScalarNode):
            self.wrong(node, "is not a text", field=field)
            return ""
        return str(node.value)

    def word(self, node: Node | None, field: str, known: Iterable[str], default: str) -> str:
        """One of the known words."""
        if node is None:
            return default
        value, words = self.text(node, field), tuple(known)
        if value not in words:
            hint = suggestion(value, words) or f"one of {', '.join(words)}"
            self.wrong(node, f"{value!r} is not known", field=field, hint=hint)
            return default
        return value

    def whole(self, node: Node, field: str) -> int:
        """A whole number of at least 1, plain digits only (YAML would read 0o17, 1_0 or 12:30 as numbers)."""
        value = self.text(node, field)
        if not (value.isascii() and value.isdigit() and int(value) > 0):
            self.wrong(node, f"{value!r} is not a size", field=field, hint="a whole number of at least 1")
            return 1
        return int(value)


def _put(at: Node, key: str, value: Node | None, document: Document, path: str) -> Node:
    """The node below `at` that `key` names, `value` in its place if there is one."""
    if isinstance(at, yaml.SequenceNode):
        if not (key.isdecimal() and int(key) < len(at.value)):
            document.wrong(None, f"{key!r} is no number of an entry: there are {len(at.value)}", field=path)
            return at
        if value is not None:
            at.value[int(key)] = value
        found: Node = at.value[int(key)]
        return found
    if not isinstance(at, yaml.MappingNode):
        document.wrong(None, f"{key!r} is below a value that has no fields", field=path)
        return at
    names = [name.value for name, _ in at.value]
    if key not in names:
        at.value.append((_unplaced(key), yaml.MappingNode("tag:yaml.org,2002:map", [])))
        names.append(key)
    place = names.index(key)
    if value is not None:
        at.value[place] = (at.value[place][0], value)
    below: Node = at.value[place][1]
    return below


def _unplaced(text: str) -> yaml.ScalarNode:
    return yaml.ScalarNode("tag:yaml.org,2002:str", text)


def _forget_lines(node: Node) -> None:
    node.start_mark = None
    for inner in node.value if isinstance(node.value, list) else ():
        for each in inner if isinstance(inner, tuple) else (inner,):
            _forget_lines(each)
