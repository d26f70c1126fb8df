"""What an axis is written as: a list, a range, or an interval to draw from. docs/cli.md, `rdusim sweep`.

1,2,4   tp=8|tp=4,pp=2      a list; `|` where the values hold commas
1..8:1  1 TB/s..3 TB/s:0.5  from low to high by steps        1..64*2  by a factor
1..8@5  1..64@log5          so many values, evenly or evenly on a log scale
1..8    1..64@log           an interval: --samples draws from it
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import ceil, exp, floor, log
from typing import Final

from rdusim.units import Dimension, factor

_MOST: Final = 1_000_000  # values of one axis
_NUMBER: Final = r"[+-]?\d{1,18}(?:\.\d{1,18})?(?:[eE][+-]?\d{1,2})?"
_UNIT: Final = r"[^\W\d][^\s:*@]*"
_RANGE: Final = re.compile(
    rf"\s*(?P<low>{_NUMBER})\s*(?P<low_unit>{_UNIT})?\s*\.\.\s*(?P<high>{_NUMBER})\s*(?P<high_unit>{_UNIT})?\s*"
    rf"(?:(?P<how>[:*@])\s*(?P<step>.*?)\s*)?\Z"
)
_STEP: Final = re.compile(rf"(?P<step>{_NUMBER})\s*(?P<unit>{_UNIT})?\Z")
_COUNT: Final = re.compile(r"(?P<log>log)?\s*(?P<count>\d{1,7})?\Z")
_DIGITS: Final = 6  # of values between the ends: enough for any question, and short to read


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Values between two ends, in one unit.

    `grains`: so many are one of the unit, and a value is a whole number of them (bytes of a GiB; of counts 1); None:
    any number is a value. The ends are values.
    """

    low: Decimal
    high: Decimal
    unit: str = ""
    log: bool = False
    grains: int | None = None

    def text(self, share: float) -> str:
        """The value at a share of the way from low to high, as one would write it."""
        if self.grains is None:
            return self.at(_between(float(self.low), float(self.high), share, self.log))
        # Whole numbers share the interval evenly, both ends included.
        low, high = float(self.low * self.grains), float(self.high * self.grains)
        low, high = (low - 0.5, high + 0.5) if not self.log else (max(low, 0.5), high + 0.5)
        return self._whole(Decimal(floor(_between(low, high, share, self.log) + 0.5)))

    def at(self, value: float | Decimal) -> str:
        """The value nearest to a number of the unit; never one outside of the interval."""
        if self.grains is not None:
            return self._whole((Decimal(value) * self.grains).to_integral_value())
        exact = value if isinstance(value, Decimal) else Decimal(f"{value:.{_DIGITS}g}")
        return _text(min(max(exact, self.low), self.high), self.unit)

    def _whole(self, number: Decimal) -> str:
        """So many grains, in the unit where that is short."""
        assert self.grains is not None
        number = min(max(number, self.low * self.grains), self.high * self.grains).to_integral_value()
        value = (number / self.grains).normalize()
        short = self.grains == 1 or len(value.as_tuple().digits) <= _DIGITS
        return _text(value, self.unit) if short else _text(number, "B")


def read_values(text: str, *, whole: bool, dimension: Dimension | None = None) -> list[str] | Interval:
    """Texts of the values, each once, or the interval. Raises ValueError with what is wrong with `text`.

    `whole`: of counts, sizes and cycles, of which a range has whole numbers (of sizes: of bytes). `dimension`: of
    quantities, whose units a range may mix.
    """
    if "|" in text:
        parts = [part.strip() for part in text.removesuffix("|").split("|")]
    else:
        parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise ValueError(f"{text!r} has an empty value" if text.strip() else "there are no values")
    found: list[str] = []
    for part in parts:
        made = _one(part, whole, dimension)
        if isinstance(made, Interval):
            if len(parts) > 1:
                raise ValueError(f"{part!r} is an interval to draw from and stands beside other values")
            return made
        found += made
    return list(dict.fromkeys(found))


def _one(text: str, whole: bool, dimension: Dimension | None) -> list[str] | Interval:
    if (match := _RANGE.match(text)) is None:
        return [text]
    how, step = match["how"], match["step"] or ""
    count = _COUNT.match(step) if how == "@" else None
    if how == "@" and (count is None or (not count["log"] and not count["count"])):
        raise ValueError(f"{text!r}: behind @ stands how many values, such as @5 or @log5")
    interval = _interval(text, match, whole, dimension, logarithmic=count is not None and count["log"] is not None)
    if how == ":":
        return _by_steps(text, interval, step, dimension)
    if how == "*":
        return _by_factor(text, interval, step)
    if count is None or count["count"] is None:
        return interval
    return _spread(text, interval, int(count["count"]))


