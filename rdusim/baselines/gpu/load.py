"""GPUs from files: the only reader of arch/gpu/*.yaml."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from rdusim.arch.build import build
from rdusim.arch.merge import merge, override
from rdusim.arch.source import Place, Scalar, Table, read_table
from rdusim.baselines.gpu.check import check_part
from rdusim.baselines.gpu.types import GpuMachine
from rdusim.errors import ArchError, Problem
from rdusim.shipped import shipped

SCHEMA: Final = "rdusim-gpu/1"
FOLDER: Final = "gpu"  # below the shipped machines; `gpu/h100` names a file in it
_SUFFIXES: Final = (".yaml", ".yml")
# How the SN40L paper counts a DGX: one host link, at its full rate (MICRO VI-C).
AS_THE_PAPER: Final = ("node.host_links=1", "node.host_link.achieved=1")


def load_gpu(name_or_path: str | Path, overrides: Iterable[str] = ()) -> GpuMachine:
    """The GPU of a shipped name (`h100` or `gpu/h100`) or of a file, with `path=value` overrides put in.

    Raises ArchError with everything that is wrong at once.
    """
    path, shown = _locate(name_or_path)
    table, problems, whole = _read_chain(path, shown, ())
    if whole:
        table, wrong = override(table, overrides)
        problems += wrong
    machine = None
    if table.items:  # where nothing could be read there is no telling what is missing
        machine, wrong = build(GpuMachine, table, check_part, whole=whole)
        problems += wrong
    if problems or machine is None:
        met = {file: index for index, file in enumerate(dict.fromkeys(problem.file for problem in problems))}
        raise ArchError(*sorted(problems, key=lambda each: (met[each.file], each.line or 0, each.column or 0)))
    return machine


def gpu_names() -> tuple[str, ...]:
    """Shipped GPUs."""
    return tuple(sorted(path.stem for path in (shipped("arch") / FOLDER).glob("*.yaml")))


def _locate(name_or_path: str | Path) -> tuple[Path, str]:
    """The file meant, and how messages call it."""
    path = Path(name_or_path)
    if isinstance(name_or_path, Path) or path.suffix in _SUFFIXES:
        return path, str(name_or_path)
    name = name_or_path.removeprefix(f"{FOLDER}/")
    if name in gpu_names():
        return _shipped(name)
    raise ArchError(Problem(message=f"there is no GPU {name_or_path!r}", hint=_other_names(name)))


def _shipped(name: str) -> tuple[Path, str]:
    return shipped("arch") / FOLDER / f"{name}.yaml", f"arch/{FOLDER}/{name}.yaml"


def _other_names(name: str) -> str:
    near = get_close_matches(name, gpu_names(), n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"{meant}shipped: {', '.join(gpu_names())}; for a file of yours give its path, ending in .yaml"


def _read_chain(path: Path, shown: str, chain: tuple[Path, ...]) -> tuple[Table, list[Problem], bool]:
    """A file on top of the one it extends, what is wrong, and whether all of it could be read."""
    table, problems = _read(path, shown)
    if not table.items:
        return table, problems, False
    problems += _schema_problems(table)
    own = _without(table, "schema", "extends")
    if "extends" not in table.keys:
        return own, problems, True
    chain = (*chain, path.resolve())
    try:
        below, below_shown = _extended(table, path, shown, chain)
    except ArchError as error:
        return own, [*problems, *error.problems], False
    base, base_problems, whole = _read_chain(below, below_shown, chain)
    return merge(_without(base, "name"), own), [*problems, *base_problems], whole


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
    hint = f"write 'schema: {SCHEMA}' as the first line"
    schema = table.items.get("schema")
    if schema is None:
        return [] if "schema" in table.keys else [table.place.problem("missing field", field="schema", hint=hint)]
    if isinstance(schema, Table) or schema.text != SCHEMA:
        text = "a group of fields" if isinstance(schema, Table) else repr(schema.text)
        return [schema.place.problem(f"{text} is not a schema of GPUs this rdusim reads", field="schema", hint=hint)]
    return []


def _extended(table: Table, path: Path, shown: str, chain: tuple[Path, ...]) -> tuple[Path, str]:
    """The file that `extends:` names: beside the file first, then among the shipped ones."""
    extends = table.items.get("extends")
    if not isinstance(extends, Scalar):
        place = table.keys["extends"]
        raise ArchError(place.problem("a name is wanted", field="extends", hint="such as 'extends: a100'"))
    name = extends.text.removeprefix(f"{FOLDER}/")
    file = name if name.endswith(_SUFFIXES) else f"{name}.yaml"
    beside = path.parent / file
    if beside.is_file() and (beside.resolve() != path.resolve() or name not in gpu_names()):
        found = beside, str(Path(shown).parent / file)
    elif name in gpu_names():
        found = _shipped(name)
    else:
        message = f"there is no GPU {name!r} beside this file or among the shipped ones"
        raise ArchError(extends.place.problem(message, field="extends", hint=_other_names(name)))
    if found[0].resolve() in chain:
        raise ArchError(extends.place.problem(f"{name!r} extends itself in a circle", field="extends"))
    return found


def _without(table: Table, *names: str) -> Table:
    return replace(
        table,
        items={key: value for key, value in table.items.items() if key not in names},
        keys={key: place for key, place in table.keys.items() if key not in names},
    )
