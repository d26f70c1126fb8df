"""The clock of a section: what happens at a later cycle, and the next cycle at which anything does."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

Action = Callable[[int], None]


class Clock:
    """Actions wait in the cycle at which they are due, in the order in which they were asked for."""

    def __init__(self) -> None:
        self.now = 0
        self.moved = 0  # flits over links and ports, and steps of PCUs, so far
        self._due: dict[int, list[tuple[Action, int]]] = {}
        self._cycles: list[int] = []

    def after(self, cycles: int, action: Action, amount: int = 1) -> None:
        """`action(amount)` in `cycles` cycles, at once where that is 0."""
        if cycles <= 0:
            action(amount)
            return
        cycle = self.now + cycles
        if (waiting := self._due.get(cycle)) is None:
            self._due[cycle] = [(action, amount)]
            heappush(self._cycles, cycle)
        else:
            waiting.append((action, amount))

    def next(self) -> int | None:
        """The next cycle for which something waits."""
        return self._cycles[0] if self._cycles else None

    def deliver(self) -> None:
        """Everything due now."""
        if self._cycles and self._cycles[0] == self.now:
            heappop(self._cycles)
            for action, amount in self._due.pop(self.now):
                action(amount)
