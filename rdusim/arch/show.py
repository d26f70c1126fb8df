"""A machine as rows: each value, where it comes from and on whose word."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from rdusim.arch.load import load_arch_with_origins


class Row(NamedTuple):
    """`value` as written; `origin` is `file:line` or `--set ...`; `note` is the source, or `assumed` and why."""

    path: str
    value: str
    origin: str
    note: str


def show_arch(name_or_path: str | Path, overrides: Iterable[str] = ()) -> tuple[Row, ...]:
    """Rows of the merged machine, in the order of its files. Raises ArchError as `load_arch` does."""
    _, origins = load_arch_with_origins(name_or_path, overrides)
    return tuple(
        Row(
            path=path,
            value=origin.text,
            origin=origin.file if origin.line is None else f"{origin.file}:{origin.line}",
            note=origin.note,
        )
        for path, origin in origins.items()
    )
