"""What policies of the expert cache see and say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from rdusim.serve.types import Expert


class Activation(NamedTuple):
    """What an activation asks for: `miss`, that the expert be copied in; `evicted`, who goes for it, first to last.

    `copied_back`: mutable bytes of those that go; read-only weights stay in their home tier and are never copied back.
    """

    miss: bool
    evicted: tuple[int, ...] = ()
    copied_back: int = 0


class Upcoming(Protocol):
    """What is known of requests to come."""

    def next_use(self, expert: int) -> float:
        """When it is next wanted, as an ascending number (place in the queue, not seconds); inf if nothing is known.

        Of the expert being activated: after this activation. Between two activations the next use of any other expert
        may only come nearer, never move away; the caches' heaps rest on that.
        """


class Unknown:
    """Nothing is known of what comes."""

    __slots__ = ()

    def next_use(self, expert: int) -> float:
        return inf


Worth: TypeAlias = "tuple[float, float]"


class Policy(Protocol):
    """How much each resident expert is worth; the one worth least is put out first."""

    def used(self, expert: int, now: float, upcoming: Upcoming) -> Worth:
        """It has been activated: what it is worth from now on."""

    def review(self, expert: int, worth: Worth, upcoming: Upcoming) -> Worth:
        """What an expert last found to be worth `worth` is worth now: as much, or more."""

    def evicted(self, expert: int, worth: Worth) -> None:
        """It is put out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """The region as a policy may know it: sizes of the experts, and seconds to bring each back after an eviction."""

    experts: Sequence[Expert]
    seconds_back: Sequence[float] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePolicy:
    """`looks_ahead`: it asks `upcoming`. `clairvoyant`: it wants every request to come, not only those in the queue.

    `pins`: experts that it keeps for good, besides those marked `Expert.pinned`; it is told the capacity in bytes.
    """

    make: Callable[[Region], Policy]
    looks_ahead: bool = False
    clairvoyant: bool = False
    pins: Callable[[Sequence[Expert], int], frozenset[int]] | None = None
