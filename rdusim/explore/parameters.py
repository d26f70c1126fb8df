"""Numeric fields of a machine, and the values next to the one that each has: what may be moved, and how far."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from math import isclose
from typing import Any, Final

from rdusim.arch.build import build_value
from rdusim.arch.load import load_arch, load_arch_with_origins
from rdusim.arch.structure import FieldKind, leaf_of
from rdusim.errors import ArchError, OptionError, Problem
from rdusim.pipeline.request import RunRequest
from rdusim.units import Bytes, Cycles, dimension_of

_TRIES: Final = 40  # values next to a target that are tried
_FARTHEST: Final = 4  # times the value, and a fourth of it: beyond, it is another machine
_SHORTER: Final = (1.0, 0.5, 0.25)  # of the way to a target that the machine does not allow


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A field of the machine: its value as written and in SI units, its source, and the type of its values.

    `rate`: other values run the same programs.
    """

    path: str
    text: str
    value: float
    note: str
    hint: Any
    rate: bool

    @property
    def assumed(self) -> bool:
        return self.note.startswith("assumed")

    @property
    def whole(self) -> bool:
        """Whether its values are counts."""
        return self.hint in (int, Bytes, Cycles)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """Another value of a parameter, as written and in SI units."""

    text: str
    value: float


def parameters(request: RunRequest, patterns: Sequence[str] = ()) -> tuple[Parameter, ...]:
    """Every number of the machine in the order of its file, or those that a pattern (`launch.*`) names.

    Raises OptionError for a pattern that names none.
    """
    found = tuple(_all(request))
    known = [each.path for each in found]
    problems = [
        Problem(field="--parameter", message=f"the machine has no number {pattern!r}", hint=_near(pattern, known))
        for pattern in patterns
        if not any(fnmatchcase(path, pattern) for path in known)
    ]
    if problems:
        raise OptionError(*problems)
    return tuple(each for each in found if not patterns or any(fnmatchcase(each.path, name) for name in patterns))


def _all(request: RunRequest) -> Iterator[Parameter]:
    _, origins = load_arch_with_origins(request.arch, request.overrides)
    for path, origin in origins.items():
        leaf = leaf_of(path)
        if leaf is None or not (leaf.hint in (int, float) or dimension_of(leaf.hint) is not None):
            continue
        value, wrong = build_value(leaf.hint, origin.text, path)
        assert not wrong and isinstance(value, int | float), "the machine was read with this value"
        yield Parameter(
            path=path,
            text=origin.text,
            value=float(value),
            note=origin.note,
            hint=leaf.hint,
            rate=leaf.kind is FieldKind.RATE,
        )


def _near(pattern: str, known: Sequence[str]) -> str:
    ending = [path for path in known if path.endswith(f".{pattern}")]
    near = ending or get_close_matches(pattern, known, n=2, cutoff=0.5) or get_close_matches(pattern, known, 1, 0.0)
    return f"did you mean {' or '.join(near[:3])}?"


def read(parameter: Parameter, text: str) -> Moved:
    """A value that was given. Raises OptionError if it is none of the parameter's."""
    value, wrong = build_value(parameter.hint, text.strip(), parameter.path)
    if wrong:
        raise OptionError(*wrong)
    assert isinstance(value, int | float), "a number's values are numbers"
    return Moved(text=text.strip(), value=float(value))


def moved(request: RunRequest, parameter: Parameter, by: float) -> Iterator[Moved]:
    """Values near `1 + by` times the parameter's own that the machine allows, on that side of it, the nearest first.

    Raises OptionError if there is none, with the reason why the first of those that were tried is not allowed.
    """
    reason, none = Problem(message=f"there is no {'higher' if by > 0.0 else 'lower'} value near {parameter.text}"), True
    for number, candidate in enumerate(_candidates(parameter, by)):
        try:
            load_arch(request.arch, (*request.overrides, f"{parameter.path}={candidate.text}"))
        except ArchError as error:
            reason = error.problems[0] if not number else reason
        else:
            none = False
            yield candidate
    if none:
        raise OptionError(replace(reason, file=None, line=None, column=None))


def _candidates(parameter: Parameter, by: float) -> Iterator[Moved]:
    if parameter.whole:
        whole = round(parameter.value)
        yield from (_of(parameter, float(each)) for each in _wholes(whole, whole * (1.0 + by)))
        return
    targets = [parameter.value * (1.0 + share * by) for share in _SHORTER]
    if parameter.hint is float and by > 0.0:  # shares end at one
        targets = [target for target in targets if target <= 1.0] or [1.0]
    yield from (_of(parameter, target) for target in targets if not isclose(target, parameter.value))


def _wholes(value: int, target: float) -> list[int]:
    """Whole numbers next to a target, on its side of the value, those with a likely grain among the nearest.

    First what is as round as the value (a sixteenth of the largest power of two in it), then by distance: neighbours,
    and multiples of every power of two, for counts that must divide each other.
    """
    grain = max(1, (value & -value) // 16)
    near = {round(target) + step for step in range(-_TRIES // 4, _TRIES // 4 + 1)}
    power = 1
    while power <= _FARTHEST * value:
        near |= {int(target // power) * power, -int(-target // power) * power, power}
        power *= 2
    up = target > value
    inside = [
        each
        for each in near
        if value <= _FARTHEST * each and each <= _FARTHEST * value and (each > value) == up and each != value
    ]
    inside.sort(key=lambda each: (abs(each - target), each))
    first = round(target / grain) * grain
    ordered = (
        [first, *inside] if first in inside or ((first > value) == up and first != value and first > 0) else inside
    )
    return list(dict.fromkeys(ordered))[:_TRIES]


def _of(parameter: Parameter, value: float) -> Moved:
    """A value in SI units as the file would have it."""
    if parameter.hint is int:
        return Moved(text=f"{value:.0f}", value=value)
    if parameter.hint is float:
        return Moved(text=f"{value:.6g}", value=value)
    if parameter.whole:
        return Moved(text=_whole_text(parameter, round(value)), value=value)
    number, unit = _split(parameter.text)
    written = f"{number * value / parameter.value:.9g} {unit}"
    return read(parameter, written)


def _whole_text(parameter: Parameter, value: int) -> str:
    if parameter.hint is Cycles:
        return f"{value} cycle{'s' if value != 1 else ''}"
    units = (("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0))
    unit, shift = next((unit, shift) for unit, shift in units if value % (1 << shift) == 0)
    return f"{value >> shift} {unit}"


def _split(text: str) -> tuple[float, str]:
    """Number and unit of a quantity as written."""
    digits = len(text) - len(text.lstrip("+-.0123456789eE"))
    return float(text[:digits]), text[digits:].strip()
