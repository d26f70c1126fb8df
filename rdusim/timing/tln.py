"""Top-level network and the link between dies: bytes per cycle and latency. docs/model.md, "TLN, die-to-die"."""

from __future__ import annotations

from rdusim.arch.types import DieToDie, Socket, Tln
from rdusim.units import Cycles


def tln_cycles(size: float, tln: Tln, dies: int) -> Cycles:
    """Cycles of `size` bytes over the networks of all dies, spread evenly."""
    return Cycles(size / (tln.bytes_per_cycle * dies))


def die_to_die_cycles(size: float, link: DieToDie) -> Cycles:
    """Cycles of `size` bytes that cross between the dies, half in each direction."""
    return Cycles(size / (2 * link.bytes_per_cycle))


def latency(socket: Socket, crosses: bool) -> Cycles:
    """Cycles between an AGCU and a memory: into and out of the TLN, and over to the other die where it crosses."""
    return Cycles(2 * socket.tln.hop_cycles + (socket.die_to_die.hop_cycles if crosses else 0))
