"""Which folder is meant by what was named: a folder, the experiment.yaml in it, or the name of a shipped experiment."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Final

from rdusim.errors import Problem
from runner.types import ExperimentError

FILE: Final = "experiment.yaml"


def shipped(home: Path) -> list[Path]:
    return sorted(path.parent for path in home.glob(f"*/{FILE}"))


def folder_of(named: Path, home: Path) -> Path:
    """`home`: where the shipped ones are. Raises ExperimentError with those there are."""
    if (named / FILE).is_file():
        return named
    if named.name == FILE and named.is_file():
        return named.parent
    if len(named.parts) == 1 and (home / named / FILE).is_file():
        return home / named
    if named.is_file() and (named.parent / FILE).is_file():
        raise ExperimentError(Problem(message=f"{named} is no folder", hint=f"name its folder, {named.parent}"))
    known = [path.name for path in shipped(home)]
    near = get_close_matches(named.name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    raise ExperimentError(Problem(message=f"there is no {named / FILE}", hint=hint))
