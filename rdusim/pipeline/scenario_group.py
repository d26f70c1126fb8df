"""A group of fields of a scenario: typed, bounded, with every problem noted at its line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, TypeVar

from rdusim.graph.readers.document import Document, Node
from rdusim.units import Bytes, Seconds, UnitError, parse

T = TypeVar("T")
_NUMBER: Final = re.compile(r"[+-]?\d{1,18}(\.\d{1,18})?([eE][+-]?\d{1,2})?\Z")
_WHOLE: Final = re.compile(r"\d{1,15}\Z")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
FLAGS: Final = {"true": True, "false": False}


class Group:
    """The fields of one mapping. A getter of a field that is not there gives the default; a wrong one is noted, too."""

    def __init__(self, document: Document, node: Node | None, path: str, allowed: Iterable[str]) -> None:
        self.document = document
        self.node = node
        self.path = path
        self.items = document.mapping(node, path or "scenario", allowed)

    def __contains__(self, key: str) -> bool:
        return key in self.items

    def group(self, key: str, allowed: Iterable[str]) -> Group:
        return Group(self.document, self.items.get(key), self.name(key), allowed)

    def wrong(self, key: str, message: str, hint: str | None = None) -> None:
        """Noted at the field's line, at the group's where the field is missing."""
        self.document.wrong(self.items.get(key, self.node), message, field=self.name(key), hint=hint)

    def name(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def need(self, *keys: str) -> None:
        for key in keys:
            if key not in self.items:
                self.wrong(key, "missing field")

    def text(self, key: str, default: str = "") -> str:
        return self.document.text(self.items[key], self.name(key)) if key in self.items else default

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        entries = self.document.sequence(self.items.get(key), self.name(key))
        return tuple(self.document.text(entry, self.name(key)) for entry in entries)

    def identifier(self, key: str, default: str) -> str:
        value = self.text(key, default)
        if key in self.items and not _NAME.match(value):
            self.wrong(key, f"{value!r} is not a name", "letters, digits, '.', '_' and '-', no blanks")
        return value

    def word(self, key: str, known: Iterable[str], default: str) -> str:
        return self.document.word(self.items.get(key), self.name(key), known, default)

    def flag(self, key: str, default: bool = False) -> bool:
        return FLAGS[self.word(key, FLAGS, str(default).lower())]

    def whole(self, key: str, default: T, least: int = 1) -> int | T:
        if key not in self.items:
            return default
        value = self.text(key)
        if _WHOLE.match(value) and int(value) >= least:
            return int(value)
        self.wrong(key, f"{value!r} is not a number of them", f"a whole number of at least {least}, plain digits")
        return default

    def wholes(self, key: str) -> tuple[int, ...]:
        """A list of whole numbers that ascend."""
        values = self.texts(key)
        if all(_WHOLE.match(value) and int(value) >= 1 for value in values):
            numbers = tuple(int(value) for value in values)
            if list(numbers) == sorted(set(numbers)):
                return numbers
        self.wrong(key, f"{', '.join(values)} do not ascend from 1 or more", "for example [1, 8, 16]")
        return ()

    def number(
        self, key: str, default: T, *, above: float | None = None, least: float = 0.0, most: float = 1e18
    ) -> float | T:
        """A number without unit in least..most, or greater than `above`."""
        if key not in self.items:
            return default
        value = self.text(key)
        if not _NUMBER.match(value):
            self.wrong(key, f"{value!r} is not a number", "a plain number, such as 0.8")
            return default
        number = float(value)
        if above is not None and number <= above:
            self.wrong(key, f"{value} must be greater than {above:g}")
            return default
        if not least <= number <= most:
            self.wrong(
                key, f"{value} must be from {least:g} to {most:g}" if most < 1e18 else f"{value} is below {least:g}"
            )
            return default
        return number

    def size(self, key: str, default: T, *, rest: bool = False) -> Bytes | T:
        """A size of zero or more; the word `rest`, where that is offered, is the default."""
        if key not in self.items:
            return default
        value = self.text(key)
        if value == "rest" and rest:
            return default
        try:
            size = parse(value, "size")
        except UnitError as error:
            self.wrong(key, str(error), "or 'rest'" if rest else None)
            return default
        if size < 0:
            self.wrong(key, f"{value!r} must not be negative")
            return default
        return size

    def time(self, key: str, default: T) -> Seconds | T:
        """A time of zero or more."""
        if key not in self.items:
            return default
        value = self.text(key)
        try:
            seconds = parse(value, "time")
        except UnitError as error:
            self.wrong(key, str(error))
            return default
        if seconds < 0:
            self.wrong(key, f"{value!r} must not be negative")
            return default
        return seconds
