"""Where the shipped machines and models are: inside an installed package, or at the top of a checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Shipped = Literal["arch", "graphs"]


def shipped(kind: Shipped) -> Path:
    """The folder of shipped files: `rdusim/_data/<kind>` of a wheel, else `<kind>` beside the package (a checkout)."""
    package = Path(__file__).resolve().parent
    installed = package / "_data" / kind
    return installed if installed.is_dir() else package.parent / kind


def names(kind: Shipped) -> tuple[str, ...]:
    """What can be asked for by name: a YAML file, or a folder with a `config.json`; sorted."""
    folder = shipped(kind)
    found = {path.stem for path in folder.glob("*.yaml")} | {path.parent.name for path in folder.glob("*/config.json")}
    return tuple(sorted(found))
