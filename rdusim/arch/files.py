"""Files of machines, of whatever kind: where they lie, what they extend, and the table that they add up to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from os import sep
from pathlib import Path
from typing import Final

from rdusim.arch.merge import merge
from rdusim.arch.source import Place, Scalar, Table, read_table
from rdusim.errors import ArchError, Problem
from rdusim.shipped import shipped

_SUFFIXES: Final = (".yaml", ".yml")
Prepare = Callable[[Table], tuple[Table, list[Problem]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileKind:
    """What tells one kind of machine from another: its `schema`, its `noun`, and where shipped ones lie below arch/.

    `folder`: "" or a name, which may also stand before that of a machine (`gpu/h100`). `names`: those shipped.
    `prepare`: what is put into a file's own table before it goes on top of the one that it extends.
    """

    noun: str
    schema: str
    schemas: str  # as a message calls all that could be read
    example: str
    names: Callable[[], tuple[str, ...]]
    folder: str = ""
    prepare: Prepare = lambda table: (table, [])

    def bare(self, name: str) -> str:
        """A name without the folder."""
        return name.removeprefix(f"{self.folder}/") if self.folder else name

    def shipped(self, name: str) -> tuple[Path, str]:
        """The file of a shipped name, and how messages call it."""
        below = f"{self.folder}/{name}.yaml" if self.folder else f"{name}.yaml"
        return shipped("arch") / below, f"arch/{below}"

    def others(self, name: str) -> str:
        """What could have been meant by a name that is none."""
        known = self.names()
        near = get_close_matches(name, known, n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        return f"{meant}shipped: {', '.join(known)}; for a file of yours give its path, ending in .yaml"


def read_files(kind: FileKind, name_or_path: str | Path) -> tuple[Table, list[Problem], bool]:
    """A machine's file on top of those that it extends, what is wrong, and whether all of it could be read.

    Raises ArchError for a name that is none.
    """
    return _read_chain(kind, *_locate(kind, name_or_path), ())


def in_order(problems: list[Problem]) -> list[Problem]:
    """As one reads: the files in the order in which they were met, each from top to bottom."""
    met = {file: index for index, file in enumerate(dict.fromkeys(problem.file for problem in problems))}
    return sorted(problems, key=lambda problem: (met[problem.file], problem.line or 0, problem.column or 0))


def _locate(kind: FileKind, name_or_path: str | Path) -> tuple[Path, str]:
    """The file meant, and how messages call it. Text without suffix and without folder is a shipped name."""
    path, name = Path(name_or_path), kind.bare(str(name_or_path))
    if isinstance(name_or_path, Path) or path.suffix in _SUFFIXES or "/" in name or sep in name:
        if not path.suffix and (shipped("arch") / f"{name}.yaml").is_file():
            message = f"{name} is a machine of another kind"
            raise ArchError(
                Problem(message=message, hint=f"rdusim compare MODEL --with {name} sets it beside this kind")
            )
        return path, str(name_or_path)
    if name in kind.names():
        return kind.shipped(name)
    raise ArchError(Problem(message=f"there is no {kind.noun} {name_or_path!r}", hint=kind.others(name)))


def _read_chain(kind: FileKind, path: Path, shown: str, chain: tuple[Path, ...]) -> tuple[Table, list[Problem], bool]:
    """As `read_files`; `chain` holds the files that led here."""
    table, problems = _read(path, shown)
    if not table.items:
        return table, problems, False
    problems += _schema_problems(kind, table)
    own, wrong = kind.prepare(_without(table, "schema", "extends"))
    problems += wrong
    if "extends" not in table.keys:
        return own, problems, True
    chain = (*chain, path.resolve())
    try:
        below, below_shown = _extended(kind, table, path, shown, chain)
    except ArchError as error:
        return own, [*problems, *error.problems], False
    base, base_problems, whole = _read_chain(kind, below, below_shown, chain)
    if "name" not in own.keys:
        # Missing, not inherited: two files with one name could not be told apart in a report.
        base = _without(base, "name")
    return merge(base, own), [*problems, *base_problems], whole


def _read(path: Path, shown: str) -> tuple[Table, list[Problem]]:
    nothing = Table(place=Place(file=shown))
    try:
        return read_table(path.read_text(encoding="utf-8-sig"), shown)
    except UnicodeDecodeError as error:
        return nothing, [nothing.place.problem(f"not UTF-8 text: byte {error.start} is {error.object[error.start]:#x}")]
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        reason = error.strerror if isinstance(error, OSError) else error
        return nothing, [nothing.place.problem(f"cannot be read: {reason}")]


def _schema_problems(kind: FileKind, table: Table) -> list[Problem]:
    """The schema version stands first, so that a reader of another version can say so before it stumbles."""
    hint = f"write 'schema: {kind.schema}' as the first line"
    schema = table.items.get("schema")
    if schema is None:
        return [] if "schema" in table.keys else [table.place.problem("missing field", field="schema", hint=hint)]
    if isinstance(schema, Table) or schema.text != kind.schema:
        text = "a group of fields" if isinstance(schema, Table) else repr(schema.text)
        return [schema.place.problem(f"{text} is not {kind.schemas}", field="schema", hint=hint)]
    if next(iter(table.keys)) != "schema":
        return [schema.place.problem("must be the first key", field="schema", hint=hint)]
    return []


def _extended(kind: FileKind, table: Table, path: Path, shown: str, chain: tuple[Path, ...]) -> tuple[Path, str]:
    """The file that `extends:` names: beside the file first, then among the shipped ones."""
    extends = table.items.get("extends")
    if not isinstance(extends, Scalar):
        place = table.keys["extends"]
        hint = f"such as 'extends: {kind.example}'"
        raise ArchError(place.problem("a name is wanted", field="extends", hint=hint))
    name = kind.bare(extends.text)
    file = name if name.endswith(_SUFFIXES) else f"{name}.yaml"
    beside = path.parent / file
    # A file named like the machine it extends does not mean itself.
    if beside.is_file() and (beside.resolve() != path.resolve() or name not in kind.names()):
        found = beside, str(Path(shown).parent / file)
    elif name in kind.names():
        found = kind.shipped(name)
    else:
        message = f"there is no {kind.noun} {name!r} beside this file or among the shipped ones"
        raise ArchError(extends.place.problem(message, field="extends", hint=kind.others(name)))
    if found[0].resolve() in chain:
        cycle = " -> ".join(step.stem for step in (*chain[chain.index(found[0].resolve()) :], found[0]))
        raise ArchError(extends.place.problem(f"{kind.noun}s extend each other in a circle: {cycle}", field="extends"))
    return found


def _without(table: Table, *names: str) -> Table:
    return replace(
        table,
        items={key: value for key, value in table.items.items() if key not in names},
        keys={key: place for key, place in table.keys.items() if key not in names},
    )
