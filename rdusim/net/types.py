"""Who sends what to whom, after what: the plan of a collective, where it runs, and what running it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from rdusim.arch.types import Link
from rdusim.units import Bytes, Seconds


class Way(NamedTuple):
    """A link from one node to another, in this direction only, along an axis of the topology."""

    source: int
    target: int
    link: Link
    axis: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Topology:
    """Sockets are nodes 0 to `sockets` - 1, switches the nodes after them.

    `node`: sockets in a row that are nearer to each other than to others; all of them where there is no such thing.
    """

    name: str
    sockets: int
    nodes: int
    links: tuple[Way, ...]
    node: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """One message, from the member of the group that has rank `source` to the one that has rank `target`.

    `after`: indices, in the plan, of the transfers whose data it needs; none: it can leave at once. It carries
    `shards`: the source's own data of them, as the transfers in `after` have left it. `reduces`: the target adds it to
    its own data; otherwise it takes the place of it.
    """

    source: int
    target: int
    after: tuple[int, ...]
    shards: Sequence[int]
    reduces: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferPlan:
    """Transfers in an order in which each comes behind those it waits for. A shard is size / `parts` bytes."""

    transfers: tuple[Transfer, ...]
    parts: int = 1


class Send(NamedTuple):
    """What an algorithm asks for: a message whose `after` follows from who has brought its shards."""

    source: int
    target: int
    shards: Sequence[int]
    reduces: bool


Step: TypeAlias = list[Send]  # messages that pass each other: none waits for another of its step
Steps: TypeAlias = Iterator[Step]

# From the sockets of the members, by rank. `size` is the whole tensor's; `parts` shards make it up.
#   all_reduce, all_gather, reduce_scatter: a shard for each member; rank j is left with all of them, or with shard j
#   all_to_all: shard i x members + j goes from rank i to rank j; members of them are what one has
#   broadcast: everyone is left with what rank 0 has
#   send_receive: shard i is all that rank i has, and goes to the next, of the last to the first
Algorithm: TypeAlias = Callable[[tuple[int, ...], Topology], TransferPlan]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Flows:
    """Transfers of the groups that share links, as the runner takes them.

    By transfer: `paths` (links of its way), `shards` (how many) and `start` (its join, None: leaves at once). By join:
    the transfers that it waits for. `parts` as in the plan.
    """

    paths: tuple[tuple[int, ...], ...]
    shards: tuple[int, ...]
    start: tuple[int | None, ...]
    joins: tuple[tuple[int, ...], ...]
    names: tuple[tuple[int, int], ...]  # sockets that each goes from and to
    reduces: tuple[bool, ...]
    parts: int
    hops: int  # links that all of them cross


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectiveTime:
    """`seconds`: from the first byte to the last. `link_seconds`: how long the busiest link is busy, without latency.

    A collective that streams tile by tile costs `link_seconds` of throughput and `seconds` - `link_seconds` of latency.
    `plan` is that of every group, `flows` those of the groups that take longest; None: there is nothing to do.
    """

    algorithm: str
    seconds: Seconds
    link_seconds: Seconds
    bytes_per_socket: Bytes
    plan: TransferPlan
    flows: Flows | None


def shard_sizes(size: Bytes, shards: int) -> list[Bytes]:
    """Bytes of each of `shards` shards: equal but for the odd byte, and `size` in all."""
    return [Bytes(size * (shard + 1) // shards - size * shard // shards) for shard in range(shards)]
