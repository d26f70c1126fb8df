"""Collectives between sockets: streamed by the AGCUs from stage to stage, past DDR and HBM.

docs/model.md, "P2P links".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from rdusim.arch.types import Arch, System
from rdusim.net.choose import plan_of
from rdusim.units import Bytes, Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class P2pTime:
    """`occupied`: how long the busiest link is busy, before a next tile follows. `latency`: what a tile waits more."""

    algorithm: str
    occupied: Seconds
    latency: Seconds
    bytes_per_socket: Bytes


def collective(kind: str, participants: int, size: Bytes, arch: Arch, stride: int = 1) -> P2pTime:
    """Time of one collective by the quickest algorithm, while all groups like it do the same.

    `stride`: distance between neighbours of the group, in sockets.
    """
    return _collective(kind, participants, size, arch.system, stride)


def kept(kind: str, participants: int, size: Bytes, arch: Arch, stride: int = 1) -> Seconds:
    """How long a participant needs its own tile: until it is added up everywhere, or has left for all others."""
    if kind not in ("all_reduce", "reduce_scatter"):
        return collective(kind, participants, size, arch, stride).occupied
    time = collective("reduce_scatter", participants, size, arch, stride)
    return Seconds(time.occupied + time.latency)


@lru_cache(maxsize=4096)  # sizes recur between candidates of the search
def _collective(kind: str, participants: int, size: Bytes, system: System, stride: int) -> P2pTime:
    time = plan_of(kind, participants, stride, size, system)
    return P2pTime(
        algorithm=time.algorithm,
        occupied=time.link_seconds,
        latency=Seconds(max(0.0, time.seconds - time.link_seconds)),
        bytes_per_socket=time.bytes_per_socket,
    )
