"""Machines from files: the only reader of arch/*.yaml."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from hashlib import sha256
from os import sep
from pathlib import Path
from typing import Final

from rdusim.arch.build import build
from rdusim.arch.check import check_part
from rdusim.arch.merge import merge, override
from rdusim.arch.presets import with_presets
from rdusim.arch.source import Place, Scalar, Table, leaves, read_table
from rdusim.arch.types import Arch
from rdusim.errors import ArchError, Problem
from rdusim.shipped import names, shipped

SCHEMA: Final = "rdusim-arch/1"
_SUFFIXES: Final = (".yaml", ".yml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a value comes from: as written, `file` and `line` (or `--set path=value` and None), the comment beside."""

    text: str
    file: str
    line: int | None
    note: str


def load_arch(name_or_path: str | Path, overrides: Iterable[str] = ()) -> Arch:
    """The machine of a shipped name (`sn40l`) or of a file, with `path=value` overrides put in.

    Values are in SI units and cycles of the socket's clock, whatever units the file writes. Raises ArchError with
    everything that is wrong at once, each with file, line and column.
    """
    return load_arch_with_origins(name_or_path, overrides)[0]


def load_arch_with_origins(
    name_or_path: str | Path, overrides: Iterable[str] = ()
) -> tuple[Arch, Mapping[str, Origin]]:
    """The machine, and for each dotted path (`socket.memory.hbm.bandwidth`) the origin of its value, in file order."""
    path, shown = _locate(name_or_path)
    table, problems, whole = _read_chain(path, shown, ())
    arch = None
    if whole:
        table, wrong = override(table, overrides)
        problems += wrong
    # Where a file could not be read there is no telling what is missing; to call it missing would bury the reason.
    if table.items:
        arch, wrong = build(Arch, table, check_part, whole=whole)
        problems += wrong
    if problems or arch is None:
        raise ArchError(*_in_order(problems))
    return arch, {
        path: Origin(text=value.text, file=value.place.file, line=value.place.line, note=value.note)
        for path, value in leaves(table)
    }


def arch_digest(name_or_path: str | Path) -> str:
    """Of everything that a machine's files say, those that it extends included. Raises ArchError as reading does."""
    path, shown = _locate(name_or_path)
    table, problems, _ = _read_chain(path, shown, ())
    said = [(name, value.text, value.kind, value.quoted) for name, value in leaves(table)]
    return sha256(repr((said, [str(problem) for problem in problems])).encode()).hexdigest()


def _in_order(problems: list[Problem]) -> list[Problem]:
    """As one reads: the files in the order in which they were met, each from top to bottom."""
    met = {file: index for index, file in enumerate(dict.fromkeys(problem.file for problem in problems))}
    return sorted(problems, key=lambda problem: (met[problem.file], problem.line or 0, problem.column or 0))


def _locate(name_or_path: str | Path) -> tuple[Path, str]:
    """The file meant, and how messages call it. Text without suffix and without folder is a shipped name."""
    path = Path(name_or_path)
    if isinstance(name_or_path, Path) or path.suffix in _SUFFIXES or "/" in name_or_path or sep in name_or_path:
        return path, str(name_or_path)
    if name_or_path in names("arch"):
        return _shipped(name_or_path)
    raise ArchError(Problem(message=f"there is no machine {name_or_path!r}", hint=_other_names(name_or_path)))


def _shipped(name: str) -> tuple[Path, str]:
    return shipped("arch") / f"{name}.yaml", f"arch/{name}.yaml"


def _other_names(name: str) -> str:
    near = get_close_matches(name, names("arch"), n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"{meant}shipped: {', '.join(names('arch'))}; for a file of yours give its path, ending in .yaml"


def _read_chain(path: Path, shown: str, chain: tuple[Path, ...]) -> tuple[Table, list[Problem], bool]:
    """A file on top of the one it extends, what is wrong, and whether all of it could be read.

    `chain` holds the files that led here.
    """
    table, problems = _read(path, shown)
    if not table.items:
        return table, problems, False
    problems += _schema_problems(table)
    own, wrong = with_presets(_without(table, "schema", "extends"))
    problems += wrong
    if "extends" not in table.keys:
        return own, problems, True
    try:
        below, below_shown = _extended(table, path, shown, (*chain, path.resolve()))
    except ArchError as error:
        return own, [*problems, *error.problems], False
    base, base_problems, whole = _read_chain(below, below_shown, (*chain, path.resolve()))
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


def _schema_problems(table: Table) -> list[Problem]:
    """The schema version stands first, so that a reader of another version can say so before it stumbles."""
    hint = f"write 'schema: {SCHEMA}' as the first line"
    schema = table.items.get("schema")
    if schema is None:
        return [] if "schema" in table.keys else [table.place.problem("missing field", field="schema", hint=hint)]
    if isinstance(schema, Table) or schema.text != SCHEMA:
        text = "a group of fields" if isinstance(schema, Table) else repr(schema.text)
        return [schema.place.problem(f"{text} is not a schema this rdusim reads", field="schema", hint=hint)]
    if next(iter(table.keys)) != "schema":
        return [schema.place.problem("must be the first key", field="schema", hint=hint)]
    return []


def _extended(table: Table, path: Path, shown: str, chain: tuple[Path, ...]) -> tuple[Path, str]:
    """The file that `extends:` names: beside the file first, then among the shipped ones."""
    extends = table.items.get("extends")
    if not isinstance(extends, Scalar):
        place = table.keys["extends"]
        raise ArchError(place.problem("a name is wanted", field="extends", hint="such as 'extends: sn40l'"))
    name = extends.text
    file = name if name.endswith(_SUFFIXES) else f"{name}.yaml"
    beside = path.parent / file
    # A file named like the machine it extends does not mean itself.
    if beside.is_file() and (beside.resolve() != path.resolve() or name not in names("arch")):
        found = beside, str(Path(shown).parent / file)
    elif name in names("arch"):
        found = _shipped(name)
    else:
        message = f"there is no machine {name!r} beside this file or among the shipped ones"
        raise ArchError(extends.place.problem(message, field="extends", hint=_other_names(name)))
    if found[0].resolve() in chain:
        cycle = " -> ".join(step.stem for step in (*chain[chain.index(found[0].resolve()) :], found[0]))
        raise ArchError(extends.place.problem(f"machines extend each other in a circle: {cycle}", field="extends"))
    return found


def _without(table: Table, *names: str) -> Table:
    return replace(
        table,
        items={key: value for key, value in table.items.items() if key not in names},
        keys={key: place for key, place in table.keys.items() if key not in names},
    )
