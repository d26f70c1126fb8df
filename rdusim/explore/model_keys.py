"""Keys of a model's config.json as something to vary: a changed copy of the file, in the user's folder for caches."""

from __future__ import annotations

import json
import os
import tempfile
from hashlib import sha256
from pathlib import Path

from rdusim.graph.load import locate
from rdusim.graph.settings import read_settings
from rdusim.pipeline.step_store import default_folder

_SHOWN = 60  # characters of a changed model's name that say what was changed


def model_keys(model: str) -> dict[str, object]:
    """Top-level keys of config.json that are single values. Empty for a graph, which is its own file."""
    path, _ = locate(model)
    if path.suffix != ".json":
        return {}
    values = read_settings(path).values
    return {key: value for key, value in values.items() if isinstance(value, str | int | float | bool)}


def model_value(model: str, key: str, text: str) -> str | int | float | bool:
    """The value of a key that text stands for: of the type that it has in the file. Raises ValueError."""
    now = model_keys(model)[key]
    if isinstance(now, str):
        return text.strip()
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = None
    if isinstance(now, bool) != isinstance(value, bool) or not isinstance(value, int | float | bool):
        wanted = "true or false" if isinstance(now, bool) else "a number"
        raise ValueError(f"{text!r} is not {wanted}, which {key} = {json.dumps(now)} is")
    if isinstance(now, int) and isinstance(value, float):
        raise ValueError(f"{text!r} is not a whole number, which {key} = {now} is")
    return value


def with_model_value(model: str, key: str, text: str) -> str:
    """The path of a copy of the model in which `key` has another value; its name says so.

    Equal changes of equal files are one file, so it is made once and may stay.
    """
    path, name = locate(model)
    values = dict(read_settings(path).values)
    values[key] = model_value(model, key, text)
    content = json.dumps(values, indent=2)
    digest = sha256(content.encode()).hexdigest()[:16]
    folder = (default_folder() or Path(tempfile.gettempdir()) / "rdusim") / "models" / digest
    target = folder / f"{name},{key}={text.strip()}"[: len(name) + _SHOWN].replace(os.sep, "_") / "config.json"
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".config.{os.getpid()}.part")
        part.write_text(content, encoding="utf-8")
        part.replace(target)
    return str(target)
