"""What an axis is written as: a list, a range, or an interval to draw from. docs/cli.md, `rdusim sweep`.

1,2,4   tp=8|tp=4,pp=2      a list; `|` where the values hold commas
1..8:1  1 TB/s..3 TB/s:0.5  from low to high by steps        1..64*2  by a factor
1..8@5  1..64@log5          so many values, evenly or evenly on a log scale
1..8    1..64@log           an interval: --samples draws from it
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from math import exp, floor, log
from typing import Final

_MOST: Final = 1_000_000  # values of one axis
_NUMBER: Final = r"[+-]?\d{1,18}(?:\.\d{1,18})?(?:[eE][+-]?\d{1,2})?"
_UNIT: Final = r"[^\W\d][^\s:*@]*"
_RANGE: Final = re.compile(
    rf"\s*(?P<low>{_NUMBER})\s*(?P<low_unit>{_UNIT})?\s*\.\.\s*(?P<high>{_NUMBER})\s*(?P<high_unit>{_UNIT})?\s*"
    rf"(?:(?P<how>[:*@])\s*(?P<step>.*?)\s*)?\Z"
)
_STEP: Final = re.compile(rf"(?P<step>{_NUMBER})\s*(?P<unit>{_UNIT})?\Z")
_COUNT: Final = re.compile(r"(?P<log>log)?\s*(?P<count>\d{1,7})?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Values between two ends, in one unit; `whole`: only whole numbers of it."""

    low: float
    high: float
    unit: str
    log: bool
    whole: bool

    def text(self, share: float) -> str:
        """The value at a share of the way from low to high, as one would write it."""
        if self.whole:
            # Whole numbers share the interval evenly, both ends included.
            low, high = (self.low - 0.5, self.high + 0.5) if not self.log else (max(self.low, 0.5), self.high + 0.5)
            value = min(max(floor(_between(low, high, share, self.log) + 0.5), round(self.low)), round(self.high))
            return _text(Decimal(value), self.unit)
        return _text(_rounded(_between(self.low, self.high, share, self.log)), self.unit)


def read_values(text: str, *, whole: bool) -> list[str] | Interval:
    """Texts of the values, each once, or the interval. Raises ValueError with what is wrong with `text`.

    `whole`: of counts, sizes and cycles, of which a range has whole numbers of the unit that it is written in.
    """
    if "|" in text:
        parts = [part.strip() for part in text.removesuffix("|").split("|")]
    else:
        parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise ValueError(f"{text!r} has an empty value" if text.strip() else "there are no values")
    found: list[str] = []
    for part in parts:
        made = _one(part, whole=whole)
        if isinstance(made, Interval):
            if len(parts) > 1:
                raise ValueError(f"{part!r} is an interval to draw from and stands beside other values")
            return made
        found += made
    return list(dict.fromkeys(found))


def _one(text: str, *, whole: bool) -> list[str] | Interval:
    if (match := _RANGE.match(text)) is None:
        return [text]
    low, high, unit = Decimal(match["low"]), Decimal(match["high"]), match["low_unit"] or match["high_unit"] or ""
    if match["low_unit"] and match["low_unit"] != match["high_unit"]:
        raise ValueError(f"{text!r}: both ends of a range are written in one unit")
    if low > high:
        raise ValueError(f"{text!r} is an empty range: {match['low']} is above {match['high']}")
    how, step = match["how"], match["step"] or ""
    if how == ":":
        return [_text(value, unit) for value in _by_steps(text, low, high, step, unit)]
    if how == "*":
        return [_text(value, unit) for value in _by_factor(text, low, high, step)]
    count = _COUNT.match(step) if how else None
    if how and (count is None or (not count["log"] and not count["count"])):
        raise ValueError(f"{text!r}: behind @ stands how many values, such as @5 or @log5")
    logarithmic = count is not None and count["log"] is not None
    if logarithmic and low <= 0:
        raise ValueError(f"{text!r}: a logarithmic range begins above 0")
    interval = Interval(low=float(low), high=float(high), unit=unit, log=logarithmic, whole=whole)
    if count is None or count["count"] is None:
        return interval
    return _spread(text, interval, int(count["count"]))


def _by_steps(text: str, low: Decimal, high: Decimal, step: str, unit: str) -> list[Decimal]:
    if (match := _STEP.match(step)) is None or (match["unit"] or unit) != unit:
        raise ValueError(f"{text!r}: behind : stands a step, in the unit of the ends")
    by = Decimal(match["step"])
    if by <= 0:
        raise ValueError(f"{text!r} is an empty range: its step is not above 0")
    _few(text, (high - low) / by)
    return [low + number * by for number in range(int((high - low) / by) + 1)]


def _by_factor(text: str, low: Decimal, high: Decimal, step: str) -> list[Decimal]:
    if (match := _STEP.match(step)) is None or match["unit"] or Decimal(match["step"]) <= 1:
        raise ValueError(f"{text!r}: behind * stands a factor above 1")
    if low <= 0:
        raise ValueError(f"{text!r}: a range by factors begins above 0")
    by = Decimal(match["step"])
    _few(text, Decimal(log(high / low) / log(by)))
    found = [low]
    while found[-1] * by <= high:
        found.append(found[-1] * by)
    return found


def _spread(text: str, interval: Interval, count: int) -> list[str]:
    """So many values with both ends among them; fewer where whole numbers coincide."""
    if count < 1:
        raise ValueError(f"{text!r} is an empty range: it has no values")
    _few(text, Decimal(count))
    shares = [number / (count - 1) for number in range(count)] if count > 1 else [0.0]
    values = [_between(interval.low, interval.high, share, interval.log) for share in shares]
    values[-1] = interval.high if count > 1 else interval.low
    texts = [_text(Decimal(round(value)) if interval.whole else _rounded(value), interval.unit) for value in values]
    return list(dict.fromkeys(texts))


def _few(text: str, count: Decimal) -> None:
    if count > _MOST:
        raise ValueError(f"{text!r} has {count:,.0f} values: at most {_MOST:,}")


def _between(low: float, high: float, share: float, logarithmic: bool) -> float:
    if logarithmic:
        return exp(log(low) + share * (log(high) - log(low)))
    return low + share * (high - low)


def _rounded(value: float) -> Decimal:
    """Six digits: enough for any question, and short to read."""
    return Decimal(f"{value:.6g}")


def _text(value: Decimal, unit: str) -> str:
    plain = f"{value:f}"
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return f"{plain} {unit}".strip()
