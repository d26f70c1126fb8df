"""What an experiment consists of: what is predicted, what was published for it, and how it is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from rdusim.baselines.published import Row
from rdusim.errors import RdusimError
from rdusim.pipeline import RunRequest
from rdusim.report.types import Report

X = str | float  # a group of bars, or a place on the axis of a line


class ExperimentError(RdusimError):
    """The experiment itself makes no sense, so none of its results would."""


class ByExperts(StrEnum):
    """What is asked of a composition by its number of experts."""

    SECONDS = "coe.seconds"
    NODES = "coe.nodes"
    NODES_NEAR = "coe.nodes_near"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A row of published_rows.py, or one like it with other conditions: then it is no prediction of its target."""

    row: Row
    changed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """A row of published_rows.py about a composition, of `experts`. `uniform`: requests ask for all of them alike."""

    row: Row
    experts: int
    measure: ByExperts
    uniform: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A run of its own: a figure of its report, or that of `against` over it."""

    request: RunRequest
    measure: str
    against: RunRequest | None = None


Ask = Published | Composition | Ran


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One line of the results. `main`: not a sensitivity. `line`: where experiment.yaml asks it."""

    x: X
    series: str
    ask: Ask
    unit: str
    reading: str = ""
    main: bool = True
    line: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A line of expected.csv. No id: nothing that may be compared was published."""

    id: str
    value: float | None
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    title: str
    y: str
    series: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """`kind`: bars or lines. `ideal`: beside each line, growing with x. `bound`: each point says what limits it.

    `steps`: what is counted jumps behind a point.
    """

    kind: str
    panels: tuple[Panel, ...]
    scale: str = "linear"
    x_scale: str = "linear"
    ideal: bool = False
    bound: bool = False
    steps: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """`x`: the name of what bars or points differ in. `also`: further columns, and the figure of the report in each."""

    folder: Path
    title: str
    source: str
    x: str
    asked: tuple[Asked, ...]
    expected: Mapping[tuple[str, str], Expected]
    picture: Picture
    also: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.folder.resolve().name  # of `.`, too

    @property
    def file(self) -> Path:
        return self.folder / "experiment.yaml"

    def published(self, asked: Asked) -> Expected | None:
        return self.expected.get((said(asked.x), asked.series))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A prediction in the row's unit, or why there is none. `report`: of the run, if it is one."""

    asked: Asked
    value: float | None
    problem: str = ""
    report: Report | None = None
    against: Report | None = None


def said(x: X) -> str:
    return x if isinstance(x, str) else f"{x:g}"
