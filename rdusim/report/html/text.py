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


def plain(text: object) -> str:
    """Any value as escaped text; characters that no file may hold become the replacement character."""
    return escape(_FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", str(text)))


def shorten(text: str, most: int) -> str:
    """At most so many characters: what is left out goes from the middle, for names differ at their ends."""
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}\N{HORIZONTAL ELLIPSIS}{text[-tail:]}"


def apart(names: Sequence[str], most: int) -> list[str]:
    """Each at most so many characters. If one is longer, what all begin and end with goes first."""
    if len(names) < 2 or max(map(len, names)) <= most:
        return [shorten(name, most) for name in names]
    before = _common(names)
    after = _common([name[before:][::-1] for name in names])
    dots = "\N{HORIZONTAL ELLIPSIS}"
    return [
        shorten(f"{dots if before else ''}{name[before : len(name) - after]}{dots if after else ''}", most)
        for name in names
    ]


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
