"""Measured steps, kept on disk: a file for each model and machine, named by a digest of all that seconds follow from.

That includes the code of the simulator, so nothing ever has to be thrown away by hand.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from rdusim.graph.load import locate

FOLDER: Final = "RDUSIM_CACHE"  # environment variable: where to keep steps; empty: nowhere
_CODE: Final = ("graph", "arch", "program", "mapping", "net", "timing", "sim", "kernel", "report", "pipeline")


class StepStore:
    """Steps by key, read from a folder when first asked for; `save` writes what is new. None: only while it lives."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._steps: dict[str, dict[str, tuple[float, float]]] = {}
        self._new: set[str] = set()
        self._keys: dict[tuple[str, str], str] = {}

    def key(self, model: str, *inputs: object) -> str:
        """Digest of the model's file, of `inputs` (frozen nouns: their repr says all) and of the simulator."""
        known = model, repr(inputs)
        if known not in self._keys:
            path, _ = locate(model)
            told = sha256(path.read_bytes()).hexdigest(), known[1], code_digest()
            self._keys[known] = sha256(repr(told).encode()).hexdigest()[:32]
        return self._keys[known]

    def get(self, key: str, step: str, measure: Callable[[], tuple[float, float]]) -> tuple[float, float]:
        steps = self._steps.get(key)
        if steps is None:
            steps = self._steps[key] = self._read(key)
        if step not in steps:
            steps[step] = measure()
            self._new.add(key)
        return steps[step]

    def save(self) -> None:
        """Write new steps; a folder that cannot be written to is no error, the next run only measures again."""
        for key in sorted(self._new):
            if self.folder is None:
                return
            path = self.folder / f"{key}.json"
            part = path.with_name(f".{key}.{os.getpid()}.part")
            merged = self._read(key) | self._steps[key]
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                part.write_text(json.dumps(merged), encoding="utf-8")
                part.replace(path)
            except OSError:
                return
        self._new.clear()

    def _read(self, key: str) -> dict[str, tuple[float, float]]:
        if self.folder is None:
            return {}
        try:
            found = json.loads((self.folder / f"{key}.json").read_text(encoding="utf-8"))
            return {step: (float(seconds), float(moved)) for step, (seconds, moved) in found.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}


def default_folder() -> Path | None:
    """$RDUSIM_CACHE, else `rdusim` in the user's folder for caches; None if that is empty."""
    if (said := os.environ.get(FOLDER)) is not None:
        return Path(said) if said else None
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rdusim"


@cache
def code_digest() -> str:
    """Digest of the code that seconds follow from."""
    package = Path(__file__).resolve().parents[1]
    digest = sha256()
    files = [file for part in _CODE for file in sorted((package / part).rglob("*.py"))]
    for file in (*files, *sorted(package.glob("*.py"))):
        digest.update(file.read_bytes())
    return digest.hexdigest()
