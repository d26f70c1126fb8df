"""Quantities: types for SI numbers, and text with a unit in, text with a unit out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from typing import Final, Literal, NewType, cast, overload

Bytes = NewType("Bytes", int)
BytesPerSecond = NewType("BytesPerSecond", float)
Seconds = NewType("Seconds", float)
Cycles = NewType("Cycles", float)
Hertz = NewType("Hertz", float)

Dimension = Literal["size", "bandwidth", "time", "frequency", "cycles"]
Kind = Literal[Dimension, "count", "share", "flop", "flops"]


class UnitError(ValueError):
    """Text that is no quantity of the wanted dimension; the message says value, dimension and an example."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """How a dimension is written: unit -> (numerator, denominator) of its SI value, so that integers stay exact."""

    article: str
    example: str
    units: dict[str, tuple[int, int]]
    whole: bool = False


_BINARY: Final = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_DECIMAL: Final = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BITS: Final = {"Mb": 10**6, "Gb": 10**9, "Tb": 10**12}  # of networks only: a size in bits is a slip for bytes
_SIZE: Final = {"B": (1, 1), **{unit: (factor, 1) for unit, factor in (_BINARY | _DECIMAL).items()}}

_SCALES: Final[dict[Dimension, _Scale]] = {
    "size": _Scale(article="a size", example="64 GiB", units=_SIZE, whole=True),
    "bandwidth": _Scale(
        article="a bandwidth",
        example="1.8 TB/s",
        units={f"{unit}/s": factor for unit, factor in _SIZE.items()}
        | {f"{unit}/s": (factor, 8) for unit, factor in _BITS.items()},
    ),
    "time": _Scale(
        article="a time",
        example="600 ns",
        units={
            "h": (3600, 1),
            "min": (60, 1),
            "s": (1, 1),
            "ms": (1, 10**3),
            "us": (1, 10**6),
            "\N{MICRO SIGN}s": (1, 10**6),
            "ns": (1, 10**9),
            "ps": (1, 10**12),
        },
    ),
    "frequency": _Scale(
        article="a frequency",
        example="1.2 GHz",
        units={"Hz": (1, 1), "kHz": (10**3, 1), "MHz": (10**6, 1), "GHz": (10**9, 1)},
    ),
    "cycles": _Scale(
        article="a number of clock cycles", example="2 cycles", units={"cycles": (1, 1), "cycle": (1, 1)}, whole=True
    ),
}

# Digits are bounded so that no text, however long, costs more than one multiplication of small integers.
_QUANTITY: Final = re.compile(r"([+-]?)(\d{1,24})(?:\.(\d{1,24}))?(?:[eE]([+-]?\d{1,2}))?\s*((?:[^\W\d]\S*)?)\Z")


@overload
def parse(text: str, dimension: Literal["size"]) -> Bytes: ...
@overload
def parse(text: str, dimension: Literal["bandwidth"]) -> BytesPerSecond: ...
@overload
def parse(text: str, dimension: Literal["time"]) -> Seconds: ...
@overload
def parse(text: str, dimension: Literal["frequency"]) -> Hertz: ...
@overload
def parse(text: str, dimension: Literal["cycles"]) -> Cycles: ...
@overload
def parse(text: str, dimension: Dimension) -> int | float: ...
def parse(text: str, dimension: Dimension) -> int | float:
    """SI value of text such as `1.8 TB/s`; the space may be left out, the unit may not.

    Sizes and cycles are exact integers; the others are the float nearest to what is written. `B` is a byte, `b` a bit
    (`800 Gb/s` is 100 GB/s), `k M G T` are powers of 1000 and `Ki Mi Gi Ti` of 1024. Raises UnitError.
    """
    scale = _SCALES[dimension]
    if (match := _QUANTITY.match(text.strip())) is None:
        raise UnitError(f"{text!r} is not {example(dimension)}")
    sign, whole, fraction, exponent, unit = match.groups()
    if (factor := scale.units.get(unit)) is None:
        raise UnitError(_unit_problem(text, unit, dimension))
    power = int(exponent or 0) - len(fraction or "")
    numerator: int = int(sign + whole + (fraction or "")) * factor[0] * 10 ** max(power, 0)
    denominator: int = factor[1] * 10 ** max(-power, 0)
    if not scale.whole:
        return numerator / denominator  # true division of integers rounds once, correctly
    if numerator % denominator:
        raise UnitError(f"{text!r} is not a whole number of {'bytes' if dimension == 'size' else 'cycles'}")
    return numerator // denominator


def factor(text: str, unit: str, dimension: Dimension) -> Fraction:
    """SI value of one of a unit, of the one in `text`. Raises UnitError as `parse` does."""
    if (found := _SCALES[dimension].units.get(unit)) is None:
        raise UnitError(_unit_problem(text, unit, dimension))
    return Fraction(*found)


def _unit_problem(text: str, unit: str, dimension: Dimension) -> str:
    """Why `unit` is not one of the dimension: missing, another dimension's, of another case, or nobody's."""
    scale = _SCALES[dimension]
    if not unit:
        return f"{text!r} has no unit: {scale.article} is written like '{scale.example}'"
    wanted = f"{scale.article} is wanted, such as '{scale.example}'"
    for other in _SCALES.values():
        if unit in other.units:
            return f"{text!r} is {other.article}; {wanted}"
    same = [known for known in scale.units if known.lower() == unit.lower()]
    meant = f"; did you mean {same[-1] if len(same) == 1 else ' or '.join(same)}?" if same else ""
    return f"{text!r} has the unknown unit {unit!r}{meant}; {wanted}"


_SHOWN: Final[dict[Kind, dict[str, float]]] = {
    "size": {"TiB": 1 << 40, "GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "B": 1},
    "bandwidth": {"TB/s": 1e12, "GB/s": 1e9, "MB/s": 1e6, "kB/s": 1e3, "B/s": 1},
    "time": {"s": 1, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12},
    "frequency": {"GHz": 1e9, "MHz": 1e6, "kHz": 1e3, "Hz": 1},
    "flop": {"PFLOP": 1e15, "TFLOP": 1e12, "GFLOP": 1e9, "MFLOP": 1e6, "FLOP": 1},
    "flops": {"PFLOPS": 1e15, "TFLOPS": 1e12, "GFLOPS": 1e9, "MFLOPS": 1e6, "FLOPS": 1},
}
_BASE: Final[dict[Kind, str]] = {
    "size": "B",
    "bandwidth": "B/s",
    "time": "s",
    "frequency": "Hz",
    "flop": "FLOP",
    "flops": "FLOPS",
}
_ROUNDS_UP: Final = 0.9995  # 999.6 GB/s reads '1.00 TB/s', 999.4 GB/s reads '999 GB/s'


def show(value: float, kind: Kind) -> str:
    """SI value as text for people, three digits: `1.53 TB/s`, `38.6 us`, `64 GiB`, `1,040`, `85%` (of a share 0.85)."""
    if not isfinite(value):
        return str(value)
    if kind == "count":
        return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"
    if kind == "cycles":
        return f"{show(value, 'count')} cycle{'' if value == 1 else 's'}"
    if kind == "share":
        return f"{100 * value:.0f}%" if abs(value) >= 0.1 or value == 0 else f"{100 * value:.1f}%"
    units = _SHOWN[kind]
    if value == 0:
        return f"0 {_BASE[kind]}"
    unit = next((unit for unit, factor in units.items() if abs(value) >= _ROUNDS_UP * factor), [*units][-1])
    scaled = value / units[unit]
    if kind == "size" and scaled == round(scaled):
        return f"{scaled:.0f} {unit}"
    return f"{_three_digits(scaled)} {unit}"


def _three_digits(value: float) -> str:
    size = abs(value)
    if size < 0.1:  # below the smallest unit
        return f"{value:.3g}"
    return f"{value:.{2 if size < 9.995 else 1 if size < 99.95 else 0}f}"


def example(dimension: Dimension) -> str:
    """What a quantity of the dimension is and how it is written: `a size such as '64 GiB'`."""
    scale = _SCALES[dimension]
    return f"{scale.article} such as '{scale.example}'"


def examples() -> dict[Dimension, str]:
    """A quantity of each dimension as it is written."""
    return {dimension: scale.example for dimension, scale in _SCALES.items()}


def dimension_of(quantity: object) -> Dimension | None:
    """Dimension that a field typed with one of this module's NewTypes is written in; None for plain numbers."""
    names: dict[object, str] = {
        Bytes: "size",
        BytesPerSecond: "bandwidth",
        Seconds: "time",
        Hertz: "frequency",
        Cycles: "cycles",
    }
    return cast("Dimension | None", names.get(quantity))
