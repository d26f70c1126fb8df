"""The formats of a timeline file, by the ending of its name."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rdusim.errors import OptionError, Problem
from rdusim.report.chrome import chrome_bytes
from rdusim.report.perfetto import perfetto_bytes

if TYPE_CHECKING:
    from rdusim.report.timeline import Timeline

_SPEED = 5  # of gzip: a tenth larger than its default, in half the time


def check_trace_ending(path: Path) -> None:
    """Raises OptionError unless `timeline_bytes` knows the ending."""
    if _ending(path) is None:
        *others, last = _FORMATS
        hint = f"known are {', '.join(others)} and {last}"
        raise OptionError(Problem(field="--trace", message=f"{path.name} has no known ending", hint=hint))


def timeline_bytes(timeline: Timeline, path: Path) -> bytes:
    """The content of `path`, whose ending has been checked."""
    ending = _ending(path)
    assert ending is not None, f"{path} was not checked"
    return _FORMATS[ending](timeline)


def _ending(path: Path) -> str | None:
    return next((ending for ending in _FORMATS if path.name.endswith(ending)), None)


def _gzipped(timeline: Timeline) -> bytes:
    # No time of day in the header: the same run gives the same file.
    return gzip.compress(chrome_bytes(timeline), _SPEED, mtime=0)


_FORMATS: Final[Mapping[str, Callable[[Timeline], bytes]]] = {
    ".pftrace": perfetto_bytes,
    ".json": chrome_bytes,
    ".json.gz": _gzipped,
}
