"""Times between tokens: the longest gap of each sequence of a batch, from one record of the batch's gaps."""

from __future__ import annotations

from bisect import bisect_left


class Gaps:
    """Longest gap between tokens since a sequence joined: a stack of gaps, each smaller than those before it.

    All running sequences get their tokens at the same times, so one stack serves all of them.
    """

    __slots__ = ("_gaps", "_places", "count", "marks")

    def __init__(self) -> None:
        self._places: list[int] = []
        self._gaps: list[float] = []
        self.count = 0
        self.marks: list[float] = []

    def join(self, now: float) -> int:
        """A sequence whose last token came now: its place."""
        if not self.marks or self.marks[-1] != now:
            self.marks.append(now)
        return self.count + len(self.marks) - 1

    def tokens(self, first: float, rest: float, last: float) -> None:
        """Tokens came: the next at `first`, later ones after gaps of at most `rest`, the last of them at `last`."""
        for mark in self.marks:
            self._push(first - mark)
        if rest:
            self._push(rest, same=True)
        self.marks = [last]

    def since(self, place: int) -> float:
        i = bisect_left(self._places, place)
        return self._gaps[i] if i < len(self._gaps) else 0.0

    def last(self, place: int) -> float:
        """When a sequence that joined at that place had its last token."""
        return self.marks[max(place - self.count, 0)]

    def clear(self) -> None:
        self._places.clear()
        self._gaps.clear()
        self.marks = []

    def _push(self, gap: float, *, same: bool = False) -> None:
        gaps, places = self._gaps, self._places
        while gaps and gaps[-1] <= gap:
            gaps.pop()
            places.pop()
        places.append(self.count - same)
        gaps.append(gap)
        self.count += not same
