"""Where the shipped machines, models and microbenchmarks are: inside an installed package, or in a checkout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

Shipped = Literal["arch", "graphs", "micro"]
_IN_CHECKOUT: Final[Mapping[Shipped, str]] = {"arch": "arch", "graphs": "graphs", "micro": "experiments/micro"}


def shipped(kind: Shipped) -> Path:
    """The folder of shipped files: `rdusim/_data/<kind>` of a wheel, else its place in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "_data" / kind
    return installed if installed.is_dir() else package.parent / _IN_CHECKOUT[kind]


def names(kind: Shipped) -> tuple[str, ...]:
    """What can be asked for by name: a YAML file, or a folder with a `config.json`; sorted."""
    folder = shipped(kind)
    found = {path.stem for path in folder.glob("*.yaml")} | {path.parent.name for path in folder.glob("*/config.json")}
    return tuple(sorted(found))
