"""Text that is safe in HTML and in SVG, and numbers as short as their place needs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from math import isfinite
from typing import Final

from rdusim.units import Kind, show

# What XML 1.0 cannot hold, escaped or not: a page shall be well-formed whatever an expert is called.
_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
NOTHING: Final = "\N{EN DASH}"
_DOTS: Final = "\N{HORIZONTAL ELLIPSIS}"


def plain(text: object) -> str:
    """Any value as escaped text; characters that no file may hold become the replacement character."""
    return escape(_FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", str(text)))


def shorten(text: str, most: int, tail: int | None = None) -> str:
    """At most so many characters: what is left out goes from the middle, for names differ at their ends.

    `tail`: how many of the last characters stay, half of them if it is not said.
    """
    if len(text) <= most:
        return text
    tail = (most - 1) // 2 if tail is None else tail
    return f"{text[: most - 1 - tail]}{_DOTS}{text[len(text) - tail :]}"


def apart(names: Sequence[str], most: int) -> list[str]:
    """Each at most so many characters. If one is longer, what all begin and end with goes first.

    Names that are not the same stay so, wherever that is possible: else the cut goes to another place.
    """
    if len(names) < 2 or max(map(len, names)) <= most:
        return [shorten(name, most) for name in names]
    before = _common(names)
    after = _common([name[before:][::-1] for name in names])
    bare = [f"{_DOTS if before else ''}{name[before : len(name) - after]}{_DOTS if after else ''}" for name in names]
    half = (most - 1) // 2
    ways = (
        [shorten(name, most, tail) for name in bare] for tail in sorted(range(most), key=lambda tail: abs(tail - half))
    )
    return next((way for way in ways if len(set(way)) == len(set(names))), [shorten(name, most) for name in bare])


def paths(names: Sequence[str], most: int) -> list[str]:
    """The same of dotted paths: first steps go as a whole, for the last ones say which field it is."""
    found = [_path(name, most) for name in names]
    return found if len(set(found)) == len(set(names)) else apart(names, most)


def _path(name: str, most: int) -> str:
    steps = name.split(".")
    tails = [name, *(f"{_DOTS}{'.'.join(steps[at:])}" for at in range(1, len(steps)))]
    return next((tail for tail in tails if len(tail) <= most), shorten(name, most))


def _common(names: Sequence[str]) -> int:
    """How many characters all begin with."""
    first, last = min(names), max(names)  # if these two agree so far, all between them do
    return next((place for place, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))


def number(value: float | None, kind: Kind) -> str:
    """As units.show; a dash for what is not known."""
    if value is None or not isfinite(value):
        return NOTHING
    return show(value, kind)


def tick(value: float, kind: Kind) -> str:
    """A number at an axis: without the zeros that only say how exact it is."""
    if kind == "count":
        return f"{value:,.10g}"
    if kind == "share":
        return f"{100 * value:g}%"
    return re.sub(r"\.0+(?= )|(?<=\.\d)0+(?= )", "", show(value, kind))


def place(value: float) -> str:
    """A coordinate, to a tenth of a pixel."""
    return f"{round(value, 1) + 0.0:g}"  # + 0.0: no "-0"
