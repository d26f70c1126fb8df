"""Who sends what to whom, after what: the plan of a collective, and what running it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from rdusim.units import Bytes, Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """Sockets are nodes 0 to `sockets` - 1, switches the nodes after them. `links` are directed (source, target)."""

    name: str
    sockets: int
    nodes: int
    links: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """One message. `after`: indices, in the plan, of the transfers whose data it needs; none: it can leave at once.

    It carries `shards` of the tensor: the source's own data of them, as the transfers in `after` have left it.
    `reduces`: the target adds it to its own data; otherwise it takes the place of it.
    """

    source: int
    target: int
    size: Bytes
    after: tuple[int, ...]
    shards: range
    reduces: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferPlan:
    """Transfers in an order in which each comes behind those it waits for."""

    transfers: tuple[Transfer, ...]


# `size` is the whole tensor: what all-reduce and reduce-scatter start from, and what all-gather ends with.
Algorithm: TypeAlias = Callable[[tuple[int, ...], Bytes, Topology], TransferPlan]


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectiveTime:
    """`seconds`: from the first byte to the last. `link_seconds`: how long the busiest link is busy, without latency.

    A collective that streams tile by tile costs `link_seconds` of throughput and `seconds` - `link_seconds` of latency.
    """

    algorithm: str
    seconds: Seconds
    link_seconds: Seconds
    bytes_per_socket: Bytes


def shard_sizes(size: Bytes, shards: int) -> list[Bytes]:
    """Bytes of each of `shards` shards: equal but for the odd byte, and `size` in all."""
    return [Bytes(size * (shard + 1) // shards - size * shard // shards) for shard in range(shards)]