def _interval(
    text: str, match: re.Match[str], whole: bool, dimension: Dimension | None, *, logarithmic: bool
) -> Interval:
    """What lies between the ends, whatever the steps."""
    low, high = Decimal(match["low"]), Decimal(match["high"])
    low_unit, unit = match["low_unit"] or match["high_unit"] or "", match["high_unit"] or ""
    if dimension is None:
        if low_unit != unit:
            raise ValueError(f"{text!r}: both ends of a range are written in one unit")
    else:
        # In the smaller unit both ends have few digits.
        of_low = factor(f"{match['low']} {low_unit}".strip(), low_unit, dimension)
        of_high = factor(f"{match['high']} {unit}".strip(), unit, dimension)
        if of_low < of_high:
            high, unit = _times(high, of_high / of_low), low_unit
        else:
            low = _times(low, of_low / of_high)
    if low > high:
        raise ValueError(f"{text!r} is an empty range: {_text(low, unit)} is above {_text(high, unit)}")
    if logarithmic and low <= 0:
        raise ValueError(f"{text!r}: a logarithmic range begins above 0")
    if not whole:
        return Interval(low=low, high=high, unit=unit, log=logarithmic)
    if dimension != "size":
        if low % 1 or high % 1:
            raise ValueError(f"{text!r}: a range of whole numbers has whole numbers at its ends")
        return Interval(low=low, high=high, unit=unit, log=logarithmic, grains=1)
    # Ends between two bytes: the interval is what whole bytes there are between them.
    grains = int(factor(text, unit, dimension))
    low, high = Decimal(ceil(low * grains)) / grains, Decimal(floor(high * grains)) / grains
    if low > high:
        raise ValueError(f"{text!r} is an empty range: it has no whole number of bytes")
    return Interval(low=low, high=high, unit=unit, log=logarithmic, grains=grains)


def _by_steps(text: str, interval: Interval, step: str, dimension: Dimension | None) -> list[str]:
    match = _STEP.match(step)
    if match is None or (match["unit"] and dimension is None and match["unit"] != interval.unit):
        raise ValueError(f"{text!r}: behind : stands a step, in the unit of the ends")
    by = Decimal(match["step"])
    if match["unit"] and dimension is not None:
        by = _times(by, factor(step, match["unit"], dimension) / factor(text, interval.unit, dimension))
    if by <= 0:
        raise ValueError(f"{text!r} is an empty range: its step is not above 0")
    if interval.grains == 1 and by % 1:
        raise ValueError(f"{text!r}: a range of whole numbers has a whole step")
    low, high = interval.low, interval.high
    _several(text, low + by <= high or low == high, "step")
    _few(text, (high - low) / by)
    return _at(interval, (low + number * by for number in range(int((high - low) / by) + 1)))


def _by_factor(text: str, interval: Interval, step: str) -> list[str]:
    if (match := _STEP.match(step)) is None or match["unit"] or Decimal(match["step"]) <= 1:
        raise ValueError(f"{text!r}: behind * stands a factor above 1")
    low, high, by = interval.low, interval.high, Decimal(match["step"])
    if low <= 0:
        raise ValueError(f"{text!r}: a range by factors begins above 0")
    _several(text, low * by <= high or low == high, "factor")
    _few(text, Decimal(log(high / low) / log(by)))
    found = [low]
    while found[-1] * by <= high:
        found.append(found[-1] * by)
    return _at(interval, found)


def _spread(text: str, interval: Interval, count: int) -> list[str]:
    """So many values with both ends among them; fewer where whole numbers coincide."""
    if count < 1:
        raise ValueError(f"{text!r} is an empty range: it has no values")
    _few(text, Decimal(count))
    low, high = float(interval.low), float(interval.high)
    inner = [_between(low, high, number / (count - 1), interval.log) for number in range(1, count - 1)]
    return _at(interval, [interval.low, *inner, *([interval.high] if count > 1 else [])])


def _at(interval: Interval, values: Iterable[float | Decimal]) -> list[str]:
    return list(dict.fromkeys(interval.at(value) for value in values))


def _several(text: str, several: bool, what: str) -> None:
    """A range of one value is a slip: a count (`@4`) is easily written as a step (`:4`)."""
    if not several:
        hint = "@N is so many values"
        raise ValueError(f"{text!r} has one value only, as its {what} leads beyond its high end: {hint}")


def _few(text: str, count: Decimal) -> None:
    if count > _MOST:
        raise ValueError(f"{text!r} has {count:,.0f} values: at most {_MOST:,}")


def _between(low: float, high: float, share: float, logarithmic: bool) -> float:
    if logarithmic:
        return exp(log(low) + share * (log(high) - log(low)))
    return low + share * (high - low)


def _times(value: Decimal, by: Fraction) -> Decimal:
    return value * by.numerator / by.denominator


def _text(value: Decimal, unit: str) -> str:
    plain = f"{value:f}"
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return f"{plain} {unit}".strip()
