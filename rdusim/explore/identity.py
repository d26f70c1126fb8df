"""The key of a point: a digest of all that its figures follow from, files and the simulator's code included."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from rdusim import __version__
from rdusim.arch.build import build_value
from rdusim.arch.load import arch_digest
from rdusim.arch.structure import leaf_of
from rdusim.errors import RdusimError
from rdusim.explore.axes import Request
from rdusim.explore.serving import ServeRequest, content_of
from rdusim.graph.load import locate
from rdusim.pipeline.request import RunRequest
from rdusim.pipeline.step_store import code_digest

_POINT: Final = ("axes", "evaluate", "model_keys", "serving", "worker")  # modules of this package


@dataclass(frozen=True, slots=True)
class Identity:
    """Keys of requests. Files are read once and taken not to change while it lives; so are their names."""

    _files: dict[tuple[str, str], str] = field(default_factory=dict)

    def key(self, request: Request, *, remap: bool) -> str:
        """Equal keys, equal figures: of the request with its files by content, where they lie makes no difference."""
        if isinstance(request, ServeRequest):
            return sha256(f"{__version__} {point_digest()} {_serving()} {content_of(request)}".encode()).hexdigest()[
                :40
            ]
        said: list[object] = [__version__, point_digest()]
        for each in fields(RunRequest):
            value = getattr(request, each.name)
            if each.name == "compiled_overrides" and (remap or value == request.overrides):
                value = None  # the machine itself
            elif each.name in ("model", "draft", "arch", "memory_hints") and value is not None:
                value = self._digest(each.name, value)
            elif each.name in ("overrides", "compiled_overrides") and value is not None:
                value = tuple(_meaning(setting) for setting in value)
            said.append((each.name, value))
        return sha256(repr(said).encode()).hexdigest()[:40]

    @property
    def files(self) -> str:
        """A digest of all files that were met so far."""
        return sha256(repr(sorted(self._files.items())).encode()).hexdigest()

    def _digest(self, kind: str, name: str) -> str:
        if (kind, name) not in self._files:
            self._files[kind, name] = _content(kind, name)
        return self._files[kind, name]


@cache
def point_digest() -> str:
    """A digest of the code that figures of a point follow from: of the simulator and of what asks it."""
    folder = Path(__file__).resolve().parent
    files = [folder / f"{name}.py" for name in _POINT]
    return sha256(b"".join([code_digest().encode(), *(file.read_bytes() for file in files)])).hexdigest()


@cache
def _meaning(setting: str) -> tuple[str, object]:
    """A setting with its value in SI units: `10 GB/s` and `10000MB/s` are one machine. Of a name, the name."""
    path, _, text = setting.partition("=")
    path, text = path.strip(), text.strip()
    if (leaf := leaf_of(path)) is None:
        return path, text
    value, wrong = build_value(leaf.hint, text, path)
    return path, value if not wrong and isinstance(value, int | float) else text


@cache
def _serving() -> str:
    """A digest of the code that serves, beside that which steps follow from."""
    package = Path(__file__).resolve().parents[1]
    files = (file for part in ("serve", "baselines") for file in sorted((package / part).rglob("*.py")))
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _content(kind: str, name: str) -> str:
    """What a file is called in results, and what it says; of one that cannot be read, its name."""
    try:
        if kind == "arch":
            return arch_digest(name)
        path, called = (Path(name), "") if kind == "memory_hints" else locate(name)
        return f"{called} {path.suffix} {sha256(path.read_bytes()).hexdigest()}"
    except (RdusimError, OSError):
        return name
