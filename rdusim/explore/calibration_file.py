"""calibration.yaml: which parameters are free between which bounds, and which targets count how much.

Every problem of the file is found at once, each with its line. The format: experiments/calibration/README.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from rdusim.arch.load import load_arch
from rdusim.baselines.published import SETS, load_targets
from rdusim.baselines.published_rows import MACHINE, ROWS
from rdusim.explore.parameters import Parameter, parameters
from rdusim.graph.readers.document import Document, Node
from rdusim.pipeline import RunRequest
from rdusim.units import UnitError, dimension_of, parse

_LAUNCH: Final = ("launch.", "system.host.")  # what `relaunch` counts
_PARAMETER: Final = {  # and what each of its keys looks like
    "path": "path: launch.execute",
    "low": "low: 0.3 us",
    "high": "high: 5 us",
    "why": "why: what these bounds rest on",
}
_TARGET: Final = {
    "target": "target: T41",
    "uncertainty": "uncertainty: 0.05, the relative error that counts as one",
    "why": "why: what it rests on",
}
_NOT_OURS: Final = ("coe", "gpu")  # sets of targets whose prediction is not one run of the machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Free:
    """A parameter of the machine, its bounds in `unit` and why these."""

    path: str
    unit: str
    low: float
    high: float
    why: str

    @property
    def launch(self) -> bool:
        """Whether it is a cost of launches, which are counted anew without a simulation."""
        return self.path.startswith(_LAUNCH)

    @property
    def factor(self) -> float:
        """SI value of the unit."""
        return float(parse(f"1 {self.unit}", "size" if self.unit.endswith("B") else "time"))

    def override(self, value: float) -> str:
        """As `--set` takes it: a size in whole bytes."""
        said = f"{round(value * self.factor)} B" if self.unit.endswith("B") else f"{value:.9g} {self.unit}"
        return f"{self.path}={said}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """A target, and the relative error that counts as one: its own uncertainty and that of its conditions."""

    target: str
    uncertainty: float
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    parameters: tuple[Free, ...]
    targets: tuple[Aim, ...]


def read_calibration(path: Path) -> Calibration:
    """From calibration.yaml. Raises RdusimError with everything that is wrong."""
    document = Document(path)
    top = document.mapping(document.root, "calibration", ("parameters", "targets"))
    file = _File(document)
    free = [file.free(node) for node in file.entries(document.root, top, "parameters", "- {path: launch.execute, ...}")]
    aims = [file.aim(node) for node in file.entries(document.root, top, "targets", "- {target: T41, ...}")]
    document.check()
    return Calibration(
        parameters=tuple(each for each in free if each is not None),
        targets=tuple(each for each in aims if each is not None),
    )


def start_of(free: Free) -> float:
    """The machine's present value, in the parameter's unit."""
    noun: Any = load_arch(MACHINE)
    for name in free.path.split("."):
        noun = next(tier for tier in noun if tier.name == name) if isinstance(noun, tuple) else getattr(noun, name)
    return float(noun) / free.factor


class _File:
    """Entries of one file. An entry that makes no sense is None, with a problem more of the document."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._machine = {each.path: each for each in parameters(RunRequest(model="", arch=MACHINE))}
        self._able = [path for path, each in self._machine.items() if _unable(each) is None]
        self._seen: dict[str, int] = {}  # a path or target, and the line where it stands first
        self._beside: str | None = None

    def entries(self, root: Node, top: Mapping[str, Node], key: str, shape: str) -> list[Node]:
        if key not in top:
            if isinstance(root, yaml.MappingNode):
                self._document.wrong(root, "missing key", field=key, hint=f"a list of {shape}")
            return []
        found = self._document.sequence(top[key], key)
        if isinstance(top[key], yaml.SequenceNode) and not found:
            self._document.wrong(top[key], "there is none", field=key, hint=f"a list of {shape}")
        return found

    def free(self, node: Node) -> Free | None:
        given = self._entry(node, "parameters", _PARAMETER)
        if given is None:
            return None
        path = self._document.text(given["path"], "parameters.path")
        if not self._may_be_free(given["path"], path):
            return None
        dimension = dimension_of(self._machine[path].hint)
        assert dimension == "size" or dimension == "time", "others may not be free"
        low, high = (self._bound(given[key], f"parameters.{key}", path, dimension) for key in ("low", "high"))
        why = self._document.text(given["why"], "parameters.why")
        if low is None or high is None:
            return None
        if low[1] != high[1]:
            message = f"{path} has bounds in {low[1]} and {high[1]}"
            self._document.wrong(given["high"], message, field="parameters.high", hint="both in one unit")
            return None
        free = Free(path=path, unit=low[1], low=low[0], high=high[0], why=why)
        present = start_of(free)
        if not (free.low < free.high and free.low <= present <= free.high):
            message = (
                f"{present:g} {free.unit}, the value of {MACHINE}, does not lie between {low[0]:g} and {high[0]:g}"
            )
            hint = "the search starts there: bounds around it, the lower one first"
            self._document.wrong(given["low"], f"{path}: {message}", field="parameters.low", hint=hint)
        return free

    def aim(self, node: Node) -> Aim | None:
        given = self._entry(node, "targets", _TARGET)
        if given is None:
            return None
        target = self._document.text(given["target"], "targets.target")
        self._check_target(given["target"], target)
        text = self._document.text(given["uncertainty"], "targets.uncertainty")
        uncertainty = _number(text)
        if uncertainty is None or not uncertainty > 0.0:
            hint = "a number above 0, as 0.05 for 5%"
            message = f"{text!r} is no uncertainty"
            self._document.wrong(given["uncertainty"], message, field="targets.uncertainty", hint=hint)
            return None
        return Aim(target=target, uncertainty=uncertainty, why=self._document.text(given["why"], "targets.why"))

    def _entry(self, node: Node, field: str, shape: Mapping[str, str]) -> dict[str, Node] | None:
        given = self._document.mapping(node, field, shape)
        if not isinstance(node, yaml.MappingNode):
            return None
        missing = [key for key in shape if key not in given]
        for key in missing:
            self._document.wrong(node, "missing key", field=f"{field}.{key}", hint=f"as in `{shape[key]}`")
        return None if missing else given

    def _may_be_free(self, node: Node, path: str) -> bool:
        def wrong(message: str, hint: str) -> bool:
            self._document.wrong(node, message, field="parameters.path", hint=hint)
            return False

        if self._twice(node, path):
            return wrong(f"{path} is there twice", f"first in line {self._seen[path]}")
        if path not in self._machine:
            return wrong(f"{MACHINE} has no number {path!r}", _near(path, self._able))
        if unable := _unable(self._machine[path]):
            return wrong(f"{path} {unable}", _near(path, self._able))
        if not path.startswith(_LAUNCH):
            if self._beside is not None:
                message = f"{self._beside} and {path}: only one parameter beside launch costs can be free"
                return wrong(message, f"leave one out; launch costs begin with {' or '.join(_LAUNCH)}")
            self._beside = path
        return True

    def _bound(self, node: Node, field: str, path: str, dimension: Literal["size", "time"]) -> tuple[float, str] | None:
        """A bound as written: its number, and the unit."""
        text = self._document.text(node, field).strip()
        try:
            value = parse(text, dimension)
        except UnitError as error:
            self._document.wrong(node, f"{path}: {error}", field=field)
            return None
        found = re.search(r"[A-Za-z]+$", text)
        assert found is not None, "a quantity ends with its unit"
        if not value > 0:
            message = f"{path}: {text!r} is not above 0"
            self._document.wrong(node, message, field=field, hint="the search is in logarithms")
            return None
        return float(text[: found.start()]), found[0]

    def _check_target(self, node: Node, target: str) -> None:
        known = list(dict.fromkeys(row.target for row in ROWS if row.main and row.set not in _NOT_OURS))
        sets = [row.set for row in ROWS if row.target == target]
        field = "targets.target"
        if self._twice(node, target):
            message, hint = f"{target} is there twice", f"first in line {self._seen[target]}"
            self._document.wrong(node, message, field=field, hint=hint)
        elif target in known:
            return
        elif sets and sets[0] in _NOT_OURS:
            message = f"{target} ({SETS[sets[0]]}) cannot be calibrated: what predicts it is not one run of the machine"
            self._document.wrong(node, message, field=field, hint=f"one of {', '.join(known)}")
        else:
            what = "is not predicted" if target in load_targets() else "is no target"
            self._document.wrong(node, f"{target!r} {what}", field=field, hint=f"one of {', '.join(known)}")

    def _twice(self, node: Node, name: str) -> bool:
        if name in self._seen:
            return True
        self._seen[name] = node.start_mark.line + 1
        return False


def _unable(parameter: Parameter) -> str | None:
    """Why a number of the machine cannot be free."""
    if not parameter.assumed:
        return f"is no assumed parameter of {MACHINE}: {parameter.note or 'its value has a source'}"
    if not parameter.rate:
        return "is structure: with another value the programs would be others"
    if (dimension := dimension_of(parameter.hint)) not in ("size", "time"):
        return f"is neither a time nor a size, but {f'a {dimension}' if dimension else 'a number'}"
    return None


def _near(path: str, able: list[str]) -> str:
    name = path.rpartition(".")[2]
    near = [each for each in able if each.endswith(f".{name}")] or get_close_matches(path, able, n=2)
    return f"did you mean {' or '.join(near)}?" if near else "`rdusim arch show` names those that are assumed"


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) else None
