"""The region of the nearest tier that holds experts: who is in, who must go. O(log n) an activation."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from heapq import heapify, heappop, heappush
from math import inf
from typing import Final

from rdusim.errors import Problem, ServeError
from rdusim.serve.expert_cache.types import Activation, CachePolicy, Region, Unknown, Upcoming, Worth
from rdusim.serve.types import Expert
from rdusim.units import show

_HIT: Final = Activation(miss=False)
_UNKNOWN: Final = Unknown()
_SPARE: Final = 64  # outdated entries of the heap beyond those of residents, before it is built anew


class ExpertCache:
    """Experts of unlike sizes in `capacity` bytes, evicted by a policy; pinned ones never.

    Raises ServeError if an expert does not fit beside the pinned ones: then it could never run.
    """

    def __init__(
        self,
        experts: Sequence[Expert],
        capacity: int,
        policy: CachePolicy,
        seconds_back: Sequence[float] | None = None,
    ) -> None:
        marked = frozenset(number for number, expert in enumerate(experts) if expert.pinned)
        self.pinned = marked | (policy.pins(experts, capacity) if policy.pins else frozenset())
        _check(experts, capacity, self.pinned)
        self.capacity = capacity
        self.used_bytes = 0
        self.hits = 0
        self.misses = 0
        sizes = [float(expert.weight_bytes) for expert in experts]
        self._policy = policy.make(Region(experts=experts, seconds_back=seconds_back or sizes))
        self._sizes = [int(expert.weight_bytes) for expert in experts]
        self._mutable = [int(expert.mutable_bytes) for expert in experts]
        self._pinned_bytes = sum(self._sizes[number] for number in self.pinned)
        self._worth: dict[int, Worth] = {}  # of residents
        self._order: list[tuple[Worth, int, int]] = []  # heap of (worth, activation, expert); may hold outdated entries
        self._count = 0

    @property
    def resident(self) -> Collection[int]:
        """Experts in the region, the first to come first."""
        return self._worth.keys()

    def activate(
        self, expert: int, now: float, upcoming: Upcoming = _UNKNOWN, keep: Collection[int] = ()
    ) -> Activation:
        """Use an expert from `now` on (ascending), and bring it in if it is not there.

        `keep`: experts that may not go now, because they run or wait to run; `fits` says whether that leaves room.
        """
        self._count += 1
        if expert in self._worth:
            self.hits += 1
            self._note(expert, self._policy.used(expert, now, upcoming))
            return _HIT
        self.misses += 1
        evicted, back = self._make_room(self._sizes[expert], upcoming, keep)
        self.used_bytes += self._sizes[expert]
        self._note(expert, self._policy.used(expert, now, upcoming))
        return Activation(True, evicted, back)

    def fits(self, expert: int, keep: Collection[int]) -> bool:
        """Whether the expert can be in the region together with `keep` and all the pinned ones."""
        if expert in self._worth:
            return True
        held = sum(self._sizes[other] for other in keep if other not in self.pinned and other != expert)
        own = 0 if expert in self.pinned else self._sizes[expert]
        return held + self._pinned_bytes + own <= self.capacity

    def warm(self, order: Iterable[int], upcoming: Upcoming = _UNKNOWN) -> None:
        """Fill the empty region before time starts, the dearest first; what does not fit is passed over.

        Counts as no activation; the first of the order are the last to go.
        """
        chosen: list[int] = []
        for expert in dict.fromkeys(order):
            if expert not in self._worth and self.used_bytes + self._sizes[expert] <= self.capacity:
                self.used_bytes += self._sizes[expert]
                chosen.append(expert)
        for expert in reversed(chosen):
            self._count += 1
            self._note(expert, self._policy.used(expert, -inf, upcoming))

    def _note(self, expert: int, worth: Worth) -> None:
        self._worth[expert] = worth
        if expert in self.pinned:
            return
        heappush(self._order, (worth, self._count, expert))
        if len(self._order) > 2 * len(self._worth) + _SPARE:
            self._order = [entry for entry in self._order if self._worth.get(entry[2]) == entry[0]]
            heapify(self._order)

    def _make_room(self, size: int, upcoming: Upcoming, keep: Collection[int]) -> tuple[tuple[int, ...], int]:
        """Put out the least worthy until `size` bytes are free."""
        evicted: list[int] = []
        spared: list[tuple[Worth, int, int]] = []
        back = 0
        while self.used_bytes + size > self.capacity:
            assert self._order, "callers ask `fits` before they keep experts"
            entry = heappop(self._order)
            worth, order, expert = entry
            if self._worth.get(expert) != worth:
                continue  # outdated: it was used since, or is gone
            if expert in keep:
                spared.append(entry)
                continue
            if (now := self._policy.review(expert, worth, upcoming)) != worth:
                self._worth[expert] = now
                heappush(self._order, (now, order, expert))
                continue
            del self._worth[expert]
            self._policy.evicted(expert, worth)
            self.used_bytes -= self._sizes[expert]
            back += self._mutable[expert]
            evicted.append(expert)
        for entry in spared:
            heappush(self._order, entry)
        return tuple(evicted), back


def _check(experts: Sequence[Expert], capacity: int, pinned: frozenset[int]) -> None:
    """Every expert must fit beside the pinned ones. Raises ServeError with all that do not."""
    together = sum(experts[number].weight_bytes for number in pinned)
    problems: list[Problem] = []
    if together > capacity:
        message = f"{len(pinned):,} experts are pinned and take {_size(together)} of the region's {_size(capacity)}"
        raise ServeError(Problem(message=message, field="hbm", hint="pin fewer experts or enlarge the region"))
    beside = 0
    for number, expert in enumerate(experts):
        held = together - expert.weight_bytes if number in pinned else together
        if expert.weight_bytes > capacity:
            message = f"expert {expert.name!r} takes {_size(expert.weight_bytes)}, the expert region {_size(capacity)}"
            hint = "give it more sockets, enlarge the region (fewer bytes for router and KV), or take a narrower type"
            problems.append(Problem(message=message, field="hbm", hint=hint))
        elif held + expert.weight_bytes > capacity:
            beside += 1
            if beside > 1:  # one tells it all
                continue
            message = (
                f"expert {expert.name!r} takes {_size(expert.weight_bytes)} and does not fit beside the pinned ones, "
                f"which take {_size(held)} of the region's {_size(capacity)}"
            )
            problems.append(Problem(message=message, field="hbm", hint="pin fewer experts or enlarge the region"))
    if problems:
        raise ServeError(*problems)


def _size(size: int) -> str:
    return show(size, "size")
