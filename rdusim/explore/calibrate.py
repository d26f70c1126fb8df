"""What is predicted of a calibration's targets, as a function of its free parameters.

Programs stay what they are compiled to be at the machine's own values. Launch costs are then counted exactly
(`relaunch.py`); one other parameter may be free: it is simulated at a few values, between them lie straight lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from rdusim.arch.load import load_arch
from rdusim.arch.types import Arch
from rdusim.baselines.published import UNITS, Measure, Row, load_targets
from rdusim.baselines.published_rows import MACHINE, ROWS
from rdusim.explore.calibration import Bounded, Vector
from rdusim.explore.calibration_file import Calibration, start_of
from rdusim.explore.relaunch import TimedRun, timed_run, with_values
from rdusim.pipeline import Cache, RunRequest, Stages
from rdusim.pipeline.validate import predict

_SIMULATED: Final = (Measure.SECONDS, Measure.SPEEDUP)  # of these a run's time is all


def bounded(calibration: Calibration) -> tuple[Bounded, ...]:
    return tuple(
        Bounded(name=free.path, low=free.low, high=free.high, start=start_of(free)) for free in calibration.parameters
    )


def row_of(target: str) -> Row:
    """The main reading of a target; of several the first."""
    return next(row for row in ROWS if row.target == target and row.main)


def published(target: str) -> float:
    """In SI units."""
    found = load_targets()[target]
    return found.value * UNITS[found.unit][1]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Knot:
    """The machine with one value of the parameter that is simulated, and what stands in for each target there."""

    value: float
    arch: Arch
    answers: tuple[Callable[[Arch], float], ...]


class Predictor:
    """Predictions of a calibration's targets as a function of its parameters, quick enough to search with."""

    def __init__(
        self, calibration: Calibration, *, knots: int = 3, cache: Cache, observe: Callable[[str], None]
    ) -> None:
        self.calibration = calibration
        self._cache, self._observe = cache, observe
        self._contexts: dict[RunRequest, tuple[int, ...]] = {}
        beside = [free for free in calibration.parameters if not free.launch]
        self._beside = beside[0] if beside else None
        self._knots = tuple(self._knot(value) for value in self._values(knots))

    def _values(self, knots: int) -> list[float]:
        """Both bounds and what lies evenly between; the present value first, as it chooses the contexts of all."""
        if self._beside is None:
            return [0.0]
        present = start_of(self._beside)
        return [
            present,
            *(value for value in np.linspace(self._beside.low, self._beside.high, knots) if value != present),
        ]

    def _knot(self, value: float) -> _Knot:
        overrides = () if self._beside is None else (self._beside.override(value),)
        answers = []
        for aim in self.calibration.targets:
            self._observe(f"{aim.target} {' '.join(overrides)}")
            answers.append(self._answer(row_of(aim.target), overrides))
        return _Knot(value=value, arch=load_arch(MACHINE, overrides), answers=tuple(answers))

    def _answer(self, row: Row, overrides: tuple[str, ...]) -> Callable[[Arch], float]:
        if row.measure not in _SIMULATED:  # shares of a section's own execution: no launch is in them
            found = predict(row, overrides, cache=self._cache, compiled=())
            return lambda arch: found
        case = self._timed(row, overrides, against=False)
        if row.measure is Measure.SECONDS:
            return case.seconds
        against = self._timed(row, overrides, against=True)
        return lambda arch: against.seconds(arch) / case.seconds(arch)

    def _timed(self, row: Row, overrides: tuple[str, ...], *, against: bool) -> TimedRun:
        case = row.against if against else row.case
        assert case is not None
        fields = {name: getattr(case, name) for name in case.__slots__}
        base = RunRequest(arch=MACHINE, **fields)
        request = RunRequest(arch=MACHINE, **fields, overrides=overrides, compiled_overrides=())
        timed = timed_run(Stages(request, cache=self._cache), self._contexts.get(base))
        self._contexts.setdefault(base, timed.contexts)
        return timed

    def predict(self, values: Sequence[float]) -> tuple[float, ...]:
        """Of every target in SI units, for values in the parameters' units."""
        named = dict(zip(self.calibration.parameters, values, strict=True))
        costs = {free.path: value * free.factor for free, value in named.items() if free is not self._beside}
        knots = sorted(self._knots, key=lambda knot: knot.value)
        at = named[self._beside] if self._beside else 0.0
        for low, high in pairwise(knots):
            if at <= high.value or high is knots[-1]:
                share = (at - low.value) / (high.value - low.value)
                ends = zip(_at(low, costs), _at(high, costs), strict=True)
                return tuple(begin + share * (end - begin) for begin, end in ends)
        return _at(knots[0], costs)

    def residuals(self, logarithms: Vector) -> Vector:
        """ln(predicted / published) in units of each target's uncertainty."""
        found = self.predict(np.exp(logarithms).tolist())
        return np.array(
            [
                np.log(value / published(aim.target)) / aim.uncertainty
                for value, aim in zip(found, self.calibration.targets, strict=True)
            ]
        )

    def anew(self, values: Sequence[float]) -> tuple[float, ...]:
        """The same from whole runs, with programs compiled for these values."""
        pairs = zip(self.calibration.parameters, values, strict=True)
        overrides = tuple(free.override(value) for free, value in pairs)
        return tuple(predict(row_of(aim.target), overrides, cache=self._cache) for aim in self.calibration.targets)


def _at(knot: _Knot, costs: Mapping[str, float]) -> tuple[float, ...]:
    arch = with_values(knot.arch, costs)
    return tuple(answer(arch) for answer in knot.answers)
