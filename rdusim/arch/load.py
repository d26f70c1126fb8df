"""Machines from files: the only reader of arch/*.yaml."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from rdusim.arch.build import build
from rdusim.arch.check import check_part
from rdusim.arch.files import FileKind, in_order, read_files
from rdusim.arch.merge import override
from rdusim.arch.presets import with_presets
from rdusim.arch.source import leaves
from rdusim.arch.types import Arch
from rdusim.errors import ArchError
from rdusim.shipped import names

SCHEMA: Final = "rdusim-arch/1"
_MACHINE: Final = FileKind(
    noun="machine",
    schema=SCHEMA,
    schemas="a schema this rdusim reads",
    example="sn40l",
    names=lambda: names("arch"),
    prepare=with_presets,
)


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
    table, problems, whole = read_files(_MACHINE, name_or_path)
    arch = None
    if whole:
        table, wrong = override(table, overrides)
        problems += wrong
    # Where a file could not be read there is no telling what is missing; to call it missing would bury the reason.
    if table.items:
        arch, wrong = build(Arch, table, check_part, whole=whole)
        problems += wrong
    if problems or arch is None:
        raise ArchError(*in_order(problems))
    return arch, {
        path: Origin(text=value.text, file=value.place.file, line=value.place.line, note=value.note)
        for path, value in leaves(table)
    }


def arch_digest(name_or_path: str | Path) -> str:
    """Of everything that a machine's files say, those that it extends included. Raises ArchError as reading does."""
    table, problems, _ = read_files(_MACHINE, name_or_path)
    said = [(name, value.text, value.kind, value.quoted) for name, value in leaves(table)]
    return sha256(repr((said, [str(problem) for problem in problems])).encode()).hexdigest()
