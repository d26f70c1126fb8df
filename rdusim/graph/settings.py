"""A Hugging Face config.json: the keys a family asks for, under any spelling, with all problems reported at once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rdusim.errors import GraphError, Problem
from rdusim.graph.class_defaults import CLASS_DEFAULTS

ALIASES: Mapping[str, tuple[str, ...]] = {
    "hidden_size": ("n_embd", "n_embed", "d_model"),
    "num_hidden_layers": ("n_layer", "num_layers", "n_layers"),
    "num_attention_heads": ("n_head", "num_heads", "n_heads"),
    "intermediate_size": ("n_inner", "ffn_hidden_size", "ffn_dim"),
    "max_position_embeddings": ("n_positions", "n_ctx", "seq_length"),
    "num_key_value_heads": ("num_kv_heads",),
    "hidden_act": ("activation_function", "activation"),
    "torch_dtype": ("dtype",),
    "num_experts_per_tok": ("experts_per_token",),
}


class Settings:
    """Reads typed values out of one config.json. After reading, `check()` raises one GraphError with every problem."""

    def __init__(self, values: Mapping[str, object], *, file: str | None = None, text: str = "") -> None:
        self.values = values
        self.file = file
        self._text = text
        self._span = (0, len(text))  # of the text that holds these values
        self._prefix = ""  # of their names in messages
        self._problems: list[Problem] = []

    @property
    def model_type(self) -> str:
        return str(self.values.get("model_type", ""))

    def within(self, name: str) -> Settings:
        """A nested config, which leaves out keys that take the defaults of its class in transformers.

        Its problems are reported with those of the whole file.
        """
        given = self.table(name)
        if not given:
            self.wrong(name, "is missing", "a config of its own, with its model_type")
        defaults = CLASS_DEFAULTS.get(str(given.get("model_type", "")), {})
        unsaid = {key: each for key, each in defaults.items() if not {key, *ALIASES.get(key, ())} & given.keys()}
        nested = Settings({**unsaid, **given}, file=self.file, text=self._text)
        nested._span, nested._prefix, nested._problems = self._extent(name), f"{self._prefix}{name}.", self._problems
        return nested

    def language(self) -> Settings:
        """The config of the language model: a nested one where there are several (transformers' get_text_config)."""
        return self.within("text_config") if self.table("text_config") else self

    def key(self, name: str) -> str:
        """The spelling of `name` that this file uses."""
        return next((key for key in (name, *ALIASES.get(name, ())) if key in self.values), name)

    def size(self, name: str, default: int | None = None) -> int:
        """A whole number of at least 1; null or absent takes the default; without a default it is missing."""
        value = self.values.get(self.key(name))
        if value is None:
            if default is None:
                self.wrong(name, "is missing", "a whole number of at least 1")
                return 1
            return default
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            self.wrong(name, f"{json.dumps(value)} is not a size", "a whole number of at least 1")
            return 1
        return value

    def whole(self, name: str, default: int) -> int:
        """A whole number of at least 0."""
        value = self.values.get(self.key(name), default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            self.wrong(name, f"{json.dumps(value)} is out of range", "a whole number of at least 0")
            return default
        return value

    def signed(self, name: str, default: int) -> int:
        """A whole number, which counts from the end when it is negative."""
        value = self.values.get(self.key(name))
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            self.wrong(name, f"{json.dumps(value)} is out of range", "a whole number")
            return default
        return value

    def optional_size(self, name: str) -> int | None:
        return None if self.values.get(self.key(name)) is None else self.size(name)

    def number(self, name: str, default: float, *, below: float | None = None) -> float:
        """A number of at least 0 (and below `below`)."""
        value = self.values.get(self.key(name), default)
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if not good or not 0 <= value < (below if below is not None else float("inf")):  # type: ignore[operator]
            limit = "" if below is None else f" and below {below:g}"
            self.wrong(name, f"{json.dumps(value)} is out of range", f"a number of at least 0{limit}")
            return default
        return float(value)  # type: ignore[arg-type]

    def flag(self, name: str, default: bool) -> bool:
        value = self.values.get(self.key(name))
        if value is None:
            return default
        if not isinstance(value, bool):
            self.wrong(name, f"{json.dumps(value)} is not a flag", "true or false")
            return default
        return value

    def choice(self, name: str, default: str, known: tuple[str, ...]) -> str:
        value = self.values.get(self.key(name), default)
        if value not in known:
            self.wrong(name, f"{json.dumps(value)} is not known", f"one of {', '.join(known)}")
            return default
        return str(value)

    def table(self, name: str) -> Mapping[str, object]:
        """A nested mapping; empty when absent or null."""
        value = self.values.get(self.key(name))
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.wrong(name, f"{json.dumps(value)} is not a mapping")
            return {}
        return value

    def whole_numbers(self, name: str) -> list[int]:
        """A list of whole numbers of at least 0; empty when absent or null."""
        return list(self._list(name, "whole numbers", lambda each: type(each) is int and each >= 0))

    def words(self, name: str, known: tuple[str, ...]) -> list[str]:
        """A list of known words; empty when absent or null."""
        return [str(each) for each in self._list(name, f"{' or '.join(known)}", lambda each: each in known)]

    def _list(self, name: str, wanted: str, good: Callable[[Any], bool]) -> list[Any]:
        value = self.values.get(self.key(name))
        if value is None:
            return []
        if not isinstance(value, list) or not all(good(each) for each in value):
            self.wrong(name, f"{json.dumps(value)} is out of range", f"a list of {wanted}")
            return []
        return value

    def divides(self, part: str, parts: int, whole: str, total: int) -> None:
        """Report it when `parts` equal parts do not make up the `total`."""
        if total % parts:
            self.wrong(part, f"{parts} does not divide {self.key(whole)} = {total}")

    def wrong(self, name: str, message: str, hint: str | None = None) -> None:
        key = self.key(name)
        line, column = self.place(key)
        field = f"{self._prefix}{key}"
        self._problems.append(
            Problem(message=message, file=self.file, line=line, column=column, field=field, hint=hint)
        )

    def check(self) -> None:
        """Raise what was found wrong so far."""
        if self._problems:
            raise GraphError(*self._problems)

    def place(self, key: str) -> tuple[int | None, int | None]:
        """Line and column of a key in the file's text."""
        found = self._find(key)
        if found is None:
            return None, None
        start = found.start()
        return self._text.count("\n", 0, start) + 1, start - self._text.rfind("\n", 0, start)

    def _find(self, key: str) -> re.Match[str] | None:
        return re.compile(rf'"{re.escape(key)}"\s*:\s*').search(self._text, *self._span)

    def _extent(self, key: str) -> tuple[int, int]:
        """Where the value of a key begins and ends in the text."""
        found = self._find(key)
        if found is None:
            return 0, 0
        return found.end(), json.JSONDecoder().raw_decode(self._text, found.end())[1]


def read_settings(path: Path) -> Settings:
    """The file as Settings. Raises GraphError with file, line and column when it is no JSON mapping."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise GraphError(Problem(message=f"cannot be read: {error}", file=str(path))) from error
    try:
        values = json.loads(text, object_pairs_hook=_unique)
    except _Duplicate as error:
        places = [
            number
            for number, line in enumerate(text.splitlines(), 1)
            if re.match(rf'\s*"{re.escape(error.key)}"', line)
        ]
        message = f"duplicate key (first given in line {places[0]})" if len(places) > 1 else "duplicate key"
        line = places[1] if len(places) > 1 else None
        raise GraphError(Problem(message=message, file=str(path), line=line, field=error.key)) from None
    except json.JSONDecodeError as error:
        cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
        hint = "the file ends too early; download it again" if cut else None
        message = f"no valid JSON: {error.msg}"
        raise GraphError(
            Problem(message=message, file=str(path), line=error.lineno, column=error.colno, hint=hint)
        ) from error
    if not isinstance(values, dict):
        raise GraphError(Problem(message="a config.json is a mapping of keys to values", file=str(path), line=1))
    return Settings(values, file=str(path), text=text)


class _Duplicate(Exception):
    """A key that stands twice in one mapping: JSON would keep the last one without a word."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise _Duplicate(key)
        found[key] = value
    return found
