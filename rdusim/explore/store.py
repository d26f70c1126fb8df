"""Results on disk, by key: one SQLite file that several sweeps share and one process at a time writes to.

In write-ahead mode a batch is there as a whole or not at all, whatever kills the process.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rdusim.errors import OptionError, Problem
from rdusim.explore.evaluate import Metric
from rdusim.pipeline.step_store import default_folder

NAME: Final = "sweeps.sqlite"
_MAGIC: Final = b"SQLite format 3\0"
_ASKED: Final = 500  # keys of one query; SQLite takes 999
_WAIT: Final = 60.0  # seconds for another sweep's batch to be written


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Figures of a point, or why it has none. `lasting`: the same would come out again, so it is kept."""

    metrics: Mapping[str, Metric] | None
    error: str | None = None
    lasting: bool = True


class Store:
    """Outcomes by key. Raises OptionError where the file cannot be one."""

    def __init__(self, path: Path | None) -> None:
        """`path` None: nothing is kept beyond the process."""
        self.path = path
        if path is not None and path.is_file() and path.stat().st_size:
            with path.open("rb") as file:
                if file.read(len(_MAGIC)) != _MAGIC:
                    raise _unusable(path, "is no store of results: it is another kind of file")
        try:
            self._file = sqlite3.connect(":memory:" if path is None else path, timeout=_WAIT, isolation_level=None)
            self._file.execute("PRAGMA journal_mode=WAL")
            self._file.execute("PRAGMA synchronous=NORMAL")
            self._file.execute("CREATE TABLE IF NOT EXISTS outcome (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")
        except sqlite3.Error as error:
            assert path is not None
            raise _unusable(path, f"cannot be used as a store of results: {error}") from None

    def get(self, keys: Sequence[str]) -> dict[str, Outcome]:
        """Outcomes of those keys that are there."""
        found: dict[str, Outcome] = {}
        for begin in range(0, len(keys), _ASKED):
            some = keys[begin : begin + _ASKED]
            marks = ",".join("?" * len(some))
            rows = self._file.execute(f"SELECT key, value FROM outcome WHERE key IN ({marks})", some)
            found |= {key: outcome for key, value in rows for outcome in _read(value)}
        return found

    def put(self, outcomes: Iterable[tuple[str, Outcome]]) -> None:
        """All of them or none."""
        rows = [(key, _packed(outcome)) for key, outcome in outcomes if outcome.lasting]
        if not rows:
            return
        try:
            self._file.execute("BEGIN IMMEDIATE")
            self._file.executemany("INSERT OR REPLACE INTO outcome VALUES (?, ?)", rows)
            self._file.execute("COMMIT")
        except sqlite3.Error as error:
            assert self.path is not None
            raise _unusable(self.path, f"cannot be written: {error}") from None

    def close(self) -> None:
        self._file.close()


def open_default() -> Store:
    """The user's store (pipeline/step_store.py says where); one in memory where no file can be made there."""
    folder = default_folder()
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return Store(folder / NAME)
        except (OSError, OptionError):
            pass
    return Store(None)


def _packed(outcome: Outcome) -> bytes:
    value = outcome.error if outcome.metrics is None else dict(outcome.metrics)
    return zlib.compress(json.dumps(value).encode(), 1)


def _read(value: bytes) -> Iterator[Outcome]:
    """The outcome, or nothing of a row that makes no sense: it is computed again."""
    try:
        found = json.loads(zlib.decompress(value))
    except (ValueError, zlib.error, TypeError):
        return
    if isinstance(found, str):
        yield Outcome(metrics=None, error=found)
    elif isinstance(found, dict):
        yield Outcome(metrics=found)


def _unusable(path: Path, message: str) -> OptionError:
    return OptionError(Problem(file=str(path), message=message, hint="--store FILE names another, --no-store none"))
