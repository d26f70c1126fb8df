"""Serving: requests, experts, what steps cost, and what a run of a node leaves behind.

Everything that exists once per request is a NumPy column; what exists once per scenario is a frozen dataclass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Protocol

import numpy as np

from rdusim.units import Bytes, BytesPerSecond, Seconds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expert:
    """A model of the composition. `shape`: what its costs are tabulated under; experts of one shape share a table.

    `weight_bytes`: moved when it is activated; `mutable_bytes` of them are copied back when it is evicted (read-only
    weights never are). `home_tier`: where it lives (ddr, host).
    """

    name: str
    shape: str
    weight_bytes: Bytes
    mutable_bytes: Bytes = Bytes(0)
    home_tier: str = "ddr"
    pinned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """Columns, by arrival. `arrival` seconds from the start, ascending; `expert` indexes the scenario's experts.

    `client`: of closed loops and client models, else zeros.
    """

    arrival: Floats
    prompt_tokens: Ints
    output_tokens: Ints
    expert: Ints
    client: Ints

    def __len__(self) -> int:
        return len(self.arrival)


class StepCosts(Protocol):
    """What a node takes, in seconds: a simulated RDU node, a GPU node, or constants in a test."""

    def prefill(self, shape: str, batch: int, tokens: int) -> Seconds:
        """`batch` prompts of `tokens` each (the longest) until their first tokens."""

    def decode(self, shape: str, batch: int, context: float) -> Seconds:
        """One further token of each of `batch` sequences with `context` tokens in the cache on average."""

    def switch(self, size: Bytes, source: str, target: str) -> Seconds:
        """Copy `size` bytes of an expert between tiers, nothing else running."""

    def copy_bandwidth(self, source: str, target: str) -> BytesPerSecond:
        """Of that copy, over the whole node."""

    def memory_bandwidth(self, tier: str) -> BytesPerSecond:
        """Of a tier over the whole node; steps and copies compete for it."""

    def decode_bytes(self, shape: str, batch: int, context: float) -> Bytes:
        """Bytes that a decode step moves over the nearest tier, over the whole node."""


class Cause(IntEnum):
    """Where the seconds of a request's latency go."""

    QUEUE = 0
    ROUTE = 1
    SWITCH = 2
    COMPUTE = 3
    NETWORK = 4


class State(StrEnum):
    DONE = "done"
    REJECTED = "rejected"
    UNFINISHED = "unfinished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Columns by request, in order of arrival; seconds from the start, NaN where it never came so far.

    `causes`: (requests, len(Cause)) seconds, which sum to finish - arrival for every finished request.
    `worst_gap`: the longest time between two tokens of a request (TBT). `node`: which node served it.
    """

    requests: Requests
    scheduled: Floats
    first_token: Floats
    finish: Floats
    worst_gap: Floats
    causes: Floats
    node: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """Columns by activation of an expert: when its copy began and ended, on which node, what it put out (-1: nothing).

    `copied_back`: bytes of mutable symbols of what was put out. Where one expert puts out several smaller ones, the
    further ones have rows of their own right after it, with expert -1 and end = begin.
    """

    begin: Floats
    end: Floats
    node: Ints
    expert: Ints
    evicted: Ints
    copied_back: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupancy:
    """How busy the nodes were: columns by change, `time`, `node`, resident experts, KV bytes by tier, running batch."""

    time: Floats
    node: Ints
    resident: Ints
    kv_near_bytes: Floats
    kv_far_bytes: Floats
    running: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeResult:
    """A whole run. `partial`: it was interrupted. `hits`, `misses` of the expert cache.

    `rejected`: requests that could never be served (longer than any compiled shape, or than the memory for KV).
    `busy`: by node, seconds with a step or a copy that a step waits for. `preemptions`: sequences put out of a batch.
    """

    served: Served
    switches: Switches
    occupancy: Occupancy
    experts: tuple[Expert, ...]
    nodes: int
    seconds: Seconds
    hits: int = 0
    misses: int = 0
    partial: bool = False
    rejected: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    busy: Floats = field(default_factory=lambda: np.empty(0))
    preemptions: int = 0
    notes: tuple[str, ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict)
