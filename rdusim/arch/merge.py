"""One machine on top of another: what `extends:` and `--set` do to the tree of a file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches

from rdusim.arch.source import KIND, Place, Scalar, Table, leaves
from rdusim.errors import Problem


def merge(base: Table, child: Table) -> Table:
    """`child` laid over `base`: tables are merged, values replaced, and `key: null` takes a key of the base away.

    Keys keep the base's order and new ones follow, except where the child names every key of the base: then its order
    holds (memory tiers are ordered). A table of another `kind` takes the place of the base's.
    """
    merged: dict[str, Scalar | Table] = {}
    removed = {key for key, value in child.items.items() if key in base.items and _is_null(value)}
    order = [*child.items] if base.items.keys() <= child.items.keys() else [*base.items, *child.items]
    for key in dict.fromkeys(order):
        below, above = base.items.get(key), child.items.get(key)
        if key in removed:
            continue
        if isinstance(below, Table) and isinstance(above, Table) and not _another_kind(below, above):
            merged[key] = merge(below, above)
        elif above is not None:
            merged[key] = above
        elif below is not None:
            merged[key] = below
    keys = {key: place for key, place in (base.keys | child.keys).items() if key not in removed}
    return Table(place=child.place, items=merged, keys=keys)


def override(table: Table, settings: Iterable[str]) -> tuple[Table, list[Problem]]:
    """The tree with `path=value` settings put in, in order, and what is wrong with them. A path must exist.

    A group that has a `kind` may be set to the name of another kind.
    """
    problems: list[Problem] = []
    for setting in settings:
        path, equals, text = (part.strip() for part in setting.partition("="))
        place = Place(file=f"--set {setting}")
        if not equals or not path or not text:
            problems.append(place.problem("not of the form path=value", hint="such as socket.clock=1.5GHz"))
        elif (old := _find(table, path)) is None:
            problems.append(place.problem("there is no such value", hint=_nearest(path, table)))
        elif isinstance(old, Table) and KIND not in old.items:
            inside = ", ".join(old.items)
            problems.append(place.problem(f"{path} is a group, not a value", hint=f"name one of its fields: {inside}"))
        else:
            new = Scalar(text=text, kind="str", quoted=False, place=place, note="")
            table = _put(table, path.split("."), new)
    return table, problems


def _another_kind(below: Table, above: Table) -> bool:
    """Fields of one kind of thing mean nothing to another."""
    old, new = below.items.get(KIND), above.items.get(KIND)
    return isinstance(old, Scalar) and isinstance(new, Scalar) and old.text != new.text


def _is_null(value: Scalar | Table) -> bool:
    return isinstance(value, Scalar) and value.kind == "null" and not value.quoted


def _find(table: Table, path: str) -> Scalar | Table | None:
    found: Scalar | Table | None = table
    for key in path.split("."):
        found = found.items.get(key) if isinstance(found, Table) else None
    return found


def _put(table: Table, path: list[str], value: Scalar) -> Table:
    key, *rest = path
    below = table.items[key]
    new = _put(below, rest, value) if rest and isinstance(below, Table) else value
    return replace(table, items=table.items | {key: new})


def _nearest(path: str, table: Table) -> str:
    """The path most like `path`: one that ends alike before one that is merely spelled alike."""
    paths = [known for known, _ in leaves(table)]
    ending = [known for known in paths if known.endswith(f".{path}")]
    near = ending or get_close_matches(path, paths, n=1, cutoff=0.0)
    return f"did you mean {near[0]}?" if near else "the machine has no values at all"
