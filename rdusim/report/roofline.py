"""Rooflines of one socket: what its units and its ways to memory and to other sockets allow, and where sections stand.

A section has a point for every tier that it moves bytes over, and for the links between sockets: its FLOP of a byte
over that way, and the FLOP/s that it reaches with everything it waits for (Williams, Waterman, Patterson 2009; a point
for each level as Yang, Kurth, Williams 2020).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rdusim.net.topology import build
from rdusim.report.summarize import P2P, peak_flops
from rdusim.report.types import SectionUse

if TYPE_CHECKING:
    from rdusim.arch.types import Arch
    from rdusim.report.types import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """Of one socket. `flops_per_second`: peak at `dtype`, if the machine knows it. `bytes_per_second`: by way."""

    dtype: str | None
    flops_per_second: float | None
    bytes_per_second: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoofPoint:
    """A section over one way. `number`: of the section, from 1. `share`: of the time of all sections."""

    number: int
    section: SectionUse
    way: str
    bytes: float
    share: float

    @property
    def flops_per_byte(self) -> float:
        return self.section.flops / self.bytes

    @property
    def flops_per_second(self) -> float:
        return self.section.flops / self.section.seconds


def ceilings_of(arch: Arch, dtype: str | None, sockets: int) -> Ceilings:
    """`p2p`: all links by which a socket sends, where more than one takes part."""
    ways = {tier.name: float(tier.bandwidth) for tier in arch.socket.memory}
    if sockets > 1:
        system = arch.system
        links = build(system.topology, system.sockets, system.link).links
        ways[P2P] = float(sum(way.link.bandwidth for way in links if way.source == 0))
    return Ceilings(dtype=dtype, flops_per_second=peak_flops(arch, dtype, 1), bytes_per_second=ways)


def ceilings_of_report(report: Report) -> Ceilings:
    """Of one socket, or GPU, as far as the report itself says: the peak at the run's number format, and its memory."""
    rate, sockets = report.throughput, report.setting.sockets_used
    of_peak = rate.model_flops_utilization
    return Ceilings(
        dtype=report.setting.dtype,
        flops_per_second=rate.flops_per_second / of_peak / sockets if of_peak else None,
        bytes_per_second={
            tier.tier: tier.peak_bytes_per_second / sockets for tier in report.memory if tier.peak_bytes_per_second
        },
    )


def roof_points(sections: Sequence[SectionUse]) -> tuple[RoofPoint, ...]:
    """In the order of the sections; what moves nothing at all, and so has no intensity, is left out."""
    return tuple(_points(sections))


def _points(sections: Sequence[SectionUse]) -> Iterator[RoofPoint]:
    total = sum(section.seconds for section in sections)
    for number, section in enumerate(sections, start=1):
        for way, moved in section.moved_bytes.items():
            if moved > 0 and section.seconds > 0:
                yield RoofPoint(
                    number=number,
                    section=section,
                    way=way,
                    bytes=moved,
                    share=section.seconds / total if total else 0.0,
                )
