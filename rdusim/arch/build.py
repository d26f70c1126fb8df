"""From a tree of text to frozen dataclasses, by their type hints; every problem of the tree is found in one walk."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from rdusim.arch.source import KIND, Place, Scalar, Table
from rdusim.errors import Problem
from rdusim.units import Cycles, Seconds, dimension_of, example, parse

T = TypeVar("T")

# Gives the problems of one finished object; their `field` is relative to the object.
Check = Callable[[Any], list[Problem]]

_WHOLE: Final = re.compile(r"[+-]?\d{1,18}\Z")
_NUMBER: Final = re.compile(r"[+-]?\d{1,18}(\.\d{1,18})?([eE][+-]?\d{1,2})?\Z")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")


def build(cls: type[T], table: Table, check: Check, *, whole: bool = True) -> tuple[T | None, list[Problem]]:
    """`cls` made from `table`, or None with the reasons.

    A field is a quantity with unit, a whole number, a share (`float`), a name, a group of fields, named whole numbers
    (`Mapping[str, int]`) or named groups in order (`tuple[Group, ...]`, whose `name` is the key). Every object that
    could be made goes through `check`, so that an error in one part hides none in another. A table that is not `whole`
    is not blamed for fields that it lacks.
    """
    builder = _Builder(check, whole)
    return builder.group(cls, table, ""), builder.problems


def build_value(hint: Any, text: str, path: str) -> tuple[object | None, list[Problem]]:
    """One field's value from text, by the field's type, or None with the reason."""
    builder = _Builder(lambda _: [], whole=False)
    place = Place(file="")
    value = builder._value(hint, Scalar(text=text.strip(), kind="str", quoted=False, place=place, note=""), path)
    return value, [Problem(message=problem.message, field=path, hint=problem.hint) for problem in builder.problems]


def _fields(cls: type[Any]) -> Mapping[str, tuple[Any, bool]]:
    """Field -> its type, and whether it has to be given."""
    return _fields_of(cls)  # type: ignore[arg-type]  # mypy takes no type[Any] for hashable


@cache  # resolving type hints takes longer than reading a machine
def _fields_of(cls: type[Any]) -> Mapping[str, tuple[Any, bool]]:
    hints = get_type_hints(cls)
    return {
        field.name: (_given(hints[field.name]), field.default is MISSING and field.default_factory is MISSING)
        for field in fields(cls)
    }


def _needs(cls: type[Any]) -> list[str]:
    return [name for name, (_, must) in _fields(cls).items() if must]


def _given(hint: Any) -> Any:
    """What a field that may be left out (`X | None`) is when it is given."""
    kinds = [kind for kind in get_args(hint) if kind is not NoneType]
    return kinds[0] if get_origin(hint) in (Union, UnionType) else hint


class _Builder:
    def __init__(self, check: Check, whole: bool) -> None:
        self.check = check
        self.whole = whole
        self.problems: list[Problem] = []

    def group(self, cls: type[Any], table: Table, path: str, **given: object) -> Any | None:
        """An object of dataclass `cls`; `given` are fields that the file does not spell out."""
        known = {name: field for name, field in _fields(cls).items() if name not in given}
        required = [name for name in _needs(cls) if name in known]
        self._unknown(table, path, [*known])
        if self.whole:
            self._missing(table, path, required)
        values = {
            name: self._value(hint, table.items[name], _join(path, name))
            for name, (hint, _) in known.items()
            if name in table.items
        }
        if None in values.values() or not values.keys() >= set(required):
            return None
        return self._checked(cls(**values, **given), table, path)

    def _value(self, hint: Any, source: Scalar | Table, path: str) -> object | None:
        """The value of one field, or None after noting why not."""
        nested = is_dataclass(hint) or get_origin(hint) in (tuple, Mapping)
        if isinstance(source, Scalar):
            if source.kind == "null" and not source.quoted:
                self._refuse(source.place, path, "null, but there is nothing to take away here")
                return None
            if not nested:
                return self._scalar(hint, source, path)
            if is_dataclass(hint) and _needs(cast("type[Any]", hint)) == [KIND]:
                # Of a group that needs nothing but its kind, the kind's name says it all.
                kind = self._name(source, path)
                return None if kind is None else cast("type[Any]", hint)(kind=kind)
            self._refuse(source.place, path, f"{source.text!r} stands where a group of fields is wanted")
            return None
        if is_dataclass(hint):
            return self.group(cast("type[Any]", hint), source, path)
        if get_origin(hint) is tuple:
            return self._groups(get_args(hint)[0], source, path)
        if get_origin(hint) is Mapping:
            return self._named(get_args(hint)[1], source, path)
        self._refuse(source.place, path, f"a group of fields stands where {_wanted(hint)} is wanted")
        return None

    def _groups(self, cls: type[Any], table: Table, path: str) -> tuple[object, ...] | None:
        """Named groups in the order of the file. What is said of all of them is checked for those that were made."""
        made: list[object] = []
        for name, source in table.items.items():
            inner = _join(path, name)
            if not self._is_name(name, table.keys[name], inner):
                continue
            if isinstance(source, Scalar):
                self._value(cls, source, inner)
            elif (value := self.group(cls, source, inner, name=name)) is not None:
                made.append(value)
        found = self._checked(tuple(made), table, path) if made or not table.keys else None
        # Without all its links a system would be called unconnected.
        return found if len(made) == len(table.keys) else None

    def _named(self, hint: Any, table: Table, path: str) -> dict[str, object] | None:
        found = {
            name: self._value(hint, source, _join(path, name))
            for name, source in table.items.items()
            if self._is_name(name, table.keys[name], _join(path, name))
        }
        return None if None in found.values() or found.keys() != table.keys.keys() else found

    def _scalar(self, hint: Any, source: Scalar, path: str) -> object | None:
        """A quantity, number or name; text is judged as written, so YAML's own ideas (`on`, `12:30`) change nothing."""
        if hint is str:
            return self._name(source, path)
        try:
            value = _number(hint, source)
        except ValueError as error:
            self._refuse(source.place, path, str(error))
            return None
        # A latency may be nothing; of everything else there must be some.
        if value < 0 or (value == 0 and hint not in (Seconds, Cycles)):
            limit = "must not be negative" if hint in (Seconds, Cycles) else "must be greater than zero"
            self._refuse(source.place, path, f"{source.text!r} {limit}")
            return None
        if hint is float and value > 1:
            self._refuse(source.place, path, f"{source.text!r} must be at most 1", "it is a share, such as 0.9")
            return None
        return value

    def _name(self, source: Scalar, path: str) -> str | None:
        if source.kind != "str":
            hint = f'quote it if it is meant: "{source.text}"'
            self._refuse(source.place, path, f"{source.text!r} is read as {source.kind} by YAML, not as text", hint)
            return None
        return source.text if self._is_name(source.text, source.place, path) else None

    def _is_name(self, name: str, place: Place, path: str) -> bool:
        if _NAME.match(name):
            return True
        self._refuse(place, path, f"{name!r} is not a name", "letters, digits, '.', '_' and '-', no blanks")
        return False

    def _unknown(self, table: Table, path: str, known: list[str]) -> None:
        for name in table.keys:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"fields here: {', '.join(known)}"
                self._refuse(table.keys[name], _join(path, name), "unknown field", hint)

    def _missing(self, table: Table, path: str, names: list[str]) -> None:
        for name in names:
            if name not in table.keys:
                self._refuse(table.place, _join(path, name), "missing field")

    def _checked(self, value: T, table: Table, path: str) -> T:
        """`value`, after its cross-field problems are noted at the place of the field that they name."""
        for problem in self.check(value):
            names = problem.field.split(".") if problem.field else []
            self._refuse(_place_of(table, names), _join(path, *names), problem.message, problem.hint)
        return value

    def _refuse(self, place: Place, path: str, message: str, hint: str | None = None) -> None:
        self.problems.append(place.problem(message, field=path or None, hint=hint))


def _number(hint: Any, source: Scalar) -> int | float:
    """Raises ValueError with a message for people."""
    if (dimension := dimension_of(hint)) is not None:
        return parse(source.text, dimension)
    if hint is int and not source.quoted and _WHOLE.match(source.text):
        return int(source.text)
    if hint is float and not source.quoted and _NUMBER.match(source.text):
        return float(source.text)
    raise ValueError(f"{source.text!r} is not {_wanted(hint)}")


def _wanted(hint: Any) -> str:
    plain = {int: "a whole number without unit, such as 16", float: "a share such as 0.9", str: "a name"}
    dimension = dimension_of(hint)
    return plain[hint] if dimension is None else example(dimension)


def _place_of(table: Table, names: list[str]) -> Place:
    place = table.place
    found: Scalar | Table | None = table
    for name in names:
        found = found.items.get(name) if isinstance(found, Table) else None
        place = place if found is None else found.place
    return place


def _join(path: str, *names: str) -> str:
    return ".".join(part for part in (path, *names) if part)
